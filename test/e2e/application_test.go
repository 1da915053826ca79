//go:build e2e

package e2e

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/technoshare/commentator/test/sandbox"

	"github.com/google/go-cmp/cmp"
)

// otelPython is a Python with OpenTelemetry's SDK and without MLflow.
var otelPython = sync.OnceValues(func() (string, error) {
	cmd := exec.Command(filepath.Join(checkout, "scripts", "python_env.sh"),
		"otel-python", filepath.Join(checkout, "test", "e2e", "application", "requirements.txt"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
})

// A Python application that knows OpenTelemetry's SDK only gets runs and a trace through the
// embedded configuration by setting attributes. Its first stage arrives before its job.
func TestAnyApplicationInPython(t *testing.T) {
	const experiment = "nightly"
	s := sharedServer(t)
	interpreter, err := otelPython()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(interpreter, "-c", "import mlflow").CombinedOutput(); err == nil {
		t.Fatalf("this Python knows MLflow: %s", out)
	}
	c := startCollector(t, s.url, "default-of-the-collector", t.TempDir())
	cmd := exec.Command(interpreter, filepath.Join(checkout, "test", "e2e", "application", "nightly.py"), experiment)
	cmd.Env = append(sandbox.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+c.http)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run application: %v\n%s", err, out)
	}
	traceID := strings.TrimSpace(string(out))
	c.deliveredAtLeast(t, 6)

	held := s.dump(t, experiment)
	type line struct {
		Name, Status string
		Below        string
		Params       map[string]string
		Metrics      []string
		Tags         map[string]string
		Artifacts    []string
		Datasets     []string
	}
	byID := map[string]string{}
	for _, r := range held.Runs {
		byID[r.RunID] = r.Name
	}
	got := map[string]line{}
	for _, r := range held.Runs {
		below := byID[r.Tags["mlflow.parentRunId"]]
		if r.Tags["otel.trace_id"] != traceID || r.Tags["mlflow.source.name"] != "nightly-etl" {
			t.Errorf("%s has tags %v", r.Name, r.Tags)
		}
		own := maps.Clone(r.Tags)
		maps.DeleteFunc(own, func(key, _ string) bool { return strings.HasPrefix(key, "mlflow.") || strings.HasPrefix(key, "otel.") })
		got[r.Name] = line{r.Name, r.Status, below, r.Params, slices.Sorted(maps.Keys(r.Metrics)), own, slices.Sorted(maps.Keys(r.Artifacts)), r.Datasets}
	}
	const job = "nightly 2026-11-23"
	want := map[string]line{
		job: {
			job, "FINISHED", "", map[string]string{"date": "2026-11-23"}, []string{"latency_seconds", "ratio", "rows"}, map[string]string{"team": "search"}, nil, []string{},
		},
		"extract":           {"extract", "FINISHED", job, map[string]string{"source": "items.csv"}, []string{"latency_seconds", "rows"}, map[string]string{}, []string{"rows.json"}, []string{"items@2026-11-23"}},
		"describe the rows": {"describe the rows", "FINISHED", job, map[string]string{}, []string{"latency_seconds"}, map[string]string{}, nil, []string{}},
		"load":              {"load", "FAILED", job, map[string]string{}, []string{"latency_seconds"}, map[string]string{"table": "items"}, nil, []string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("runs (-want +got)\n%s", diff)
	}

	if len(held.Traces) != 1 {
		t.Fatalf("%d traces", len(held.Traces))
	}
	trace := held.Traces[0]
	if trace.ID != "tr-"+traceID || trace.Name != job || trace.State != "OK" || trace.Session != "november" || byID[trace.SourceRun] != job ||
		trace.TokenUsage["total_tokens"] != 120 || trace.CostUSD <= 0 || !strings.Contains(trace.Request, "2026-11-23") || !strings.Contains(trace.Response, "rows") {
		t.Errorf("trace is %+v", trace)
	}
	spans := map[string]string{}
	for _, one := range trace.Spans {
		spans[one.Name] = one.Type + " " + one.Status
	}
	if diff := cmp.Diff(map[string]string{
		"nightly": "CHAIN OK", "extract": "CHAIN OK", "GET": "UNKNOWN OK", "describe": "CHAIN OK", "chat gpt-4o": "CHAT_MODEL OK", "load": "CHAIN ERROR",
	}, spans); diff != "" {
		t.Errorf("spans (-want +got)\n%s", diff)
	}
}
