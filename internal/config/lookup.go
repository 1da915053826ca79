package config

import (
	"maps"

	"github.com/caarlos0/env/v11"
)

// Values are all variables that the environment has and, behind them, .env and the profile. Empty
// ones count as unset. With an error they are what could be read.
func Values(o Options) (map[string]string, error) {
	environ := nonEmpty(env.ToMap(o.Environ))
	if o.Dir == "" {
		return environ, nil
	}
	file, _, err := readFiles(o.Dir, func(name string) string { return environ[name] })
	values := file.values
	maps.Copy(values, environ)
	return values, err
}
