package samplingextension

import (
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"
)

// Config is the configuration of the extension.
type Config struct {
	// HTTP is where it listens; the path is /sampling. Default 127.0.0.1:5778, Jaeger's port.
	HTTP confighttp.ServerConfig `mapstructure:"http"`
	// File holds the strategies, in the form of Jaeger's strategies file. Required. It is read
	// at the start, and again when it changed.
	File string `mapstructure:"file"`
	// prevent unkeyed literal initialization
	_ struct{}
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

// Validate says what is wrong with the configuration.
func (c *Config) Validate() error {
	if c.File == "" {
		return errors.New("`file` must name a file of strategies in Jaeger's form")
	}
	return nil
}
