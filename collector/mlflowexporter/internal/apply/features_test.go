package apply_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

func runsOnly(plans ...reduce.Plan) reduce.Plan {
	p := join(plans...)
	p.Traces = nil
	return p
}

// aged is an environment whose server says that it is of some version, with the warnings
// of its bridge and its clock.
func aged(t *testing.T, version string) (*env, *mlflowtest.Server, *time.Time, *observer.ObservedLogs) {
	e, s := faulty(t)
	s.Version = version
	now := time.UnixMilli(startMS)
	core, logs := observer.New(zap.WarnLevel)
	e.cfg.Now, e.cfg.Logger = func() time.Time { return now }, zap.New(core)
	e.restart(t)
	return e, s, &now, logs
}

// A server before 3.7 is told nothing of traces, which is said once and counted each time.
func TestOldServerGetsRunsOnly(t *testing.T) {
	for _, version := range []string{"2.14.3", "2.22.5", "3.0.1", "3.5.1", "3.6.0"} {
		e, _, _, logs := aged(t, version)
		e.mustApply(t, e.plan(1), e.plan(2))
		e.check(t, runsOnly(e.plan(1), e.plan(2)))
		if got := [3]int64{e.events.get(apply.EventTracesOff), e.requests.get("POST /v1/traces"), int64(logs.Len())}; got != [3]int64{2, 0, 1} {
			t.Errorf("%s: counted, sent, warned %v; want 2, 0, 1", version, got)
		}
	}
}

// An upgrade is noticed within a minute, without a restart of the Collector.
func TestUpgradedServerGetsTraces(t *testing.T) {
	e, s, now, logs := aged(t, "3.5.1")
	e.mustApply(t, e.plan(1))
	s.Version = "3.17.2"
	*now = now.Add(59 * time.Second)
	e.mustApply(t, e.plan(2))
	*now = now.Add(time.Second)
	e.mustApply(t, e.plan(3))
	want := e.plan(3)
	want.Runs = runsOnly(e.plan(1), e.plan(2), e.plan(3)).Runs
	e.check(t, want)
	if logs.Len() != 1 {
		t.Errorf("%d warnings", logs.Len())
	}
}

// What is back after it was away may be another version: an older one is not sent spans
// that it cannot take.
func TestVersionIsAskedForAfterReconnect(t *testing.T) {
	e, s, now, _ := aged(t, "3.17.2")
	e.mustApply(t, e.plan(1))
	s.Fail(func(*http.Request) *mlflowtest.Fault { return &mlflowtest.Fault{Status: http.StatusBadGateway} })
	if err := e.Apply(t.Context(), many(e, 5)); err == nil {
		t.Fatal("no error although it is away")
	}
	s.Fail(nil)
	s.Version = "2.22.5"
	*now = now.Add(3 * time.Second)
	e.requests.take()
	e.mustApply(t, e.plan(2))
	if diff := cmp.Diff([]int64{1, 0}, []int64{e.requests.get("GET /version"), e.requests.get("POST /v1/traces")}); diff != "" {
		t.Error(diff)
	}
}

// The spans come first where what MLflow was told would not outlast them.
func TestSpansComeFirstWhereTheyWouldChangeWhatWasTold(t *testing.T) {
	asItIs := func(*reduce.Trace) {}
	for name, c := range map[string]struct {
		version string
		known   bool // the server took spans before
		change  func(*reduce.Trace)
		want    []string
	}{
		"told first":     {"3.15.0", true, asItIs, []string{"info", "spans"}},
		"old server":     {"3.14.1", true, asItIs, []string{"spans", "info"}},
		"silent server":  {"", true, asItIs, []string{"spans", "info"}},
		"unknown server": {"3.17.2", false, asItIs, []string{"spans", "info"}},
		"no tokens": {"3.17.2", true, func(t *reduce.Trace) {
			t.Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().Remove(reduce.AttrTokenUsage)
		}, []string{"spans", "info"}},
		"tag of a resource": {"3.17.2", true, func(t *reduce.Trace) {
			t.Spans.ResourceSpans().At(0).Resource().Attributes().PutStr(t.Info.Tags[0].Key, "of the resource")
		}, []string{"spans", "info"}},
		"no root": {"3.17.2", true, func(t *reduce.Trace) { t.Info = nil }, []string{"spans"}},
	} {
		t.Run(name, func(t *testing.T) {
			e, _, _, _ := aged(t, c.version)
			if c.known {
				e.mustApply(t, e.plan(1))
			}
			var order []string
			e.sending = func(r *http.Request) {
				switch r.Method + " " + r.URL.Path {
				case "POST /v1/traces":
					order = append(order, "spans")
				case "POST /api/3.0/mlflow/traces":
					order = append(order, "info")
				}
			}
			p := e.plan(2)
			c.change(&p.Traces[0])
			e.mustApply(t, p)
			if diff := cmp.Diff(c.want, order); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// MLflow before 2.17 takes shorter tags: a run is not refused for a long note.
func TestOldServerTakesShorterTags(t *testing.T) {
	e, s, _, _ := aged(t, "2.14.3")
	s.MaxTag = 5000
	p := e.plan(1)
	p.Runs[0].Tags[0].Value = strings.Repeat("n", 7000)
	e.mustApply(t, p)
	if note := e.findRun(t, p.Runs[0].Key).Tag("mlflow.note.content"); len(note) < 4000 {
		t.Errorf("the note has %d characters", len(note))
	}
}

// noRoute is what a proxy says while nothing is behind it.
var noRoute = &mlflowtest.Fault{Status: http.StatusNotFound, Body: "default backend - 404"}

// One answer of a proxy costs no span: neither of a server that took some, nor of one of which
// nothing is known.
func TestOneAnswerOfAProxySwitchesNoTracesOff(t *testing.T) {
	for name, before := range map[string]int{"that took spans": 1, "of which nothing is known": 0} {
		t.Run(name, func(t *testing.T) {
			e, s, now, logs := aged(t, "3.17.2")
			var plans []reduce.Plan
			for i := range before {
				plans = append(plans, e.plan(i))
			}
			e.mustApply(t, plans...)
			s.Fail(once("/v1/traces", noRoute))
			e.goesOn(t, e.plan(5))
			*now = now.Add(2 * time.Minute)
			plans = append(plans, e.plan(5), e.plan(6))
			e.mustApply(t, plans...)
			e.check(t, plans...)
			if n := e.events.get(apply.EventTracesOff); n != 0 || logs.Len() != 0 {
				t.Errorf("counted %d, warned %d times", n, logs.Len())
			}
		})
	}
}

// A server that has the route no more, or never had it, is asked again each minute, and gets runs
// meanwhile.
func TestServerThatRefusesSpansIsAskedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		before int
		fault  *mlflowtest.Fault
	}{
		"took some":          {1, &mlflowtest.Fault{Status: http.StatusNotFound, Body: "<!doctype html><title>404 Not Found</title>"}},
		"took none":          {0, &mlflowtest.Fault{Status: http.StatusNotFound, Body: "<!doctype html><title>404 Not Found</title>"}},
		"proxy without it":   {0, noRoute},
		"store without them": {0, &mlflowtest.Fault{Status: http.StatusNotImplemented, Body: `{"error_code":"NOT_IMPLEMENTED","message":"x"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			e, s, now, logs := aged(t, "3.14.1") // which is told of no trace before its spans
			var plans []reduce.Plan
			for i := range c.before {
				plans = append(plans, e.plan(i))
			}
			e.mustApply(t, plans...)
			s.Fail(failing(http.MethodPost, "/v1/traces", c.fault))
			attempts := 1
			for ; e.Apply(t.Context(), e.plan(5)) != nil; attempts++ {
				if attempts == 50 {
					t.Fatal("it holds up the queue")
				}
			}
			for range 3 {
				*now = now.Add(time.Minute)
				e.requests.take()
				if err := errors.Join(e.Apply(t.Context(), e.plan(6)), e.Apply(t.Context(), e.plan(7))); err != nil {
					t.Fatal(err)
				}
				if n := e.requests.get("POST /v1/traces"); n > 1 {
					t.Errorf("asked %d times in a minute", n)
				}
			}
			if logs.Len() != 1 {
				t.Errorf("%d warnings", logs.Len())
			}
			s.Fail(nil)
			*now = now.Add(time.Minute)
			e.mustApply(t, e.plan(8))
			want := join(append(plans, e.plan(8))...)
			want.Runs = join(append(plans, e.plan(5), e.plan(6), e.plan(7), e.plan(8))...).Runs
			e.check(t, want)
		})
	}
}

// What is back after it was away may take spans now, though its version is the same.
func TestServerThatRefusedSpansIsAskedAfterReconnect(t *testing.T) {
	e, s, now, _ := aged(t, "3.17.2")
	s.Fail(failing(http.MethodPost, "/v1/traces", &mlflowtest.Fault{Status: http.StatusNotFound, Body: "<!doctype html><title>404 Not Found</title>"}))
	e.mustApply(t, e.plan(1))
	s.Fail(func(*http.Request) *mlflowtest.Fault { return &mlflowtest.Fault{Status: http.StatusBadGateway} })
	if err := e.Apply(t.Context(), many(e, 5)); err == nil {
		t.Fatal("no error although it is away")
	}
	s.Fail(nil)
	*now = now.Add(3 * time.Second)
	e.mustApply(t, many(e, 5), e.plan(2))
	if got := e.state(t).Traces["tr-"+jobID(e.experiment, 2)]; got == nil || len(got.Spans) != 12 {
		t.Errorf("trace is %+v", got)
	}
}
