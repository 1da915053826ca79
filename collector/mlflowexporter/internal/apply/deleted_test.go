package apply_test

import (
	"net/http"
	"slices"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// deleteTrace removes the trace of a plan as a person does.
func (e *env) deleteTrace(t *testing.T, p reduce.Plan) {
	t.Helper()
	if n, err := e.client.DeleteTraces(t.Context(), e.experimentID(t), "tr-"+p.Traces[0].TraceID); n != 1 || err != nil {
		t.Fatalf("deleted %d traces, %v", n, err)
	}
}

// hasTrace reports whether MLflow has the trace of a plan.
func (e *env) hasTrace(t *testing.T, p reduce.Plan) bool {
	t.Helper()
	_, err := e.client.GetTraceInfo(t.Context(), "tr-"+p.Traces[0].TraceID)
	if err != nil && !mlflow.IsCode(err, mlflow.CodeNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// What a person deleted, such as what was asked in a trace, is not told again by a span that comes later.
func TestDeletedTraceStaysDeleted(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		core, logs := observer.New(zap.InfoLevel)
		e.cfg.Logger = zap.New(core)
		e.restart(t)
		p := e.plan(1)
		with := func(n int) reduce.Plan { return reduce.Plan{Traces: []reduce.Trace{late(p, n)}} }
		e.mustApply(t, e.plan(0), p)
		e.deleteTrace(t, p)
		e.requests.take()
		steps := []struct {
			plan            reduce.Plan
			requests, count int64
		}{
			{with(21), 2, 1}, // for the trace, and for the experiment: it may be another database
			{with(21), 0, 1},
			{with(22), 0, 2},
			{p, 0, 2},
		}
		for i, step := range steps {
			if i == len(steps)-1 {
				e.restart(t)
				e.mustApply(t, e.plan(0))
				e.requests.take()
			}
			e.mustApply(t, step.plan)
			e.took(t, step.requests)
			if n := e.events.get(apply.EventDeletedTrace); e.hasTrace(t, p) || n != step.count {
				t.Errorf("step %d: MLflow has the trace: %t; counted %d", i, e.hasTrace(t, p), n)
			}
		}
		if n := logs.FilterMessageSnippet("A trace was deleted").Len(); n != 1 {
			t.Errorf("logged %d times", n)
		}

		// A verdict goes to the run alone, and with the trace when a repair message brings that back.
		e.mustApply(t, scored(e.score(1, "u-1", 1, value(1))))
		if e.hasTrace(t, p) {
			t.Error("a verdict brought the trace back")
		}
		e.mustApply(t, repaired(p, wire.RepairAgain))
		if one := e.state(t).Traces["tr-"+p.Traces[0].TraceID]; one == nil || one.Request != p.Traces[0].Info.RequestPreview || len(one.Spans) != p.Traces[0].Spans.SpanCount() {
			t.Errorf("the trace is %+v", one)
		}
		e.saidIs(t, 1, map[string]string{"helpful u-1": "1 | HUMAN |  | because 1"}, "1 1 up")
	})
}

// In another database nothing was deleted, whether or not it was known of what was there before.
func TestDeletedTraceOfAReplacedDatabase(t *testing.T) {
	for _, known := range []bool{false, true} {
		e, s := faulty(t)
		p := e.plan(1)
		e.mustApply(t, p)
		if known {
			e.deleteTrace(t, p)
			e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{late(p, 21)}})
		}
		s.Wipe()
		if known { // what comes of a deleted trace asks nothing
			e.mustApply(t, e.plan(2))
		}
		e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{late(p, 22)}})
		if !e.hasTrace(t, p) {
			t.Errorf("known %t: the trace is not made anew", known)
		}
		e.mustApply(t, p)
		if one := e.state(t).Traces["tr-"+p.Traces[0].TraceID]; one == nil || one.Request != p.Traces[0].Info.RequestPreview {
			t.Errorf("known %t: the trace is %+v", known, one)
		}
	}
}

// A trace that MLflow refused was deleted by nobody: what comes of it later is sent.
func TestRefusedTraceIsNotDeleted(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.URL.Path == "/v1/traces" || r.URL.Path == "/api/3.0/mlflow/traces" {
			return &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}`}
		}
		return nil
	})
	p := e.plan(1)
	if items := apply.Errors(e.Apply(t.Context(), p)); len(items) == 0 || slices.ContainsFunc(items, func(i *apply.ItemError) bool { return !i.Permanent }) {
		t.Fatalf("got %v", items)
	}
	s.Fail(nil)
	e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{late(p, 21)}})
	if !e.hasTrace(t, p) || e.events.get(apply.EventDeletedTrace) != 0 {
		t.Errorf("the trace is missing, counted %d", e.events.get(apply.EventDeletedTrace))
	}
}

// What MLflow does not tell of a trace for good keeps nothing back; while it cannot answer, the span waits.
func TestTraceThatIsNotTold(t *testing.T) {
	e, s := faulty(t)
	p := e.plan(1)
	e.mustApply(t, p)
	ask := func(n int, fault *mlflowtest.Fault) reduce.Plan {
		s.Fail(failing(http.MethodGet, "/traces/tr-"+p.Traces[0].TraceID, fault))
		return reduce.Plan{Traces: []reduce.Trace{late(p, n)}}
	}
	e.mustApply(t, ask(21, forbidden))
	e.goesOn(t, ask(22, &mlflowtest.Fault{Status: http.StatusServiceUnavailable}))
	s.Fail(nil)
	e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{late(p, 22)}})
	if one := e.state(t).Traces["tr-"+p.Traces[0].TraceID]; one == nil || len(one.Spans) != p.Traces[0].Spans.SpanCount()+2 {
		t.Errorf("the trace is %+v", one)
	}
}
