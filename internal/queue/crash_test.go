package queue_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

// The environment of a child process, which works off a database until nothing is open.
const (
	childPath = "QUEUE_TEST_DB"
	childKill = "QUEUE_TEST_KILL" // the point at which it kills itself
	childHost = "QUEUE_TEST_HOST" // the name of its host; empty: the system's
)

// steps is a small pipeline: each stage's work is a line on standard output. At the
// point called kill the process ends by SIGKILL.
func steps(s *store.Store, kill string) queue.Handler {
	at := func(point string) {
		if point == kill {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	return func(ctx context.Context, id int64, complete func(*sql.Tx) error) error {
		at("start")
		a, err := s.BeginAttempt(ctx, id, time.Now(), detail, jobStarted)
		if errors.Is(err, store.ErrFinal) {
			return nil
		}
		if err != nil {
			return err
		}
		at("begun")
		for _, stage := range commentator.Stages {
			if slices.ContainsFunc(a.Stages, func(r commentator.StageRecord) bool { return r.Stage == stage && !r.Failed() }) {
				continue
			}
			fmt.Println("work", stage)
			at("worked " + string(stage))
			rec := commentator.StageRecord{Stage: stage, StartedAt: time.Now(), EndedAt: time.Now(), Result: []byte("{}")}
			msg := telemetry.Message{Kind: string(stage), Body: []byte("x"), Size: 1}
			if err := s.CommitStage(ctx, a.Job, rec, msg, nil); err != nil {
				return err
			}
			at("committed " + string(stage))
		}
		end := store.Ending{Outcome: commentator.OutcomeSuccess, At: time.Now()}
		_, err = s.Finish(ctx, a.Job, end, jobEnded, func(tx *sql.Tx) error {
			err := complete(tx)
			at("finishing")
			return err
		})
		at("finished")
		return err
	}
}

// child is the main function of a child process.
func child() int {
	err := func() error {
		ctx := context.Background()
		s, err := store.Open(ctx, os.Getenv(childPath))
		if err != nil {
			return err
		}
		q, err := queue.New(ctx, queue.Config{
			DB: s.DB(), Reader: s.Reader(), LockPath: s.LockPath(), Address: s.Address(), Host: os.Getenv(childHost),
			HostTimeout: time.Hour, // what was killed on the same host does not wait for it
			Handler:     steps(s, os.Getenv(childKill)),
			OpenJobs:    s.OpenJobs, Lost: conclude(s),
		})
		if err != nil {
			return err
		}
		if err := q.Start(ctx); err != nil {
			return err
		}
		for {
			open, err := s.OpenJobs(ctx)
			if err != nil {
				return err
			}
			if len(open) == 0 && os.Getenv(childKill) == "" {
				return errors.Join(q.Stop(ctx), s.Close())
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// runChild lets a child work on the database and returns the stages that it worked on. A job
// that was killed has to go on and end within patience: by itself River would wait for more than
// eleven minutes.
func runChild(t *testing.T, path, kill string) (worked []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childPath+"="+path, childKill+"="+kill)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("the child with kill %q never ended; %s%s", kill, out.String(), errOut.String())
	}
	var exit *exec.ExitError
	killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if kill == "" && err != nil || kill != "" && !killed {
		t.Fatalf("the child with kill %q ended with %v: %s", kill, err, errOut.String())
	}
	for line := range strings.Lines(out.String()) {
		if stage, ok := strings.CutPrefix(strings.TrimSpace(line), "work "); ok {
			worked = append(worked, stage)
		}
	}
	return worked
}

// TestAKilledJobGoesOnWithoutRepeatingAFinishedStage kills the process at each point of
// a job, twice in a row, and lets a third one go on.
func TestAKilledJobGoesOnWithoutRepeatingAFinishedStage(t *testing.T) {
	type killPoint struct {
		name  string
		done  int // stages that are finished when the process ends
		begun int // attempts that the two killed processes leave open
	}
	points := []killPoint{{"start", 0, 0}, {"begun", 0, 2}}
	for i, stage := range commentator.Stages {
		points = append(points, killPoint{"worked " + string(stage), i, 2})
	}
	points = append(points, killPoint{"finishing", 5, 2})
	for _, p := range points {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			path := newDatabase(t)
			id := prepare(t, path)
			runChild(t, path, p.name)
			runChild(t, path, p.name)
			worked := runChild(t, path, "")
			check(t, path, id, p.begun, worked, p.done)
		})
	}
	for i, stage := range commentator.Stages {
		t.Run("committed "+string(stage), func(t *testing.T) {
			t.Parallel()
			path := newDatabase(t)
			id := prepare(t, path)
			runChild(t, path, "committed "+string(stage))
			worked := runChild(t, path, "")
			check(t, path, id, 1, worked, i+1)
		})
	}
	t.Run("finished", func(t *testing.T) {
		t.Parallel()
		path := newDatabase(t)
		id := prepare(t, path)
		runChild(t, path, "finished")
		worked := runChild(t, path, "")
		check(t, path, id, 0, worked, 5)
	})
}

// prepare makes a database with one job.
func prepare(t *testing.T, path string) int64 {
	t.Helper()
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.New(t.Context(), queue.Config{DB: s.DB(), LockPath: s.LockPath(), Address: s.Address()})
	if err != nil {
		t.Fatal(err)
	}
	m := commentator.Message{Channel: "C1", TS: "1", ReceivedAt: time.Now()}
	jobs, _, err := s.Ingest(t.Context(), m, []string{"https://example.org/"}, false, q.Enqueue)
	if err := errors.Join(err, q.Stop(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	return jobs[0].ID
}

// check makes sure that the job ended well, that everything is recorded once, and that
// the last process only did what was missing.
func check(t *testing.T, path string, id int64, kills int, worked []string, done int) {
	t.Helper()
	s := openStore(t, path)
	j, err := s.Job(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if j.State != commentator.JobFinal || j.Outcome != commentator.OutcomeSuccess || j.Kills != kills || j.Failures != 0 || j.Attempt != kills+1 {
		t.Errorf("job %+v, want success after %d kills", j, kills)
	}
	records, err := s.Stages(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var all, recorded, missing []string
	for i, stage := range commentator.Stages {
		all = append(all, string(stage))
		if i >= done {
			missing = append(missing, string(stage))
		}
	}
	for _, r := range records {
		recorded = append(recorded, string(r.Stage))
	}
	if diff := cmp.Diff(all, recorded); diff != "" {
		t.Error("recorded stages:", diff)
	}
	if diff := cmp.Diff(missing, worked); diff != "" {
		t.Error("stages of the last process:", diff)
	}
	var kinds []string
	rows, err := s.Unsent(t.Context(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		kinds = append(kinds, r.Kind)
	}
	want := slices.Concat([]string{"job started"}, all, []string{"process jobs"})
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error("messages:", diff)
	}
	if got, want := states(t, s), fmt.Sprintf("%d completed", id); got != want {
		t.Errorf("queue holds %q, want %q", got, want)
	}
}
