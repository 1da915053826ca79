package mlflowexporter

import (
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// Every request names the workspace, that of spans too, and none does without the key.
func TestEveryRequestNamesTheWorkspace(t *testing.T) {
	requests, _ := loadFixture(t, "success")
	for _, workspace := range []string{"", "team-a"} {
		server := mlflowtest.Start()
		var mu sync.Mutex
		named := map[string]bool{}
		server.Fail(func(r *http.Request) *mlflowtest.Fault {
			mu.Lock()
			defer mu.Unlock()
			named[r.Header.Get("X-MLFLOW-WORKSPACE")] = true
			return nil
		})
		cfg := testConfig(server.URL)
		cfg.Workspace = workspace
		e := startExporter(t, cfg, exportertest.NewNopSettings(metadata.Type), host{storageID: &memory{data: map[string][]byte{}}})
		for _, td := range requests {
			if err := e.ConsumeTraces(t.Context(), td); err != nil {
				t.Error(err)
			}
		}
		stop(t, e)
		server.Close()
		if diff := cmp.Diff(map[string]bool{workspace: true}, named); diff != "" {
			t.Errorf("workspaces named: %s", diff)
		}
	}
}
