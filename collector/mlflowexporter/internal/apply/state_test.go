package apply_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// pinged is an environment of which nothing is known, with a clock of the test, and what
// State said at each change.
func pinged(t *testing.T) (*env, *mlflowtest.Server, *time.Time, *[]bool) {
	e, s := faulty(t)
	now, away := time.UnixMilli(startMS), &[]bool{}
	e.cfg.Now = func() time.Time { return now }
	e.cfg.Changed = func() { *away = append(*away, e.State().Away != "") }
	e.restart(t)
	return e, s, &now, away
}

// While nothing is written MLflow is asked now and then, and what comes of it is told once.
func TestPingFindsOutWhetherMLflowIsThere(t *testing.T) {
	e, s, now, away := pinged(t)
	if state := e.State(); state.Known {
		t.Errorf("before anything was asked: %+v", state)
	}
	ping := func(requests int64, known bool) {
		t.Helper()
		e.Ping(t.Context(), 10*time.Second)
		e.took(t, requests)
		if state := e.State(); !state.Known || (state.Away == "") != known {
			t.Errorf("state is %+v", state)
		}
	}
	ping(1, true)
	*now = now.Add(9 * time.Second)
	ping(0, true) // it is known

	s.Fail(func(*http.Request) *mlflowtest.Fault { return &mlflowtest.Fault{Status: http.StatusBadGateway} })
	*now = now.Add(2 * time.Second)
	ping(3, false)
	*now = now.Add(15 * time.Second)
	ping(1, false) // the version

	s.Fail(nil)
	*now = now.Add(15 * time.Second)
	ping(2, true)
	if len(*away) != 2 || !(*away)[0] || (*away)[1] {
		t.Errorf("told that it is away: %v", *away)
	}
}

// One failure between answers is none; a request of a job tells as much as a ping.
func TestStateFollowsTheRequests(t *testing.T) {
	e, s, now, away := pinged(t)
	s.Fail(once("/get-by-name", &mlflowtest.Fault{Status: http.StatusBadGateway}))
	e.Ping(t.Context(), time.Second)
	e.mustApply(t, e.plan(1))
	if len(*away) != 0 || e.State() != (apply.State{Known: true}) {
		t.Errorf("told %v, state is %+v", *away, e.State())
	}
	s.Fail(func(*http.Request) *mlflowtest.Fault { return &mlflowtest.Fault{} })
	for range 3 {
		_ = e.Apply(t.Context(), many(e, 5))
		*now = now.Add(3 * time.Second)
	}
	s.Fail(nil)
	e.mustApply(t, many(e, 5))
	if len(*away) != 2 || !(*away)[0] || (*away)[1] {
		t.Errorf("told that it is away: %v", *away)
	}
}

// What stands in the way of every request counts as away, and what MLflow says of one
// request does not.
func TestWhatCountsAsAway(t *testing.T) {
	for name, c := range map[string]struct {
		fault *mlflowtest.Fault
		away  bool
	}{
		"no answer":       {&mlflowtest.Fault{}, true},
		"gateway":         {&mlflowtest.Fault{Status: http.StatusBadGateway, Body: "<html>"}, true},
		"overload":        {&mlflowtest.Fault{Status: http.StatusTooManyRequests, RetryAfter: "1"}, true},
		"no credentials":  {&mlflowtest.Fault{Status: http.StatusUnauthorized, Body: "You are not authenticated."}, true},
		"no permission":   {&mlflowtest.Fault{Status: http.StatusForbidden, Body: "Permission denied"}, true},
		"host check":      {&mlflowtest.Fault{Status: http.StatusForbidden, Body: "Invalid Host header - possible DNS rebinding attack detected"}, true},
		"redirect":        {&mlflowtest.Fault{Status: http.StatusPermanentRedirect}, true},
		"busy database":   {mlflowtest.Locked(), false},
		"internal error":  {mlflowtest.Internal(), false},
		"item is refused": {&mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE"}`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, s, now, away := pinged(t)
			// As with a real MLflow's host check, GET /version is answered.
			s.Fail(func(r *http.Request) *mlflowtest.Fault {
				if r.URL.Path == "/version" {
					return nil
				}
				return c.fault
			})
			for range 5 {
				e.Ping(t.Context(), time.Second)
				*now = now.Add(3 * time.Second)
			}
			if state := e.State(); !state.Known || (state.Away != "") != c.away {
				t.Errorf("state is %+v", state)
			}
			s.Fail(nil)
			e.Ping(t.Context(), time.Second)
			if want := map[bool]int{true: 2}[c.away]; len(*away) != want || e.State().Away != "" {
				t.Errorf("told that it is away: %v", *away)
			}
		})
	}
}

// MLflow tells its version while its host check refuses everything else: the first job asks
// for it, and that is no news.
func TestVersionDoesNotEndARefusal(t *testing.T) {
	e, s, now, away := pinged(t)
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.URL.Path == "/version" {
			return nil
		}
		return &mlflowtest.Fault{Status: http.StatusForbidden, Body: "Invalid Host header - possible DNS rebinding attack detected"}
	})
	e.Ping(t.Context(), time.Second)
	for range 3 {
		*now = now.Add(3 * time.Second)
		if err := e.Apply(t.Context(), e.plan(1)); err == nil {
			t.Error("no error although everything is refused")
		}
	}
	if e.requests.get("GET /version") == 0 {
		t.Error("nobody asked for the version")
	}
	if len(*away) != 1 || !(*away)[0] {
		t.Errorf("told that it is away: %v", *away)
	}
	s.Fail(nil)
	*now = now.Add(3 * time.Second)
	e.mustApply(t, e.plan(1))
	if len(*away) != 2 {
		t.Errorf("told that it is away: %v", *away)
	}
}
