package config

import "github.com/caarlos0/env/v11"

// Lookup returns what the environment says of a name, else .env, else the profile, and empty
// when none does. It is for settings of the programs around the worker, which stand in the
// same files: those of MLflow's start script and of the Collector.
func Lookup(o Options, name string) (string, error) {
	environ := nonEmpty(env.ToMap(o.Environ))
	if value := environ[name]; value != "" || o.Dir == "" {
		return value, nil
	}
	file, _, _, err := Files(o.Dir, func(name string) string { return environ[name] })
	return file[name], err
}
