package main

import (
	"os"
	"path/filepath"
	"testing"
)

// Every configuration that is shipped is valid.
func TestShippedConfigurationsAreValid(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "otel-config", "*.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("found %v, %v", files, err)
	}
	for i := range files {
		if files[i], err = filepath.Abs(files[i]); err != nil {
			t.Fatal(err)
		}
	}
	inDir(t)
	for _, file := range files {
		if out, err := execute(t, "validate", "--config", file); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(file), err, out)
		}
	}
}

func TestMLflowYAMLIsTheEmbeddedConfiguration(t *testing.T) {
	body, err := os.ReadFile(filepath.Join("..", "..", "otel-config", "mlflow.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if string(body) != defaultConfig {
		t.Error("otel-config/mlflow.yaml and cmd/otelcol-mlflow/default.yaml differ: copy the one over the other")
	}
}
