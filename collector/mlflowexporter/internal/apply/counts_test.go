package apply_test

import (
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// twice applies a plan of which an artifact, and so the whole job, needs a second attempt.
func (e *env) twice(t *testing.T, s *mlflowtest.Server, p reduce.Plan) {
	t.Helper()
	failing := true
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if failing && r.Method == http.MethodPut {
			return mlflowtest.Internal()
		}
		return nil
	})
	for range 3 {
		retried := false
		for _, item := range apply.Errors(e.Apply(t.Context(), p)) {
			retried = retried || !item.Permanent
		}
		if !retried {
			t.Fatal("the job is not tried again")
		}
	}
	failing = false
	for _, item := range apply.Errors(e.Apply(t.Context(), p)) {
		if !item.Permanent {
			t.Fatal(item)
		}
	}
	s.Fail(nil)
}

// What could not be kept of a job that is tried several times is counted once.
func TestDropsAreCountedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, e *env, s *mlflowtest.Server) reduce.Plan
		want    map[string]int64
	}{
		"no traces": {
			func(_ *testing.T, e *env, s *mlflowtest.Server) reduce.Plan {
				s.Version = "3.5.1"
				return e.plan(1)
			},
			map[string]int64{apply.EventTracesOff: 1, apply.EventDeadLetter: 0},
		},
		"a trace in another experiment": {
			func(t *testing.T, e *env, _ *mlflowtest.Server) reduce.Plan {
				p := e.plan(1)
				e.mustApply(t, reduce.Plan{Traces: p.Traces})
				e.lose(t)
				p = e.plan(1)
				for i := range p.Runs {
					p.Runs[i].Experiment = e.experiment + " other"
				}
				p.Traces[0].Experiment = e.experiment + " other"
				return p
			},
			map[string]int64{apply.EventForeignTrace: 1, apply.EventDeadLetter: 2}, // spans and info
		},
		"a run that hangs nowhere": {
			func(_ *testing.T, e *env, _ *mlflowtest.Server) reduce.Plan {
				p := e.plan(1)
				p.Runs[5].ParentKey = "nowhere"
				return p
			},
			map[string]int64{apply.EventDeadLetter: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, s := faulty(t)
			e.twice(t, s, c.prepare(t, e, s))
			for event, want := range c.want {
				if n := e.events.get(event); n != want {
					t.Errorf("%s is counted %d times, want %d", event, n, want)
				}
			}
		})
	}
}

// Nor are params that differ counted before the rest of their request is written.
func TestParamConflictsAreCountedOnce(t *testing.T) {
	e, s := faulty(t)
	p := e.plan(1)
	e.mustApply(t, split(p)[0])
	var sent atomic.Int32
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/runs/log-batch") && sent.Add(1)%2 == 0 && sent.Load() < 6 { // each attempt sends one with the param and one without
			return mlflowtest.Locked()
		}
		return nil
	})
	p.Runs = p.Runs[:1]
	p.Runs[0].Params = []reduce.KeyValue{{Key: "job_id", Value: "another"}}
	for range 3 {
		e.goesOn(t, reduce.Plan{Runs: p.Runs})
	}
	if n := e.events.get(apply.EventParamConflict); n != 1 || sent.Load() != 6 {
		t.Errorf("counted %d after %d requests, want 1 after 6", n, sent.Load())
	}
}

// Of params that differ those of before are named again, and not counted again.
func TestOldParamConflictsAreNotCountedAgain(t *testing.T) {
	e, _ := faulty(t)
	p := e.plan(1)
	e.mustApply(t, split(p)[0])
	p.Runs[0].Params = []reduce.KeyValue{{Key: "job_id", Value: "another"}}
	e.mustApply(t, p)
	later := changed(p)
	later.Runs[0].Params = []reduce.KeyValue{{Key: "stage_a_model", Value: "another"}}
	e.mustApply(t, later)
	if n := e.events.get(apply.EventParamConflict); n != 2 {
		t.Errorf("counted %d, want one for each param", n)
	}
}

// A dead letter that cannot be written is counted by how much it would have held.
func TestDeadLettersThatCannotBeWrittenAreCounted(t *testing.T) {
	e, s := faulty(t)
	s.Fail(failing(http.MethodPost, "/runs/log-batch", &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}`}))
	e.cfg.DeadLetterDir += "/file"
	if err := os.WriteFile(e.cfg.DeadLetterDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e.restart(t)
	if err := e.Apply(t.Context(), e.plan(1)); err == nil {
		t.Fatal("no error")
	}
	if lost, all := e.events.get(apply.EventDeadLetterFailed), e.events.get(apply.EventDeadLetter); lost == 0 || lost != all {
		t.Errorf("counted %d of %d dead letters as not written", lost, all)
	}
}
