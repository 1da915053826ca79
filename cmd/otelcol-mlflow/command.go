package main

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/otelcol"

	"github.com/technoshare/commentator/internal/config"
)

// version is set by the linker.
var version = "0.1.0-dev"

//go:embed default.yaml
var defaultConfig string

// componentStatus is the feature gate that makes health_check look at the status that
// components report. Without it the extension only knows whether the pipelines run.
const componentStatus = "extension.healthcheck.useComponentStatus"

// settings describes this distribution: what it is called, its components, and the
// configuration that holds as long as no --config is given. It switches on the gate that
// this configuration needs; --feature-gates, which is read later, still has the last word.
func settings() otelcol.CollectorSettings {
	if err := featuregate.GlobalRegistry().Set(componentStatus, true); err != nil {
		panic(fmt.Sprintf("switch on the gate of health_check: %v", err)) // a broken build; tests do it
	}
	return otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{
			Command:     "otelcol-mlflow",
			Description: "OpenTelemetry Collector that writes to MLflow",
			Version:     version,
		},
		Factories: components,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				URIs: []string{"yaml:" + defaultConfig},
				ProviderFactories: []confmap.ProviderFactory{
					envprovider.NewFactory(),
					fileprovider.NewFactory(),
					yamlprovider.NewFactory(),
				},
				DefaultScheme: "env",
			},
		},
	}
}

func newCommand() *cobra.Command {
	set := settings()
	seen := &configuration{}
	set.ConfigProviderSettings.ResolverSettings.ConverterFactories = []confmap.ConverterFactory{seen.factory()}
	cmd := otelcol.NewCommand(set)
	seen.checkIn(cmd)
	maskIn(cmd)
	cmd.Short = "OpenTelemetry Collector that writes to MLflow"
	cmd.Long = `otelcol-mlflow takes OTLP and writes runs and traces to MLflow. Without --config it
runs its embedded configuration, which these variables change, in the environment or in
.env, or in .env.<profile> that COMMENTATOR_PROFILE names; the environment wins, then .env:

  MLFLOW_TRACKING_URI          address of MLflow            http://127.0.0.1:5000
  MLFLOW_EXPERIMENT_NAME       experiment                   technoshare_commentator
  MLFLOW_UI_URL                UI as people reach it        MLFLOW_TRACKING_URI
  OTELCOL_GRPC_ENDPOINT        OTLP over gRPC               127.0.0.1:4317
  OTELCOL_HTTP_ENDPOINT        OTLP over HTTP               127.0.0.1:4318
  OTELCOL_REPLAY_ENDPOINT      OTLP over gRPC, for repairs  127.0.0.1:4319
  OTELCOL_DATA_DIR             queue and ledger             ./.otelcol-mlflow
  OTELCOL_HEALTH_ENDPOINT      whether it runs              127.0.0.1:13133
  OTELCOL_STATUS_ENDPOINT      whether MLflow is there      127.0.0.1:13134
  OTELCOL_METRICS_PORT         its own metrics              8888
  OTELCOL_PROMETHEUS_ENDPOINT  metrics that it receives     127.0.0.1:9464

"print-config" shows what it comes to, without passwords.`
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		return loadDotenv(cmd.ErrOrStderr())
	}
	cmd.AddCommand(newReplayCommand(), newPlanCommand())
	return cmd
}

// one is that a command takes one argument, or says what it needs.
func one(needs string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s, found %d arguments", needs, len(args))
		}
		return nil
	}
}

// loadDotenv puts the settings of .env and its profile that concern this program into the process
// environment, where the configuration looks for them. The rest of the files belongs to the
// worker: its tokens stay out, and so do the OTEL_ variables, which would steer the
// Collector's own telemetry. What the environment has wins; an empty value counts as none.
func loadDotenv(warnings io.Writer) error {
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); ours(name) && value == "" {
			if err := os.Unsetenv(name); err != nil {
				return fmt.Errorf("unset empty %s: %w", name, err)
			}
		}
	}
	file, from, warned, err := config.Files(".", os.Getenv) // where the worker reads them too
	if err != nil {
		return err
	}
	for _, w := range warned {
		_, _ = fmt.Fprintln(warnings, "warning:", w)
	}
	for name, value := range file {
		if _, set := os.LookupEnv(name); set || !ours(name) || value == "" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set %s of %s: %w", name, from[name], err)
		}
	}
	return nil
}

func ours(name string) bool {
	return strings.HasPrefix(name, "MLFLOW_") || strings.HasPrefix(name, "OTELCOL_") || name == "OTLP_BACKEND"
}
