package apply_test

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// about gives the run of a plan's job a dataset.
func about(p reduce.Plan) reduce.Plan {
	p.Runs = slices.Clone(p.Runs)
	p.Runs[0].Datasets = []reduce.Dataset{{Name: "items", Digest: "1"}}
	return p
}

func TestDatasetThatIsRefusedCostsNothingElse(t *testing.T) {
	e, s := faulty(t)
	s.Fail(failing(http.MethodPost, "/runs/log-inputs", &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}`}))
	if item := refused(t, e.Apply(t.Context(), about(e.plan(1)))); !strings.Contains(item.Error(), "log datasets of run") {
		t.Errorf("said %v", item)
	}
	if n := e.events.get(apply.EventDeadLetter); n != 1 {
		t.Errorf("%d dead letters", n)
	}
	e.check(t, e.plan(1))
}

// A server, or a gateway before it, that knows no inputs does without.
func TestServerThatKnowsNoDatasets(t *testing.T) {
	e, s := faulty(t)
	s.Fail(failing(http.MethodPost, "/runs/log-inputs", &mlflowtest.Fault{Status: http.StatusNotFound, Body: "<!doctype html><title>404</title>"}))
	e.mustApply(t, about(e.plan(1)))
	e.check(t, e.plan(1))
}

// A dataset whose answer was lost is named again, and is there once.
func TestDatasetAfterALostAnswer(t *testing.T) {
	e, s := faulty(t)
	s.Fail(once("/runs/log-inputs", mlflowtest.Lost()))
	e.goesOn(t, about(e.plan(1)))
	s.Fail(nil)
	e.mustApply(t, about(e.plan(1)))
	e.check(t, about(e.plan(1)))
}

// A run without a dataset takes the requests that it took before there were any, one with a dataset
// one more.
func TestSpansWithoutADatasetAskForNothing(t *testing.T) {
	e, s := faulty(t)
	var asked atomic.Int64
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/runs/log-inputs") {
			asked.Add(1)
		}
		return nil
	})
	e.mustApply(t, e.plan(0))
	e.requests.take()
	e.mustApply(t, e.plan(1))
	without := e.requests.take()
	if asked.Load() != 0 {
		t.Error("asked for inputs")
	}
	e.mustApply(t, about(e.plan(2)))
	if n := e.requests.take(); n != without+1 || asked.Load() != 1 {
		t.Errorf("%d requests without a dataset, %d with one, %d for inputs", without, n, asked.Load())
	}
}
