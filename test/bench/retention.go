//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/retention/retentiontest"
	"github.com/technoshare/commentator/internal/sqlitefile"
	"github.com/technoshare/commentator/test/sandbox"
)

const (
	retentionJobs = 834 // 5,004 run rows that go, unless -jobs says otherwise
	retentionLast = 50  // jobs that are as old and stay because they are the last
	retentionDays = 90
)

// retentionBench is one store with a history, of which each way gets a copy.
type retentionBench struct {
	o       options
	program string // mlflowctl
	python  string
	store   retentiontest.Store
	jobs    []retentiontest.Job // the oldest first; the first o.jobs of them go
}

// benchRetention lets mlflowctl and `mlflow gc` remove the same runs from copies of one store.
func benchRetention(o options) error {
	ctx := context.Background()
	began := time.Now()
	o.jobs = cmp.Or(o.jobs, retentionJobs)
	b := &retentionBench{o: o, program: filepath.Join(o.dir, "mlflowctl")}
	var err error
	if b.python, err = python(o.top); err != nil {
		return fmt.Errorf("find MLflow's Python: %w", err)
	}
	build := exec.Command("go", "build", "-o", b.program, "./cmd/mlflowctl")
	build.Dir = o.top
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build mlflowctl: %w\n%s", err, out)
	}
	r := &retentionResult{Time: began, Revision: revision(), Machine: sandbox.Machine(), RunRows: 6 * o.jobs}
	say("writing one job through MLflow and multiplying it")
	if err := b.fill(ctx, r); err != nil {
		return fmt.Errorf("fill the store: %w", err)
	}
	for _, way := range []struct {
		name string
		do   func(context.Context, *retentionResult) error
	}{
		{"mlflowctl retention", b.whole}, {"mlflowctl retention, killed", b.killed}, {"mlflow gc", b.gc}, {"odd runs", b.odd},
	} {
		say(way.name)
		if err := way.do(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
	}
	r.Seconds = time.Since(began).Seconds()
	r.Same = r.Whole.State.Digest == r.Killed.State.Digest
	path := filepath.Join(o.out, "retention.json")
	if err := save(path, r); err != nil {
		return err
	}
	return r.print(path)
}

func say(what string) { fmt.Fprintln(os.Stderr, time.Now().Format("15:04:05"), what) }

// at gives a copy of the store with an MLflow on it.
func (b *retentionBench) at(name string) (*server, *mlflow.Client, retentiontest.Store, error) {
	dir := filepath.Join(b.o.dir, name)
	var store retentiontest.Store
	var err error
	if b.store.Database == "" {
		store = retentiontest.Store{Database: filepath.Join(dir, "mlflow", "mlflow.db"), Artifacts: filepath.Join(dir, "mlflow", "mlartifacts")}
		err = os.MkdirAll(dir, 0o750)
	} else {
		store, err = b.store.Copy(filepath.Join(dir, "mlflow"))
	}
	if err != nil {
		return nil, nil, store, err
	}
	// With one worker there is no supervisor that kills it when a busy machine keeps it from answering.
	s, err := startServer(b.o.top, dir, "", "--workers", "1")
	if err != nil {
		return nil, nil, store, err
	}
	client, err := mlflow.New(mlflow.Config{Endpoint: s.url})
	if err != nil {
		s.stop()
	}
	return s, client, store, err
}

// fill makes the store: jobs that go, the last ones as old as these, and fifty young ones.
func (b *retentionBench) fill(ctx context.Context, r *retentionResult) error {
	s, client, store, err := b.at("store")
	if err != nil {
		return err
	}
	defer s.stop()
	defer client.Close()
	experiment, err := client.CreateExperiment(ctx, "bench")
	if err != nil {
		return err
	}
	began := time.Now()
	var starts []time.Time
	old := b.o.jobs + retentionLast
	for i := range old + 50 {
		age := time.Duration(retentionDays+1)*24*time.Hour + time.Duration(old-i)*time.Hour
		if i >= old {
			age = time.Duration(old+50-i) * time.Hour
		}
		starts = append(starts, began.Add(-age))
	}
	first, err := retentiontest.Write(ctx, client, experiment, 0, starts[0])
	if err != nil {
		return err
	}
	more, err := store.Multiply(ctx, first, 1, starts[1:])
	if err != nil {
		return err
	}
	client.Close() // MLflow has closed the connection, which was idle for long
	b.jobs = append([]retentiontest.Job{first}, more...)
	if err := b.readable(ctx, client, experiment); err != nil {
		return err
	}
	b.store = store
	s.stop()
	r.Fill = time.Since(began).Seconds()
	r.Before, err = store.State(ctx)
	return err
}

// readable makes sure that MLflow finds and shows what the multiplication added.
func (b *retentionBench) readable(ctx context.Context, client *mlflow.Client, experiment string) error {
	n := 0
	in := mlflow.SearchRuns{ExperimentIDs: []string{experiment}, MaxResults: 1000}
	for {
		runs, next, err := client.SearchRuns(ctx, in)
		if err != nil {
			return err
		}
		n += len(runs)
		if in.PageToken = next; next == "" {
			break
		}
	}
	if n != 6*len(b.jobs) {
		return fmt.Errorf("MLflow finds %d runs, want %d", n, 6*len(b.jobs))
	}
	for i := 0; i < len(b.jobs); i += max(1, len(b.jobs)/20) {
		j := b.jobs[i]
		trace, err := client.GetTrace(ctx, "tr-"+j.Trace)
		if err != nil {
			return err
		}
		file, err := client.GetArtifact(ctx, j.Runs[1], "evidence.json")
		if err != nil {
			return err
		}
		if len(trace.Spans) != 12 || len(trace.Info.Assessments) != 1 || trace.Info.Metadata[mlflow.MetaSourceRun] != j.Root || len(file) < 19_000 {
			return fmt.Errorf("job %d has %d spans, a trace of run %s and a file of %d bytes", j.ID, len(trace.Spans), trace.Info.Metadata[mlflow.MetaSourceRun], len(file))
		}
	}
	return nil
}

func (b *retentionBench) command(ctx context.Context, url string, store retentiontest.Store, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.program, append([]string{
		"--tracking-uri", url, "--experiment", "bench", "retention", "--json", "--keep-last", fmt.Sprint(retentionLast + 50), "--keep-for", fmt.Sprintf("%dd", retentionDays),
		"--mlflow-store", "sqlite:///" + store.Database, "--artifacts", store.Artifacts,
	}, args...)...)
	cmd.Env, cmd.Dir = sandbox.Environ(), b.o.dir
	return cmd
}

// retain runs it to its end.
func (b *retentionBench) retain(ctx context.Context, url string, store retentiontest.Store, args ...string) (json.RawMessage, float64, error) {
	cmd := b.command(ctx, url, store, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	began := time.Now()
	out, err := cmd.Output()
	if err != nil {
		return nil, 0, fmt.Errorf("%w\n%s%s", err, out, stderr.String())
	}
	return out, time.Since(began).Seconds(), nil
}

// whole lets it run to its end, while somebody else writes to MLflow.
func (b *retentionBench) whole(ctx context.Context, r *retentionResult) error {
	s, client, store, err := b.at("whole")
	if err != nil {
		return err
	}
	defer s.stop()
	defer client.Close()
	if r.Whole.Plan, r.Whole.DrySeconds, err = b.retain(ctx, s.url, store); err != nil {
		return err
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var beside error
	wg.Go(func() { r.Whole.BesideMS, r.Whole.BesideFailed, beside = b.writeBeside(ctx, client, stop) })
	r.Whole.Report, r.Whole.Seconds, err = b.retain(ctx, s.url, store, "--apply")
	close(stop)
	wg.Wait()
	if err = errors.Join(err, beside); err != nil {
		return err
	}
	if r.Whole.Server, err = readableAfter(ctx, client); err != nil {
		return err
	}
	s.stop()
	r.Whole.State, err = store.State(ctx)
	return err
}

// writeBeside sets a tag again and again, and removes it at the end. It counts what MLflow could
// not do at the moment.
func (b *retentionBench) writeBeside(ctx context.Context, client *mlflow.Client, stop <-chan struct{}) (took []float64, failed int, err error) {
	run := b.jobs[len(b.jobs)-1].Root
	for i := 0; ; i++ {
		began := time.Now()
		err := client.SetTag(ctx, run, "beside", fmt.Sprint(i))
		var e *mlflow.Error
		switch {
		case err == nil:
			took = append(took, float64(time.Since(began).Microseconds())/1000)
		case errors.As(err, &e) && e.Retryable():
			failed++
		default:
			return took, failed, fmt.Errorf("write beside it: %w", err)
		}
		select {
		case <-stop:
			return took, failed, client.DeleteTag(ctx, run, "beside")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// readableAfter counts the runs and traces that MLflow itself finds.
func readableAfter(ctx context.Context, client *mlflow.Client) (map[string]int, error) {
	e, err := client.GetExperimentByName(ctx, "bench")
	if err != nil {
		return nil, err
	}
	runs, _, err := client.SearchRuns(ctx, mlflow.SearchRuns{ExperimentIDs: []string{e.ID}, View: mlflow.ViewAll, MaxResults: 5000})
	if err != nil {
		return nil, err
	}
	traces, _, err := client.SearchTraces(ctx, mlflow.SearchTraces{ExperimentIDs: []string{e.ID}, MaxResults: 500})
	return map[string]int{"runs": len(runs), "traces": len(traces)}, err
}

// killed kills it five times on its way, and then lets it end.
func (b *retentionBench) killed(ctx context.Context, r *retentionResult) error {
	s, client, store, err := b.at("killed")
	if err != nil {
		return err
	}
	defer s.stop()
	defer client.Close()
	db, err := sql.Open("sqlite", sqlitefile.Source(store.Database, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(30000)"}}))
	if err != nil {
		return err
	}
	defer db.Close()
	const kills = 5
	for i := range kills {
		moved := 6 * b.o.jobs * (2*i + 1) / (2 * kills)
		if err := b.kill(ctx, s.url, store, db, r.Before.Rows["runs"]-moved); err != nil {
			return err
		}
		r.Killed.KilledAfter = append(r.Killed.KilledAfter, moved)
	}
	if r.Killed.Report, r.Killed.Seconds, err = b.retain(ctx, s.url, store, "--apply"); err != nil {
		return err
	}
	s.stop()
	r.Killed.State, err = store.State(ctx)
	return err
}

// kill starts it and kills it as soon as no more than so many runs are active.
func (b *retentionBench) kill(ctx context.Context, url string, store retentiontest.Store, db *sql.DB, active int) error {
	cmd := b.command(ctx, url, store, "--apply")
	if err := cmd.Start(); err != nil {
		return err
	}
	var ended error
	done := make(chan struct{})
	go func() { ended = cmd.Wait(); close(done) }()
	for {
		var n int
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'`).Scan(&n); err != nil {
			return err
		}
		if n <= active {
			break
		}
		select {
		case <-done:
			return fmt.Errorf("it ended before it was killed: %w", ended)
		case <-time.After(time.Millisecond):
		}
	}
	defer func() { <-done }()
	return cmd.Process.Kill()
}
