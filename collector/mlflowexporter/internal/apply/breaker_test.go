package apply_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// clocked is an environment whose bridge looks at a clock of the test.
func clocked(t *testing.T) (*env, *mlflowtest.Server, *time.Time) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	now := time.UnixMilli(startMS)
	e.cfg.Now = func() time.Time { return now }
	e.restart(t)
	e.mustApply(t, e.plan(0)) // asks for version and experiment again
	return e, s, &now
}

func many(e *env, n int) reduce.Plan {
	var plans []reduce.Plan
	for i := range n {
		plans = append(plans, e.plan(100+i))
	}
	return join(plans...)
}

// A server that is away costs a batch of many jobs a few requests, and while the pause
// lasts none; then one that asks for the version; once it is back everything goes on.
func TestServerThatIsAwayIsLeftAlone(t *testing.T) {
	e, s, now := clocked(t)
	s.Fail(func(*http.Request) *mlflowtest.Fault { return &mlflowtest.Fault{Status: http.StatusBadGateway} })
	e.requests.take()
	all := many(e, 20)
	again := map[string]bool{}
	for _, item := range apply.Errors(e.Apply(t.Context(), all)) {
		again[item.TraceID] = !item.Permanent
	}
	if len(again) != 20 || slices.Contains(slices.Collect(maps.Values(again)), false) {
		t.Errorf("%d of 20 jobs are to be sent again: %v", len(again), again)
	}
	if n := e.requests.take(); n > 4 { // three in a row, and one that was on its way
		t.Errorf("it got %d requests", n)
	}
	if err := e.Apply(t.Context(), all); !strings.Contains(err.Error(), "not sent, MLflow is away") || apply.RetryAfter(err) <= 0 {
		t.Errorf("while it is left alone: %v", err)
	}
	e.took(t, 0)

	*now = now.Add(3 * time.Second)
	if err := e.Apply(t.Context(), all); err == nil {
		t.Error("no error although it is still away")
	}
	if n := e.requests.get("GET /version"); n != 1 || e.requests.take() != 1 {
		t.Errorf("after the pause it was asked %d times whether it is back", n)
	}

	s.Fail(nil)
	*now = now.Add(3 * time.Second)
	e.mustApply(t, all)
	if n := e.requests.get("GET /version"); n != 1 {
		t.Errorf("it was asked %d times whether it is back", n)
	}
}

func TestRetryAfterIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		fault *mlflowtest.Fault
		wait  time.Duration
	}{
		"429":      {&mlflowtest.Fault{Status: http.StatusTooManyRequests, RetryAfter: "7"}, 7 * time.Second},
		"503":      {&mlflowtest.Fault{Status: http.StatusServiceUnavailable, RetryAfter: "30"}, 30 * time.Second},
		"too long": {&mlflowtest.Fault{Status: http.StatusServiceUnavailable, RetryAfter: "86400"}, time.Minute},
		"busy":     {mlflowtest.Locked(), 0},
	} {
		t.Run(name, func(t *testing.T) {
			e, s, now := clocked(t)
			s.Fail(once("/runs/create", c.fault))
			err := e.Apply(t.Context(), e.plan(1))
			if got := apply.RetryAfter(err); err == nil || got != c.wait {
				t.Fatalf("waits %s after %v, want %s", got, err, c.wait)
			}
			if c.wait > 0 {
				*now = now.Add(c.wait - time.Second)
				e.requests.take()
				if err := e.Apply(t.Context(), e.plan(2)); apply.RetryAfter(err) != time.Second {
					t.Errorf("another job did not wait: %v", err)
				}
				e.took(t, 0)
			}
			*now = now.Add(2 * time.Second)
			e.mustApply(t, e.plan(1), e.plan(2))
			e.check(t, e.plan(0), e.plan(1), e.plan(2))
		})
	}
}

// A database that is locked for some requests in a row is no reason to wait for the others.
func TestBusyDatabaseDoesNotCountAsAway(t *testing.T) {
	e, s, _ := clocked(t)
	s.Fail(func(*http.Request) *mlflowtest.Fault { return mlflowtest.Locked() })
	for range 5 {
		if err := e.Apply(t.Context(), e.plan(1)); err == nil || apply.RetryAfter(err) > 0 {
			t.Fatalf("got %v", err)
		}
	}
	s.Fail(nil)
	e.mustApply(t, e.plan(1))
	e.check(t, e.plan(0), e.plan(1))
}

// An attempt to create a run that may have succeeded is not forgotten because the next one
// was not sent.
func TestUnsentRequestSaysNothingOfTheOneBefore(t *testing.T) {
	e, s, now := clocked(t)
	s.Fail(once("/runs/create", mlflowtest.Lost()))
	if err := e.Apply(t.Context(), e.plan(1)); err == nil {
		t.Fatal("no error")
	}
	s.Fail(func(*http.Request) *mlflowtest.Fault {
		return &mlflowtest.Fault{Status: http.StatusTooManyRequests, RetryAfter: "5"}
	})
	for range 2 {
		if err := e.Apply(t.Context(), e.plan(1)); err == nil {
			t.Fatal("no error")
		}
	}
	s.Fail(nil)
	*now = now.Add(6 * time.Second)
	e.mustApply(t, e.plan(1))
	e.check(t, e.plan(0), e.plan(1))
}

// However many spans of a request are bad, one attempt takes a bounded number of requests,
// and the good spans arrive.
func TestManyBadSpansCostNoGoodOne(t *testing.T) {
	e, _ := faulty(t)
	e.mustApply(t, e.plan(0))
	p := e.plan(1)
	const bad = 300
	all := p.Traces[0].Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for i := range bad {
		addSpan(all, jobID(e.experiment, 1), 100+2*i).Attributes().PutStr(mlflowtest.BadAttribute, "garbage")
		addSpan(all, jobID(e.experiment, 1), 101+2*i)
	}
	attempts := 0
	for again := true; again; attempts++ {
		if attempts == 50 {
			t.Fatal("never ends")
		}
		e.requests.take()
		err := e.Apply(t.Context(), p)
		if n := e.requests.get("POST /v1/traces"); n > 128 {
			t.Errorf("attempt %d took %d requests", attempts, n)
		}
		again = false
		for _, item := range apply.Errors(err) {
			again = again || !item.Permanent
		}
	}
	if n := len(e.state(t).Traces["tr-"+jobID(e.experiment, 1)].Spans); n != 12+bad {
		t.Errorf("%d spans arrived, want %d", n, 12+bad)
	}
	if attempts < 2 {
		t.Errorf("took %d attempts: the bound was not tried", attempts)
	}
}
