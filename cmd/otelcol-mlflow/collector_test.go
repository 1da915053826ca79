package main

import (
	"context"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// beside readies the test for a Collector that writes to a fake of MLflow.
func beside(t *testing.T) *mlflowtest.Server {
	t.Helper()
	inDir(t)
	freePorts(t)
	server := mlflowtest.Start()
	t.Cleanup(server.Close)
	t.Setenv("MLFLOW_TRACKING_URI", server.URL)
	if err := loadDotenv(os.Stderr); err != nil { // unsets what inDir emptied
		t.Fatal(err)
	}
	return server
}

// startCollector runs the distribution with its embedded configuration; the function it
// returns stops it as SIGTERM would.
func startCollector(t *testing.T) func() {
	t.Helper()
	return startSettings(t, settings())
}

func startSettings(t *testing.T, set otelcol.CollectorSettings) func() {
	t.Helper()
	set.DisableGracefulShutdown = true // no signal handlers in a test
	col, err := otelcol.NewCollector(set)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- col.Run(context.Background()) }()
	await(t, "the Collector to run", func() bool {
		select {
		case err := <-done:
			t.Fatalf("the Collector ended: %v", err)
		default:
		}
		return col.GetState() == otelcol.StateRunning
	})
	return func() {
		t.Helper()
		col.Shutdown()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// await polls something that real I/O decides.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

func send(t *testing.T, requests []ptrace.Traces) {
	t.Helper()
	conn, err := grpc.NewClient(os.Getenv("OTELCOL_GRPC_ENDPOINT"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, td := range requests {
		if _, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(td)); err != nil {
			t.Fatal(err)
		}
	}
}

func runsIn(t *testing.T, server *mlflowtest.Server) map[string]*mlflowtest.Run {
	t.Helper()
	client, err := mlflow.New(mlflow.Config{Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	exp, err := client.GetExperimentByName(t.Context(), "technoshare_commentator")
	if mlflow.IsCode(err, mlflow.CodeNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	state, err := mlflowtest.Read(t.Context(), client, exp.ID)
	if err != nil {
		t.Fatal(err)
	}
	return state.Runs
}

// A job goes in while MLflow is up; a second one while it is down. The Collector stops,
// starts again, MLflow comes back, and both jobs are there once and whole.
func TestNothingIsLostWhileMLflowIsDown(t *testing.T) {
	first, wantFirst, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	second, wantSecond, err := fixture.Load("gate_failed")
	if err != nil {
		t.Fatal(err)
	}
	server := beside(t)
	var down atomic.Bool
	var refused atomic.Int64
	server.Fail(func(*http.Request) *mlflowtest.Fault {
		if !down.Load() {
			return nil
		}
		refused.Add(1)
		return &mlflowtest.Fault{Status: http.StatusServiceUnavailable}
	})
	want := slices.Concat(wantFirst.Runs, wantSecond.Runs)
	complete := func(runs []fixture.Run) func() bool {
		return func() bool {
			got := runsIn(t, server)
			for _, r := range runs {
				one := got[r.Key]
				if one == nil || one.Status != r.Status || len(one.Artifacts) != len(r.Artifacts) {
					return false
				}
			}
			return len(got) == len(runs)
		}
	}

	stop := startCollector(t)
	send(t, first)
	await(t, "the first job", complete(wantFirst.Runs))
	down.Store(true)
	send(t, second)
	await(t, "a request that MLflow refuses", func() bool { return refused.Load() > 0 })
	stop()

	stop = startCollector(t)
	down.Store(false)
	await(t, "the second job", complete(want))
	stop()
}
