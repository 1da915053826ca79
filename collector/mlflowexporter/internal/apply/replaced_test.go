package apply_test

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// With an empty database at the same address everything goes on as if nothing was the matter: the log says
// once that what was delivered before is not there, also when the Collector was restarted in between.
func TestReplacedDatabaseIsTold(t *testing.T) {
	for name, next := range map[string]func(t *testing.T, e *env) reduce.Plan{
		"while it runs":          func(_ *testing.T, e *env) reduce.Plan { return e.plan(2) },
		"a job of before":        func(_ *testing.T, e *env) reduce.Plan { return changed(e.plan(1)) },
		"after a restart":        func(t *testing.T, e *env) reduce.Plan { e.restart(t); return changed(e.plan(1)) },
		"a trace alone after it": func(t *testing.T, e *env) reduce.Plan { e.restart(t); return reduce.Plan{Traces: e.plan(1).Traces} },
		"ids of other ones, after it": func(t *testing.T, e *env) reduce.Plan {
			for _, other := range []string{"a", "b"} {
				if _, err := e.client.CreateExperiment(t.Context(), other); err != nil {
					t.Fatal(err)
				}
			}
			e.restart(t)
			return changed(e.plan(1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.WarnLevel)
			e, s := faulty(t)
			e.cfg.Logger = zap.New(core)
			e.restart(t)
			e.mustApply(t, e.plan(1))
			if _, err := e.client.CreateExperiment(t.Context(), "another"); err != nil { // nothing is lost by it
				t.Fatal(err)
			}
			id := e.experimentID(t)
			e.mustApply(t, e.plan(3))
			if n := logs.Len(); n != 0 {
				t.Fatalf("logged before: %v", logs.AllUntimed())
			}
			s.Wipe()
			e.mustApply(t, next(t, e))
			e.mustApply(t, e.plan(1), changed(e.plan(3)), e.plan(4))
			told := logs.FilterMessageSnippet("another database").AllUntimed()
			if len(told) != 1 || told[0].ContextMap()["experiment_id"] != id {
				t.Errorf("told %v", told)
			}
		})
	}
}

// An experiment that was deleted can be restored, with all that is in it.
func TestDeletedExperimentIsNoOtherDatabase(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	e, _ := faulty(t)
	e.cfg.Logger = zap.New(core)
	e.restart(t)
	e.mustApply(t, e.plan(1))
	if err := e.client.DeleteExperiment(t.Context(), e.experimentID(t)); err != nil {
		t.Fatal(err)
	}
	e.restart(t)
	_ = e.Apply(t.Context(), changed(e.plan(1)))
	if n := logs.FilterMessageSnippet("another database").Len(); n != 0 {
		t.Errorf("told %v", logs.AllUntimed())
	}
}
