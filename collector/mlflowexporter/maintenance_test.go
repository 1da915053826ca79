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
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
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
		m.once(t.Context(), begun)
		for key, run := range readState(t, server).Runs {
			if run.Parent == "" && run.Status != want {
				t.Errorf("minute %d: run %s is %s, want %s", i+1, key, run.Status, want)
			}
		}
	}
	if s := runs.Stats(); s.Records != 1 || s.Open != 0 {
		t.Errorf("ledger: %+v", s)
	}
	m.once(t.Context(), begun.Add(31*24*time.Hour))
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

// Without `stale_after` a verdict on a job that never comes is given up and counted when the ledger
// forgets what is as old, but not while MLflow cannot be asked.
func TestMaintenanceGivesUpVerdictsOfTheForgotten(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	client := clientOf(t, server)
	begun := time.Now()
	runs, err := ledger.Open(t.Context(), &ledger.Memory{}, ledger.Scope{Endpoint: server.URL}, begun)
	if err != nil {
		t.Fatal(err)
	}
	lone := map[string]int64{}
	m := &maintenance{ledger: runs, log: zap.NewNop(), pruned: begun, applier: apply.New(apply.Config{
		Client: client, Ledger: runs, DefaultExperiment: defaultExperiment, Count: func(event string, n int64) { lone[event] += n },
	})}
	if _, err := client.CreateExperiment(t.Context(), defaultExperiment); err != nil {
		t.Fatal(err)
	}
	trace := "449d7df392b813ad2671c893889f9c18"
	score := reduce.Score{ID: "a-1", TraceID: trace, RunKey: trace, Name: "helpful", Value: []byte("1"), StartMS: begun.UnixMilli() + 1}
	if err := m.applier.Apply(t.Context(), reduce.Plan{Scores: []reduce.Score{score}}); err != nil {
		t.Fatal(err)
	}
	check := func(day, records int, given int64) {
		t.Helper()
		m.once(t.Context(), begun.AddDate(0, 0, day))
		if s := runs.Stats(); s.Records != records || lone[apply.EventLoneScore] != given {
			t.Errorf("day %d: %+v, counted %v", day, s, lone)
		}
	}
	check(29, 1, 0)
	server.Fail(func(*http.Request) *mlflowtest.Fault { return &mlflowtest.Fault{Status: http.StatusServiceUnavailable} })
	check(31, 1, 0)
	server.Fail(nil)
	m.pruned = begun.AddDate(0, 0, 32) // it is not only looked after when the ledger is pruned
	check(32, 0, 1)
	check(33, 0, 1)
}

// What the ledger forgets for want of room is counted, and warned of once.
func TestMaintenanceTellsOfForgottenJobs(t *testing.T) {
	runs, err := ledger.Open(t.Context(), &ledger.Memory{MaxRecords: 1}, ledger.Scope{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	logged, entries := observer.New(zap.WarnLevel)
	counted := map[string]int64{}
	m := &maintenance{ledger: runs, log: zap.New(logged), count: func(reason string, n int64) { counted[reason] += n }}
	for _, id := range []string{"a", "b", "c", "d"} {
		some, err := runs.Begin(t.Context(), []ledger.Claim{{TraceID: id}})
		if err != nil {
			t.Fatal(err)
		}
		some[0].Job.Run(id).ID = "1"
		if err := runs.End(t.Context(), some); err != nil {
			t.Fatal(err)
		}
		if id != "c" {
			m.tellForgotten()
		}
	}
	if len(counted) != 1 || counted["forgotten"] != 3 || entries.Len() != 1 {
		t.Errorf("counted %v, warned %d times", counted, entries.Len())
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
