package mlflowexporter

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// The maintenance ends a run that is stale, a minute at a time, and makes the ledger forget
// old jobs once an hour.
func TestMaintenanceReapsAndPrunes(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	requests, _ := loadFixture(t, "started_only")
	kept := &memory{data: map[string][]byte{}}
	cfg := testConfig(server.URL)
	e := startExporter(t, cfg, exportertest.NewNopSettings(metadata.Type), host{storageID: kept})
	if err := e.ConsumeTraces(t.Context(), requests[0]); err != nil {
		t.Fatal(err)
	}
	stop(t, e)

	client := clientOf(t, server)
	begun := time.Now()
	runs, err := ledger.Open(t.Context(), kept, ledger.Scope{Endpoint: server.URL}, begun)
	if err != nil {
		t.Fatal(err)
	}
	logged, entries := observer.New(zap.InfoLevel)
	m := &maintenance{
		ledger: runs, staleAfter: 3 * time.Minute, log: zap.New(logged), pruned: begun,
		applier: apply.New(apply.Config{Client: client, Ledger: runs, DefaultExperiment: defaultExperiment}),
	}
	for i, want := range []string{"RUNNING", "RUNNING", "KILLED"} {
		m.once(t.Context(), begun, time.Minute)
		for key, run := range readState(t, server).Runs {
			if run.Parent == "" && run.Status != want {
				t.Errorf("minute %d: run %s is %s, want %s", i+1, key, run.Status, want)
			}
		}
	}
	if s := runs.Stats(); s.Records != 1 || s.Open != 0 {
		t.Errorf("ledger: %+v", s)
	}
	m.once(t.Context(), begun.Add(31*24*time.Hour), time.Minute)
	if s := runs.Stats(); s.Records != 0 || s.Bytes != 0 {
		t.Errorf("ledger after 31 days: %+v", s)
	}
	if n := entries.FilterMessageSnippet("forgot what is old").Len(); n != 1 {
		var all []string
		for _, entry := range entries.All() {
			all = append(all, entry.Message)
		}
		t.Errorf("logged %s", strings.Join(all, "; "))
	}
}

type answers func(*http.Request) *http.Response

func (f answers) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// From the start on, and while nothing is written, MLflow is asked whether it is there.
func TestMaintenanceAsksAfterMLflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		client, err := mlflow.New(mlflow.Config{Endpoint: "http://mlflow", Wrap: func(http.RoundTripper) (http.RoundTripper, error) {
			return answers(func(*http.Request) *http.Response {
				asked++
				body := `{"error_code": "RESOURCE_DOES_NOT_EXIST"}`
				return &http.Response{StatusCode: http.StatusNotFound, Body: io.NopCloser(strings.NewReader(body))}
			}), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		runs, err := ledger.Open(t.Context(), &memory{data: map[string][]byte{}}, ledger.Scope{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		m := &maintenance{applier: apply.New(apply.Config{Client: client, Ledger: runs, DefaultExperiment: "e"}), ledger: runs, log: zap.NewNop(), pruned: time.Now()}
		ctx, cancel := context.WithCancel(t.Context())
		go m.run(ctx)
		time.Sleep(59 * time.Second)
		cancel()
		synctest.Wait()
		if asked != 4 { // after 0, 15, 30 and 45 s
			t.Errorf("asked %d times in a minute", asked)
		}
	})
}
