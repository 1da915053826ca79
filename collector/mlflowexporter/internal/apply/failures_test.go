package apply_test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// failing gives a fault to all requests of a method whose path ends so.
func failing(method, suffix string, fault *mlflowtest.Fault) func(*http.Request) *mlflowtest.Fault {
	return func(r *http.Request) *mlflowtest.Fault {
		if r.Method == method && strings.HasSuffix(r.URL.Path, suffix) {
			return fault
		}
		return nil
	}
}

// sameRow is what MLflow answers, each time, to a run that has a tag twice.
var sameRow = &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"BAD_REQUEST","message":"(sqlite3.IntegrityError) UNIQUE constraint failed: tags.key, tags.run_uuid"}`}

// untilFinal applies a plan until nothing is to be tried again, and returns how often it was.
func (e *env) untilFinal(t *testing.T, p reduce.Plan) (times int) {
	t.Helper()
	for times = range 100 { // the run of a job ends after those of its stages
		items := apply.Errors(e.Apply(t.Context(), p))
		if len(items) > 0 && !slices.ContainsFunc(items, func(i *apply.ItemError) bool { return !i.Permanent }) {
			return times + 1
		}
		if len(items) == 0 {
			t.Fatal("nothing failed")
		}
	}
	t.Fatal("never given up")
	return 0
}

// An item that fails by itself is given up in the end although nothing else is done meanwhile: the
// consumers of the queue may all have one, and then nothing else is done until they are free.
func TestItemsThatFailByThemselvesDoNotBlockTheQueue(t *testing.T) {
	for name, fault := range map[string]func(*http.Request) *mlflowtest.Fault{
		"500 to a new run":     failing(http.MethodPost, "/runs/create", mlflowtest.Internal()),
		"500 to metrics":       failing(http.MethodPost, "/runs/log-batch", mlflowtest.Internal()),
		"500 to the end":       failing(http.MethodPost, "/runs/update", mlflowtest.Internal()),
		"500 to spans":         failing(http.MethodPost, "/v1/traces", mlflowtest.Internal()),
		"500 to the trace":     failing(http.MethodPost, "/3.0/mlflow/traces", mlflowtest.Internal()),
		"a race for a new run": failing(http.MethodPost, "/runs/create", sameRow),
		"a race for metrics":   failing(http.MethodPost, "/runs/log-batch", mlflowtest.Race()),
		"a race for spans":     failing(http.MethodPost, "/v1/traces", mlflowtest.Race()),
		"a race for the trace": failing(http.MethodPost, "/3.0/mlflow/traces", mlflowtest.Race()),
	} {
		t.Run(name, func(t *testing.T) {
			e, s := faulty(t)
			e.mustApply(t, e.plan(0))
			s.Fail(fault)
			if n := e.untilFinal(t, e.plan(1)); n < 10 {
				t.Errorf("given up after %d attempts", n)
			}
			if e.events.get(apply.EventDeadLetter) == 0 {
				t.Error("no dead letter")
			}
			s.Fail(nil)
			e.mustApply(t, e.plan(2))
		})
	}
}

// A server that does nothing for anybody costs no item, however long that lasts, and whether
// or not it comes to itself in between.
func TestServerThatFailsAtEverythingCostsNothing(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	for range 3 {
		s.Fail(func(*http.Request) *mlflowtest.Fault { return mlflowtest.Internal() })
		for range 50 {
			e.goesOn(t, e.plan(1))
		}
		s.Fail(nil)
		e.mustApply(t, e.plan(0))
	}
	e.mustApply(t, e.plan(1))
	e.check(t, e.plan(0), e.plan(1))
}

// Files wait for a store that is away while the rest of MLflow works.
func TestFilesWaitForTheirStore(t *testing.T) {
	e, s := faulty(t)
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.Method == http.MethodPut {
			return mlflowtest.Internal()
		}
		return nil
	})
	for n := range 50 {
		for _, item := range apply.Errors(e.Apply(t.Context(), e.plan(1))) {
			if item.Permanent {
				t.Fatalf("given up after %d attempts: %v", n+1, item)
			}
		}
		e.mustApply(t, reduce.Plan{Runs: e.plan(n + 100).Runs[:1]}) // without files
	}
	s.Fail(nil)
	e.mustApply(t, e.plan(1))
}

// Of a request that MLflow answers with 500 for one trace, the others arrive.
func TestSpansThatFailByThemselvesCostNoOther(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.URL.Path == "/v1/traces" && holds(t, r, jobID(e.experiment, 2)) {
			return mlflowtest.Internal()
		}
		return nil
	})
	e.untilFinal(t, join(e.plan(1), e.plan(2), e.plan(3)))
	s.Fail(nil)
	state := e.state(t)
	for i, want := range []int{12, 12, 0, 12} {
		if got := len(state.Traces["tr-"+jobID(e.experiment, i)].Spans); got != want {
			t.Errorf("job %d has %d spans, want %d", i, got, want)
		}
	}
}

// holds reports whether a request of spans has some of a trace.
func holds(t *testing.T, r *http.Request, traceID string) bool {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	zip, err := gzip.NewReader(bytes.NewReader(sent))
	if err != nil {
		t.Error(err)
		return false
	}
	text, err := io.ReadAll(zip)
	id, _ := hex.DecodeString(traceID)
	return err == nil && bytes.Contains(text, id)
}
