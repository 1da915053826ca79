package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/technoshare/commentator/internal/httpaddress"
)

// Collector is where an otelcol-mlflow with its own configuration is, by the same environment
// and .env that it reads. Each address is host:port.
type Collector struct {
	// GRPC and HTTP take OTLP; Replay takes what is sent again, for MLflow alone.
	GRPC   string `env:"OTELCOL_GRPC_ENDPOINT" envDefault:"127.0.0.1:4317"`
	HTTP   string `env:"OTELCOL_HTTP_ENDPOINT" envDefault:"127.0.0.1:4318"`
	Replay string `env:"OTELCOL_REPLAY_ENDPOINT" envDefault:"127.0.0.1:4319"`
	// Health answers whether it runs, Status how its components are.
	Health string `env:"OTELCOL_HEALTH_ENDPOINT" envDefault:"127.0.0.1:13133"`
	Status string `env:"OTELCOL_STATUS_ENDPOINT" envDefault:"127.0.0.1:13134"`
	// Prometheus has the workers' metrics, MetricsPort of loopback the Collector's own.
	Prometheus  string `env:"OTELCOL_PROMETHEUS_ENDPOINT" envDefault:"127.0.0.1:9464"`
	MetricsPort int    `env:"OTELCOL_METRICS_PORT" envDefault:"8888"`
	// DataDir holds queue, ledger and dead letters.
	DataDir string `env:"OTELCOL_DATA_DIR" envDefault:"./.otelcol-mlflow"`
	// Experiment is the one of jobs whose worker names none.
	Experiment string `env:"MLFLOW_EXPERIMENT_NAME" envDefault:"technoshare_commentator"`
	// UIURL is MLflow's address as people reach it; empty: that of the Collector.
	UIURL string `env:"MLFLOW_UI_URL"`
}

// CollectorSetting is one of the names that Collector reads.
type CollectorSetting struct{ Name, Address string }

// Addresses lists where it listens, by the setting that says so.
func (c Collector) Addresses() []CollectorSetting {
	return []CollectorSetting{
		{"OTELCOL_GRPC_ENDPOINT", c.GRPC},
		{"OTELCOL_HTTP_ENDPOINT", c.HTTP},
		{"OTELCOL_REPLAY_ENDPOINT", c.Replay},
		{"OTELCOL_HEALTH_ENDPOINT", c.Health},
		{"OTELCOL_STATUS_ENDPOINT", c.Status},
		{"OTELCOL_PROMETHEUS_ENDPOINT", c.Prometheus},
		{"OTELCOL_METRICS_PORT", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.MetricsPort))},
	}
}

// wrongSetting is what is wrong with one setting that Collector reads.
type wrongSetting struct {
	name string
	error
}

// WrongAmong keeps of an error of LoadCollector what is wrong with the settings of these names; nil: nothing.
func WrongAmong(err error, names ...string) error {
	joined, _ := err.(interface{ Unwrap() []error }) // as LoadCollector returns it
	if joined == nil {
		return nil
	}
	var among []error
	for _, one := range joined.Unwrap() {
		var wrong wrongSetting
		if errors.As(one, &wrong) && slices.Contains(names, wrong.name) {
			among = append(among, one)
		}
	}
	return errors.Join(among...)
}

// LoadCollector reads the settings. Of wrong files it knows nothing, which Load tells. With an error all
// settings but the wrong ones are right, which WrongAmong tells apart.
func LoadCollector(o Options) (Collector, error) {
	var c Collector
	environ := nonEmpty(env.ToMap(o.Environ))
	places := map[string]string{}
	if o.Dir != "" {
		if file, _, err := readFiles(o.Dir, func(name string) string { return environ[name] }); err == nil {
			for name, value := range file.values {
				if _, set := environ[name]; !set {
					environ[name], places[name] = value, file.places[name]
				}
			}
		}
	}
	var wrong []error
	say := func(name, format string, args ...any) {
		wrong = append(wrong, wrongSetting{name, fmt.Errorf("%s: %w", at(places, name), fmt.Errorf(format, args...))})
	}
	if err := env.ParseWithOptions(&c, env.Options{Environment: environ}); err != nil {
		say("OTELCOL_METRICS_PORT", "%q is no port; write for instance 8888", shown(environ["OTELCOL_METRICS_PORT"]))
	}
	for _, a := range c.Addresses() {
		if _, port, err := net.SplitHostPort(a.Address); err != nil || !validPort(port) {
			say(a.Name, "%q is not host:port; write for instance %s", shownAddress(a.Address), UsualAddress(a.Name))
		}
	}
	if err := wrongUI(c.UIURL); err != nil {
		say("MLFLOW_UI_URL", "%w", err)
	}
	return c, errors.Join(wrong...)
}

// UsualAddress is where a Collector listens when the setting with this name is unset.
func UsualAddress(name string) string {
	usual, _ := LoadCollector(Options{}) // the defaults are right
	for _, a := range usual.Addresses() {
		if a.Name == name {
			return a.Address
		}
	}
	return ""
}

// wrongUI is what the exporter refuses of an address of the UI.
func wrongUI(address string) error {
	if address == "" {
		return nil
	}
	u, err := httpaddress.Parse(address)
	if err == nil && u.User != nil {
		err = errors.New("it must hold no credentials, since it is written into the notes of runs; remove what is before the @")
	}
	return err
}

// Shadowed names settings that the environment and a file have with different values: what is
// written in the file has no effect. The values are not told.
func Shadowed(o Options) []Warning {
	environ := nonEmpty(env.ToMap(o.Environ))
	file, _, err := readFiles(o.Dir, func(name string) string { return environ[name] })
	if err != nil {
		return nil
	}
	var warnings []Warning
	for _, name := range sortedKeys(file.values) {
		ours := strings.HasPrefix(name, "OTELCOL_")
		for _, known := range Names() {
			ours = ours || known == name
		}
		if set, found := environ[name]; ours && found && set != file.values[name] {
			warnings = append(warnings, Warning{name, fmt.Sprintf(
				"%s is overruled by the environment, which has another value; unset it there, or change it there", at(file.places, name))})
		}
	}
	return warnings
}
