package apply_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// MLflow answers 500, each time, to a file below one that is there, and to one where a folder is. Such a
// file is refused at once, with what is in its way, and the rest of the job is delivered.
func TestFileInTheWayOfAnother(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		for n, files := range [][2]string{{"out", "out/r.json"}, {"out/d/r.json", "out/d"}} {
			job := e.plan(n).Runs[0]
			job.Artifacts = []reduce.Artifact{artifact(files[0], "first")}
			e.mustApply(t, reduce.Plan{Runs: []reduce.Run{job}})
			later := job
			later.Artifacts = nil
			later.Parts = []reduce.Part{{ID: "00000000000000aa", Name: "out", Version: reduce.Version{EndUnixNano: 1, Hash: "a"}, Artifacts: []reduce.Artifact{artifact(files[1], "second")}}}
			for range 5 { // a real server on a busy machine may time out
				err := e.Apply(t.Context(), reduce.Plan{Runs: []reduce.Run{later}})
				if items := apply.Errors(err); len(items) > 0 && !items[0].Permanent && !isInternal(err) {
					continue
				}
				if item := refused(t, err); !strings.Contains(item.Error(), "give one of them another name") {
					t.Errorf("said %v", item)
				}
				break
			}
			run := e.state(t).Runs[job.Key]
			if len(run.Artifacts) != 1 || run.Artifacts[files[0]] != job.Artifacts[0].SHA256 || run.Tags[wire.TagUndelivered] != files[1] || run.Status != job.Status {
				t.Errorf("run is %+v", run)
			}
		}
	})
}

func isInternal(err error) bool {
	var e *mlflow.Error
	return errors.As(err, &e) && e.Status == http.StatusInternalServerError
}

// noFiles fails at each file that is written.
func noFiles(r *http.Request) *mlflowtest.Fault {
	if r.Method == http.MethodPut {
		return mlflowtest.Internal()
	}
	return nil
}

// It is told of files how often they were tried as long as nothing else is to be tried again.
func TestAttemptsAtFilesAreCounted(t *testing.T) {
	e, s := faulty(t)
	s.Fail(noFiles)
	for n := range 3 {
		if got := apply.FileAttempts(e.Apply(t.Context(), e.plan(1))); got != n+1 {
			t.Errorf("attempt %d counts as %d", n+1, got)
		}
	}
	s.Fail(func(*http.Request) *mlflowtest.Fault { return mlflowtest.Internal() })
	if got := apply.FileAttempts(e.Apply(t.Context(), e.plan(1))); got != 4 {
		t.Errorf("of files alone %d", got)
	}
	if got := apply.FileAttempts(e.Apply(t.Context(), join(e.plan(1), e.plan(2)))); got != 0 {
		t.Errorf("of what fails beside files %d", got)
	}
	s.Fail(nil)
	if got := apply.FileAttempts(e.Apply(t.Context(), e.plan(1))); got != 0 {
		t.Errorf("of nothing %d", got)
	}
}

// State tells of a file that waited for minutes, until it is written or nobody asks for it any more.
func TestStateTellsOfFilesThatWait(t *testing.T) {
	e, s := faulty(t)
	now := time.UnixMilli(startMS).Add(time.Hour)
	var told []bool
	e.cfg.Now = func() time.Time { return now }
	e.cfg.Changed = func() { told = append(told, e.State().Files != "") }
	e.restart(t)
	job := func(n int, path string) reduce.Plan {
		p := reduce.Plan{Runs: e.plan(n).Runs[:1]}
		p.Runs[0].Artifacts = []reduce.Artifact{artifact(path, "x")}
		return p
	}
	e.mustApply(t, reduce.Plan{Runs: e.plan(0).Runs[:1]})
	s.Fail(noFiles)
	for range 4 {
		e.goesOn(t, job(1, "first.txt"))
		e.goesOn(t, job(2, "second.txt"))
		now = now.Add(40 * time.Second)
	}
	if got := e.State().Files; !strings.HasPrefix(got, "artifact first.txt of run "+job(1, "").Runs[0].Name+" waits since 2") || !strings.Contains(got, "HTTP 500") {
		t.Errorf("said %q", got)
	}
	s.Fail(nil)
	e.mustApply(t, job(1, "first.txt"))
	if got := e.State().Files; !strings.Contains(got, "second.txt") {
		t.Errorf("said %q of the other", got)
	}
	now = now.Add(11 * time.Minute)
	e.Ping(t.Context(), time.Hour)
	if want := []bool{true, false}; !slices.Equal(told, want) || e.State().Files != "" {
		t.Errorf("told %v, want %v; says %q", told, want, e.State().Files)
	}
}
