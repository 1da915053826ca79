package pipeline

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/test/dbtest"
)

// TestMain is the test binary, or, when a test runs it again with this variable set, a
// worker that kills itself.
func TestMain(m *testing.M) {
	if script := os.Getenv("PIPELINE_TEST_WORKER"); script != "" {
		if err := workUntilKilled(script); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// workUntilKilled works a database's queue off and sends SIGKILL to itself at a point of a
// stage. The script is "database|point|stage|link"; with a link the job is made first.
func workUntilKilled(script string) error {
	part := strings.Split(script, "|")
	ctx := context.Background()
	r, end, err := openRig(ctx, rigConfig{database: part[0], mode: telemetry.ModeTracing})
	if err != nil {
		return err
	}
	r.reached = func(p point, s commentator.Stage) {
		if string(p) == part[1] && string(s) == part[2] {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	q, err := r.newQueue(ctx)
	if err != nil {
		return err
	}
	if part[3] != "" {
		m := commentator.Message{Channel: "C0123456789", TS: "1700000000.000001", ReceivedAt: time.Now()}
		if _, _, err := r.Store.Ingest(ctx, m, []string{part[3]}, false, q.Enqueue); err != nil {
			return err
		}
	}
	if err := q.Start(ctx); err != nil {
		return err
	}
	if err := r.drain(ctx); err != nil {
		return err
	}
	if err := q.Stop(ctx); err != nil {
		return err
	}
	return end()
}

func (r *rig) newQueue(ctx context.Context) (*queue.Queue, error) {
	return queue.New(ctx, queue.Config{
		DB: r.Store.DB(), Reader: r.Store.Reader(), LockPath: r.Store.LockPath(), Address: r.Store.Address(),
		Handler: r.Handle, OpenJobs: r.Store.OpenJobs, Lost: r.Lost, Backoff: []time.Duration{time.Millisecond},
	})
}

// drain waits until no job is open.
func (r *rig) drain(ctx context.Context) error {
	deadline, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		open, err := r.Store.OpenJobs(deadline)
		if err != nil || len(open) == 0 {
			return err
		}
		select {
		case <-deadline.Done():
			return fmt.Errorf("jobs %v are still open", open)
		case <-time.After(5 * time.Millisecond): // another process writes what is polled
		}
	}
}

// worker runs the test binary as a worker and says whether it was killed.
func runWorker(t *testing.T, database, p, stage, link string) (killed bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PIPELINE_TEST_WORKER="+strings.Join([]string{database, p, stage, link}, "|"))
	var output bytes.Buffer
	cmd.Stderr = &output
	err := cmd.Run()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	killed = ok && status.Signaled() && status.Signal() == syscall.SIGKILL
	if err != nil && !killed {
		t.Fatalf("worker: %v\n%s", err, &output)
	}
	return killed
}

// A worker that is killed in any stage, or right behind its commit, is started again; no
// finished stage is repeated, and the outbox holds each message once.
func TestKilledInAnyStageItGoesOnBehindTheLastRecordedOne(t *testing.T) {
	for _, p := range []point{pointWorked, pointCommitted} {
		for i, stage := range commentator.Stages {
			t.Run(string(p)+" "+string(stage), func(t *testing.T) {
				t.Parallel()
				web, database := newSite(t), dbtest.New(t)
				if !runWorker(t, database, string(p), string(stage), web.URL+"/article/3") {
					t.Fatal("the worker was not killed")
				}
				if runWorker(t, database, "", "", "") {
					t.Fatal("the second worker was killed")
				}
				recordedBefore := i
				if p == pointCommitted {
					recordedBefore++
				}
				checkResumed(t, newRig(t, rigConfig{database: database}), web, recordedBefore, 1)
			})
		}
	}
}

// Killed twice in a row, at the same place and at a later one.
func TestKilledTwiceItGoesOn(t *testing.T) {
	web, database := newSite(t), dbtest.New(t)
	runWorker(t, database, string(pointWorked), string(commentator.StageA), web.URL+"/article/3")
	runWorker(t, database, string(pointWorked), string(commentator.StageA), "")
	if runWorker(t, database, "", "", "") {
		t.Fatal("the last worker was killed")
	}
	checkResumed(t, newRig(t, rigConfig{database: database}), web, 1, 2)
}

// checkResumed checks the only job of a database: recordedBefore stages come from its first
// attempt, the others from the last one.
func checkResumed(t *testing.T, r *rig, web *site, recordedBefore, kills int) {
	t.Helper()
	report := r.report(t, 1)
	job, err := r.Store.Job(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if report.Outcome != commentator.OutcomeSuccess || job.Kills != kills || job.Failures != 0 {
		t.Errorf("outcome %s (%s), %d kills, %d failures", report.Outcome, report.Error, job.Kills, job.Failures)
	}
	type attempt struct {
		Stage   commentator.Stage
		Attempt int
	}
	var want, got []attempt
	kinds := []string{wire.SpanJobStarted}
	for i, s := range commentator.Stages {
		n := 1
		if i >= recordedBefore {
			n += kills
		}
		want = append(want, attempt{s, n})
		kinds = append(kinds, string(s))
	}
	for _, s := range report.Stages {
		got = append(got, attempt{s.Stage, s.Attempt})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recorded stages (-want +got):\n%s", diff)
	}
	fetched := 1
	if recordedBefore == 0 {
		fetched += kills
	}
	if n := web.count("/article/3"); n != fetched {
		t.Errorf("the page was fetched %d times, want %d", n, fetched)
	}
	stored, spans := r.outbox(t)
	if diff := cmp.Diff(append(kinds, wire.SpanJob), stored); diff != "" {
		t.Errorf("outbox (-want +got):\n%s", diff)
	}
	checkTrace(t, report, spans)
	if n := riverRows(t, r.Store.DB()); n != 0 {
		t.Errorf("the queue still holds %d jobs", n)
	}
}

func riverRows(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRow(`SELECT count(*) FROM river_job WHERE state NOT IN ('completed', 'cancelled', 'discarded')`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
