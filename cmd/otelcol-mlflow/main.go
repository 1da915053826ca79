// Command otelcol-mlflow is an OpenTelemetry Collector with the mlflow exporter. Without
// arguments it runs the configuration in default.yaml: OTLP in, MLflow out, with a queue on
// disk in between.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := newCommand().Execute(); err != nil {
		// cobra has printed the error itself.
		if hint := hintFor(err, os.Getenv); hint != "" {
			fmt.Fprintln(os.Stderr, hint)
		}
		os.Exit(1)
	}
}
