package routing

import (
	"path/filepath"
	"testing"

	"go.opentelemetry.io/collector/otelcol"
)

// Every configuration that is shipped is valid.
func TestEveryConfigurationIsValid(t *testing.T) {
	files := recipes(t)
	for _, file := range files {
		t.Setenv("OTELCOL_DATA_DIR", t.TempDir())
		col, err := otelcol.NewCollector(settings("file:" + file))
		if err != nil {
			t.Fatal(err)
		}
		if err := col.DryRun(t.Context()); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func recipes(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.yaml", filepath.Join("full", "*.yaml")} {
		found, err := filepath.Glob(filepath.Join("..", "..", "otel-config", pattern))
		if err != nil || len(found) < 3 {
			t.Fatalf("%s finds %v, %v", pattern, found, err)
		}
		files = append(files, found...)
	}
	return files
}

func TestTrackingAndTracing(t *testing.T) {
	server := startMLflow(t)
	t.Setenv("OTELCOL_PROMETHEUS_ENDPOINT", freeAddress(t))
	c := start(t, newPlace(t), "mlflow.yaml")
	jobs := []job{recorded(t, "success"), recorded(t, "tracking_only"), recorded(t, "retried"), recorded(t, "late_feedback")}
	for _, j := range jobs {
		c.send(j.requests...)
	}
	c.sendMetrics(queueDepth("w"))
	server.holds(t, jobs...)
	server.serves(t, "w")
}

// The workers send jobs in full detail; MLflow gets runs alone.
func TestTrackingOnly(t *testing.T) {
	server := startMLflow(t)
	c := start(t, newPlace(t), "tracking-only.yaml")
	j := recorded(t, "success")
	c.send(j.requests...)
	c.sendMetrics(queueDepth("w"))
	j.expected.Traces = nil
	server.holds(t, j)
	server.serves(t, "w")
}
