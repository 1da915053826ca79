package apply_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
)

// At most so many experiments are created, over restarts too. What belongs into another
// one is refused for good, says what to do, and costs nobody else anything.
func TestMaxExperiments(t *testing.T) {
	e, _ := faulty(t)
	e.cfg.MaxExperiments = 2
	e.restart(t)
	e.mustApply(t, plan("one", 1), plan("two", 2))
	e.restart(t)
	mixed := plan("one", 3)
	further := plan("three", 4)
	mixed.Runs = append(mixed.Runs, further.Runs...)
	mixed.Traces = append(mixed.Traces, further.Traces...)
	err := e.Apply(t.Context(), mixed)
	items := apply.Errors(err)
	if len(items) != 1 || !items[0].Permanent || !strings.Contains(err.Error(), `create experiment "three": `+"`max_experiments` allows 2") {
		t.Fatalf("error is %v", err)
	}
	if n := e.events.take(); n == 0 {
		t.Error("no dead letter was counted")
	}
	exps, err := e.client.SearchExperiments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(exps, func(x mlflow.Experiment) bool { return x.Name == "three" }) {
		t.Error("the experiment was created")
	}
	state := e.stateOf(t, "one")
	if want := 2 * len(further.Runs); len(state.Runs) != want {
		t.Errorf("%d runs, want %d", len(state.Runs), want)
	}
	// Metrics leave no letters that could be sent again.
	metrics := e.serviceRun(0, 0)
	metrics.Experiment = "three_service"
	core, logs := observer.New(zap.WarnLevel)
	e.cfg.Logger = zap.New(core)
	e.restart(t)
	e.mustApplyService(t, metrics)
	if text := fmt.Sprint(logs.AllUntimed()); !strings.Contains(text, "or raise the limit, for the metrics to come; what came until then is lost") || strings.Contains(text, "dead letters") {
		t.Errorf("logged: %s", text)
	}
	// Somebody creates it in MLflow: then it is used.
	if _, err := e.client.CreateExperiment(t.Context(), "three"); err != nil {
		t.Fatal(err)
	}
	e.mustApply(t, plan("three", 4))
}

// In another database at the same address ids are those of other experiments. Who finds out tells
// the others.
func TestNewDatabaseGivesIDsToOthers(t *testing.T) {
	e, server := faulty(t)
	inOther := func(n int) reduce.Plan { return plan(e.experiment+" other", n) }
	e.mustApply(t, e.plan(1), inOther(2))
	server.Wipe()
	for attempt := range 6 {
		err := e.Apply(t.Context(), inOther(3))
		if err == nil {
			break
		}
		if attempt == 5 {
			t.Fatalf("never written: %v", err)
		}
	}
	e.mustApply(t, e.plan(4))
	e.check(t, e.plan(4))
	state := e.stateOf(t, e.experiment+" other")
	if trace := state.Traces["tr-"+jobID(e.experiment+" other", 3)]; len(state.Runs) != 6 || trace == nil || len(trace.Spans) != 12 {
		t.Errorf("the other experiment holds %d runs and the trace %+v", len(state.Runs), trace)
	}
	if n := e.events.get(apply.EventDeadLetter); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// Spans find out too, before any run does.
func TestSpansForANewDatabase(t *testing.T) {
	e, server := faulty(t)
	e.mustApply(t, plan("first", 1), e.plan(2))
	server.Wipe()
	p := e.plan(3)
	p.Runs, p.Traces[0].RunKey = nil, ""
	e.mustApply(t, p)
	if trace := e.state(t).Traces["tr-"+jobID(e.experiment, 3)]; trace == nil || len(trace.Spans) != 12 {
		t.Errorf("trace is %+v", trace)
	}
	if n := e.events.get(apply.EventDeadLetter); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// An experiment that is made is told of once, by its name: somebody may have renamed the one that is missed.
func TestAnExperimentThatIsMadeIsTold(t *testing.T) {
	e, _ := faulty(t)
	core, logs := observer.New(zap.InfoLevel)
	e.cfg.Logger = zap.New(core)
	e.restart(t)
	for n := range 2 {
		e.mustApply(t, plan("new", n))
	}
	told := logs.FilterMessageSnippet("somebody renamed").FilterField(zap.String("experiment", "new")).Len()
	if told != 1 {
		t.Errorf("told %d times; want once: %v", told, logs.AllUntimed())
	}
	e.restart(t) // it is there
	if e.mustApply(t, plan("new", 3)); logs.FilterMessageSnippet("somebody renamed").Len() != told {
		t.Errorf("told again: %v", logs.AllUntimed())
	}
}

// An experiment that is made anew is what it was: that of service runs shows charts first.
func TestExperimentThatIsMadeAnewKeepsItsKind(t *testing.T) {
	e, server := faulty(t)
	e.mustApplyService(t, e.serviceRun(0, 0))
	server.Wipe()
	e.mustApplyService(t, e.serviceRun(0, 1))
	e.checkService(t, "day 0 RUNNING - 1 1/721")
}
