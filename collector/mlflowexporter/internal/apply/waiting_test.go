package apply_test

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// MLflow answers 500, each time, to a file below one that is there, and to one where a folder is. When that
// failed twice it is refused, with what is in its way, and the rest of the job is delivered. MLflow 3.7 takes
// the second, and puts it into the folder.
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
				if items := apply.Errors(err); len(items) > 0 && !items[0].Permanent {
					continue
				}
				if put := e.state(t).Runs[job.Key].Artifacts; err == nil && len(put) == 2 && put["out/d/d"] == hash("second") {
					return
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

// Of files of one message the one that others would need as a folder stays, in whatever order they are.
func TestFilesBelowAFile(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		for n, paths := range [][]string{{"out/d/r.json", "out/r.json", "out"}, {"out", "out/r.json", "out/d/r.json"}} {
			job := e.plan(n).Runs[0]
			job.Artifacts = nil
			for _, path := range paths {
				job.Artifacts = append(job.Artifacts, artifact(path, path))
			}
			var refused int
			for range 9 { // a real server on a busy machine may time out
				items := apply.Errors(e.Apply(t.Context(), reduce.Plan{Runs: []reduce.Run{job}}))
				for _, item := range items {
					if item.Permanent && strings.Contains(item.Error(), "the run has a file out, below which nothing can be") {
						refused++
					}
				}
				if len(items) == 0 {
					break
				}
			}
			run := e.state(t).Runs[job.Key]
			if refused != 2 || len(run.Artifacts) != 1 || run.Artifacts["out"] != hash("out") || run.Tags[wire.TagUndelivered] != "out/d/r.json, out/r.json" || run.Status != job.Status {
				t.Errorf("%d refused, run is %+v", refused, run)
			}
		}
	})
}

// What would be a folder of other files of the message is written before them, also when it has to wait.
func TestFileThatWaitsKeepsThoseBelowItBack(t *testing.T) {
	e, s := faulty(t)
	var mu sync.Mutex
	var puts []string
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodPut {
			return nil
		}
		puts = append(puts, path.Base(r.URL.Path))
		if len(puts) < 4 {
			return mlflowtest.Internal()
		}
		return nil
	})
	job := e.plan(1).Runs[0]
	job.Artifacts = []reduce.Artifact{artifact("out/d/r.json", "below"), artifact("out/d", "between"), artifact("out", "above")}
	for range 3 {
		err := e.Apply(t.Context(), reduce.Plan{Runs: []reduce.Run{job}})
		if n := apply.FileAttempts(err); n == 0 {
			t.Errorf("files alone do not wait: %v", err)
		}
	}
	if want := []string{"out", "out", "out"}; !slices.Equal(puts, want) {
		t.Errorf("tried %v, want %v", puts, want)
	}
	e.goesOn(t, reduce.Plan{Runs: []reduce.Run{job}})
	if files := e.state(t).Runs[job.Key].Artifacts; len(files) != 1 || files["out"] != hash("above") {
		t.Errorf("files are %v", files)
	}
}

// A store without folders takes a file and what is below it: in one message or two, in whatever order they
// come, of an older version of the run too, and though it fails at each of them once.
func TestStoreWithoutFoldersTakesFilesBelowAFile(t *testing.T) {
	e, s := faulty(t)
	s.NoFolders = true
	var mu sync.Mutex
	failed := map[string]bool{}
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodPut || failed[r.URL.Path] {
			return nil
		}
		failed[r.URL.Path] = true
		return mlflowtest.Internal()
	})
	one, two := artifact("out", "above"), artifact("out/r.json", "below")
	with := func(r reduce.Run, files ...reduce.Artifact) reduce.Plan {
		r.Artifacts = files
		return reduce.Plan{Runs: []reduce.Run{r}}
	}
	part := func(r reduce.Run, file reduce.Artifact) reduce.Plan {
		r.Artifacts, r.Parts = nil, []reduce.Part{{ID: "00000000000000aa", Name: "out", Version: reduce.Version{EndUnixNano: 1, Hash: "a"}, Artifacts: []reduce.Artifact{file}}}
		return reduce.Plan{Runs: []reduce.Run{r}}
	}
	older := func(r reduce.Run) reduce.Run {
		r.EndTime--
		r.Version = version(r.Key, r.EndTime)
		return r
	}
	runs := make([]reduce.Run, 6)
	for n := range runs {
		runs[n] = e.plan(n).Runs[0]
	}
	for _, plans := range [][]reduce.Plan{
		{with(runs[0], one, two)},
		{with(runs[1], two, one)},
		{with(runs[2], one), part(runs[2], two)},
		{with(runs[3], two), part(runs[3], one)},
		{with(runs[4], one), with(older(runs[4]), two)},
		{with(runs[5], two), with(older(runs[5]), one)},
	} {
		for _, p := range plans {
			e.mustApply(t, p)
		}
	}
	for n, r := range runs {
		run := e.state(t).Runs[r.Key]
		if want := map[string]string{"out": one.SHA256, "out/r.json": two.SHA256}; !maps.Equal(run.Artifacts, want) || run.Tags[wire.TagUndelivered] != "" {
			t.Errorf("run %d is %+v", n, run)
		}
	}
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

// State tells since when no file could be written, once that lasts for minutes, however many wait; until one is
// written, or nobody asks for any.
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
	since := now
	said := func(n int) {
		t.Helper()
		want := fmt.Sprintf("no artifact could be written since %s, the last was %d.txt of run %s: ", since.UTC().Format(time.RFC3339), n, job(n, "").Runs[0].Name)
		if got := e.State().Files; !strings.HasPrefix(got, want) || !strings.Contains(got, "HTTP 500") {
			t.Errorf("said %q, want %q", got, want)
		}
	}
	fail := func(n int) { e.goesOn(t, job(n, fmt.Sprint(n, ".txt"))) }
	s.Fail(noFiles)
	fail(1)
	now = now.Add(time.Minute)
	if fail(2); e.State().Files != "" {
		t.Errorf("said %q after a minute", e.State().Files)
	}
	for n := range 6 { // each comes again only later than files are waited for
		now = now.Add(5 * time.Minute)
		fail(n + 3)
		said(n + 3)
	}
	s.Fail(nil)
	if e.mustApply(t, job(1, "1.txt")); e.State().Files != "" {
		t.Errorf("said %q when one was written", e.State().Files)
	}
	s.Fail(noFiles)
	since = now
	fail(3)
	now = now.Add(2 * time.Minute)
	e.Ping(t.Context(), time.Hour)
	said(3)
	now = now.Add(11 * time.Minute)
	e.Ping(t.Context(), time.Hour)
	if want := []bool{true, false, true, false}; !slices.Equal(told, want) || e.State().Files != "" {
		t.Errorf("told %v, want %v; says %q", told, want, e.State().Files)
	}
}
