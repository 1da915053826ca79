//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/retention"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/test/sandbox"
)

// reconciled is what `mlflowctl reconcile --json` says.
type reconciled struct {
	Jobs, Runs, Files, Traces     int
	Lost, Doubled, Wrong, Deleted []struct{ Job int64 }
	Retired                       int
	Whole                         bool
	Repair                        struct{ Jobs []int64 }
	Before                        struct{ Lost []struct{ Item string } } `json:"before_repair"`
}

// reconcile runs the command, which ends with a code.
func (w *worker) reconcile(t *testing.T, s *server, c *collector, experiment string, code int, args ...string) reconciled {
	t.Helper()
	args = append([]string{"--tracking-uri", s.url, "--experiment", experiment, "reconcile", "--json"}, args...)
	var r reconciled
	w.operate(t, &r, code, []string{"DB_PATH=" + w.database(), "OTELCOL_REPLAY_ENDPOINT=" + c.repairs}, args...)
	return r
}

// operate runs mlflowctl, which ends with a code, and reads the JSON that it prints.
func (w *worker) operate(t *testing.T, into any, code int, environ []string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, "mlflowctl"), args...)
	cmd.Dir, cmd.Env = w.dir, append(sandbox.Environ(), environ...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if got := cmd.ProcessState.ExitCode(); (err != nil && !errors.As(err, &exit)) || got != code {
		t.Fatalf("mlflowctl %s: exit %d, want %d: %v\n%s%s", strings.Join(args, " "), got, code, err, &stdout, &stderr)
	}
	if err := json.Unmarshal(stdout.Bytes(), into); err != nil {
		t.Fatalf("read %s: %v", &stdout, err)
	}
}

// TestRemovedRunsComeBackAndOnlyThey removes three runs for good, as `mlflow gc` does, and
// lets somebody delete two others: the three are made again with everything in them, and of the
// others only what is asked for.
func TestRemovedRunsComeBackAndOnlyThey(t *testing.T) {
	const experiment = "reconciled"
	s := sharedServer(t)
	c := startCollector(t, s.url, experiment, t.TempDir())
	w := newWorker(t, c)
	const jobs = 4
	ids := make([]string, jobs) // trace ids
	for i := range ids {
		w.run(t, "replay", w.page)
		w.flushed(t)
		ids[i] = w.traceID(t)
	}
	if r := w.reconcile(t, s, c, experiment, 0); r.Jobs != jobs || r.Runs != 6*jobs || r.Files != 6*jobs || r.Traces != jobs || !r.Whole {
		t.Fatalf("what was delivered just now: %+v", r)
	}
	before := s.dump(t, experiment)

	// A job's own run, one of its stages and a stage of another job are gone for good; somebody
	// deleted a stage beside that one, and the run of a third job.
	removed := []string{before.id(t, ids[0], ""), before.id(t, ids[0], wire.SpanStageA), before.id(t, ids[1], wire.SpanRetrieval)}
	deleted := []string{before.id(t, ids[1], wire.SpanStageB), before.id(t, ids[2], "")}
	s.remove(t, removed)
	s.delete(t, deleted)

	r := w.reconcile(t, s, c, experiment, 1, "--wait", "0s")
	if lost := jobsOf(r.Lost); !slices.Equal(lost, []int64{1, 2}) || len(r.Lost) != 3 || !slices.Equal(jobsOf(r.Deleted), []int64{2, 3}) || len(r.Doubled)+len(r.Wrong) > 0 {
		t.Errorf("found %+v; want three runs of jobs 1 and 2 lost, one of jobs 2 and 3 each deleted", r)
	}
	s.retain(t, experiment, "2999-01-01T00:00:00Z")
	if r = w.reconcile(t, s, c, experiment, 0); r.Retired != jobs || len(r.Lost) > 0 {
		t.Errorf("%d jobs are before the mark of retention, and %+v is missed; want %d and nothing", r.Retired, r.Lost, jobs)
	}
	s.retain(t, experiment, "1999-01-01T00:00:00Z")

	r = w.reconcile(t, s, c, experiment, 0, "--repair", "--wait", "3m")
	if !slices.Equal(r.Repair.Jobs, []int64{1, 2}) || len(r.Before.Lost) != 3 || len(r.Deleted) != 2 || !r.Whole {
		t.Errorf("repaired %+v; want jobs 1 and 2, and two runs that stay deleted", r)
	}
	after := s.dump(t, experiment)
	if len(after.Runs) != len(before.Runs) || len(after.Traces) != len(before.Traces) {
		t.Errorf("%d runs and %d traces after the repair; want %d and %d", len(after.Runs), len(after.Traces), len(before.Runs), len(before.Traces))
	}
	checkUnmoved(t, before, after, removed, deleted)

	r = w.reconcile(t, s, c, experiment, 0, "--repair", "--deleted", "--wait", "3m")
	if !slices.Equal(r.Repair.Jobs, []int64{2, 3}) || len(r.Deleted) > 0 {
		t.Errorf("restored %+v; want what was deleted of jobs 2 and 3", r)
	}
	checkUnmoved(t, before, s.dump(t, experiment), removed, nil)
}

func jobsOf(findings []struct{ Job int64 }) []int64 {
	var ids []int64
	for _, f := range findings {
		ids = append(ids, f.Job)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// id is the run of a job, or of a stage of it.
func (held state) id(t *testing.T, traceID, stage string) string {
	t.Helper()
	i := slices.IndexFunc(held.Runs, func(r run) bool {
		key, isStage := r.Tags[wire.TagKey], r.Tags["stage"]
		return strings.HasPrefix(key, traceID) && isStage == stage
	})
	if i < 0 {
		t.Fatalf("no run of %s, stage %q", traceID, stage)
	}
	return held.Runs[i].RunID
}

// checkUnmoved compares all runs but some, by their ids, and all traces. Runs that were removed
// are there again under other ids, with what they held.
func checkUnmoved(t *testing.T, before, after state, removed, deleted []string) {
	t.Helper()
	for _, was := range before.Runs {
		gone := slices.Contains(removed, was.RunID)
		i := slices.IndexFunc(after.Runs, func(r run) bool { return r.Tags[wire.TagKey] == was.Tags[wire.TagKey] })
		switch {
		case i < 0:
			t.Errorf("run %s of %s is not there", was.Name, was.Tags[wire.TagKey])
			continue
		case (after.Runs[i].RunID != was.RunID) != gone:
			t.Errorf("run %s of %s is %s; it was %s", was.Name, was.Tags[wire.TagKey], after.Runs[i].RunID, was.RunID)
		}
		is := after.Runs[i]
		if is.Deleted != slices.Contains(deleted, was.RunID) {
			t.Errorf("run %s of %s: deleted is %v", was.Name, was.Tags[wire.TagKey], is.Deleted)
		}
		for what, pair := range map[string][2]any{
			"params": {was.Params, is.Params}, "metrics": {was.Metrics, is.Metrics}, "artifacts": {was.Artifacts, is.Artifacts},
			"status": {was.Status, is.Status}, "start": {was.StartMS, is.StartMS}, "end": {was.EndMS, is.EndMS},
		} {
			if a, b := asJSON(t, pair[0]), asJSON(t, pair[1]); a != b {
				t.Errorf("%s of run %s: %s; it was %s", what, was.Name, b, a)
			}
		}
	}
	for _, was := range before.Traces {
		i := slices.IndexFunc(after.Traces, func(tr trace) bool { return tr.ID == was.ID })
		if i < 0 {
			t.Errorf("trace %s is not there", was.ID)
			continue
		}
		is := after.Traces[i]
		was.SourceRun, is.SourceRun = "", ""
		was.Tags, is.Tags = nil, nil
		if a, b := asJSON(t, was), asJSON(t, is); a != b {
			t.Errorf("trace %s: %s; it was %s", was.ID, b, a)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// retain leaves the mark that `mlflowctl retention` leaves.
func (s *server) retain(t *testing.T, experiment, before string) {
	t.Helper()
	c := s.client(t)
	e, err := c.GetExperimentByName(t.Context(), experiment)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetExperimentTag(t.Context(), e.ID, retention.Mark, before); err != nil {
		t.Fatal(err)
	}
}

func (s *server) client(t *testing.T) *mlflow.Client {
	t.Helper()
	c, err := mlflow.New(mlflow.Config{Endpoint: s.url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// delete deletes runs as the UI does.
func (s *server) delete(t *testing.T, ids []string) {
	t.Helper()
	c := s.client(t)
	for _, id := range ids {
		if err := c.DeleteRun(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
}

// remove deletes runs for good.
func (s *server) remove(t *testing.T, ids []string) {
	t.Helper()
	s.delete(t, ids)
	interpreter, err := python()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(interpreter, "-m", "mlflow", "gc",
		"--backend-store-uri", "sqlite:///"+filepath.Join(s.dir, "mlflow.db"), "--tracking-uri", s.url, "--run-ids", strings.Join(ids, ","))
	cmd.Dir, cmd.Env = s.dir, append(sandbox.Environ(), "MLFLOW_TRACKING_URI="+s.url)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mlflow gc: %v\n%s", err, out)
	}
}
