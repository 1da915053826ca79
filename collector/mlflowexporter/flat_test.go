package mlflowexporter

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// In the flat layout every fixture becomes one run with all metrics and artifacts of its
// stages, the same in whatever order its spans come.
func TestFlatLayoutHoldsEverything(t *testing.T) {
	for _, name := range []string{"success", "gate_failed", "five_failures", "odd_characters"} {
		t.Run(name, func(t *testing.T) {
			requests, expected := loadFixture(t, name)
			deliver := func(all []ptrace.Traces) *mlflowtest.State {
				server := mlflowtest.Start()
				defer server.Close()
				cfg := testConfig(server.URL)
				cfg.Layout, cfg.UIURL = "flat", "http://ui"
				e := startExporter(t, cfg, exportertest.NewNopSettings(metadata.Type), host{storageID: &memory{data: map[string][]byte{}}})
				defer stop(t, e)
				for _, td := range all {
					if err := e.ConsumeTraces(t.Context(), td); err != nil {
						t.Fatal(err)
					}
				}
				return readState(t, server)
			}
			held := deliver(requests)
			if len(held.Runs) != 1 {
				t.Fatalf("%d runs", len(held.Runs))
			}
			for _, r := range expected.Runs {
				if r.Parent == "" {
					continue
				}
				job := held.Runs[r.Parent]
				for key := range r.Metrics {
					if _, ok := job.Metrics[r.Name+"/"+key]; !ok {
						t.Errorf("metric %s/%s is missing", r.Name, key)
					}
				}
				for path := range r.Artifacts {
					if _, ok := job.Artifacts[r.Name+"/"+path]; !ok {
						t.Errorf("artifact %s/%s is missing", r.Name, path)
					}
				}
			}
			for way, all := range map[string][]ptrace.Traces{
				"one request": {joined(requests)}, "span by span": splitAll(requests), "spans in reverse": reversed(splitAll(requests)),
				"twice": append(slices.Clone(requests), requests...),
			} {
				if diff := cmp.Diff(held, deliver(all)); diff != "" {
					t.Errorf("%s: %s", way, diff)
				}
			}
		})
	}
}
