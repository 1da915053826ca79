package mlflowexporter

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

var update = flag.Bool("update", false, "write the golden files")

// isGolden compares with a golden file, which -update writes first.
func isGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s; run with -update if it should (-want +got)\n%s", file, diff)
	}
}

func preview(t *testing.T, cfg *Config, messages ...ptrace.Traces) string {
	t.Helper()
	p, err := NewPreview(t.Context(), cfg, messages)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if n, err := p.WriteTo(&out); err != nil || n != int64(out.Len()) {
		t.Fatalf("wrote %d of %d bytes: %v", n, out.Len(), err)
	}
	return out.String()
}

// What is printed, as people see it.
func TestPreview(t *testing.T) {
	load := func(name string) []ptrace.Traces {
		requests, _ := loadFixture(t, name)
		return requests
	}
	flat := testConfig("http://127.0.0.1:5000")
	flat.Layout = reduce.LayoutFlat
	flat.Artifacts.Exclude = []string{"*.txt"}
	shared := testConfig("http://127.0.0.1:5000")
	shared.Ownership = ownershipShared
	for name, c := range map[string]struct {
		cfg      *Config
		messages []ptrace.Traces
	}{
		"success":          {testConfig("http://127.0.0.1:5000"), load("success")},
		"one_message":      {testConfig("http://127.0.0.1:5000"), []ptrace.Traces{joined(load("success"))}},
		"flat_gate_failed": {flat, []ptrace.Traces{joined(load("gate_failed"))}},
		"shared":           {shared, []ptrace.Traces{joined(load("success"))}},
		"started_only":     {testConfig("http://127.0.0.1:5000"), load("started_only")},
		"any_application": {testConfig("http://127.0.0.1:5000"), []ptrace.Traces{joined(otherApplication(t, map[string]any{
			"service.name": "etl", "experiment.name": "nightly", "run.traces": "true",
		}))}},
	} {
		t.Run(name, func(t *testing.T) {
			got := preview(t, c.cfg, c.messages...)
			isGolden(t, filepath.Join("testdata", "plan", name+".txt"), got)
			// The requests overlap; what is printed must not depend on which was first.
			for range 5 {
				if again := preview(t, c.cfg, c.messages...); again != got {
					t.Fatal(cmp.Diff(got, again))
				}
			}
		})
	}
}

// Spans that mean nothing, cannot be kept or meet a broken condition are named.
func TestPreviewNamesWhatIsLeftOut(t *testing.T) {
	cfg := testConfig("http://127.0.0.1:5000")
	cfg.Mapping.OtherStage.Condition = `Len(span.attributes["run.metric.rows"]) > 1`
	messages := otherApplication(t, map[string]any{"service.name": "etl"})
	messages[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetSpanID([8]byte{})
	got := preview(t, cfg, messages...)
	for _, want := range []string{"LEFT OUT", "invalid_id", "GET", `classify span "extract"`, "no condition holds"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
}
