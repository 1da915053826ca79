package apply_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

const staleAfter = 24 * time.Hour

// pass counts uptime, as the exporter's maintenance does, and ends what is stale.
func (e *env) pass(t *testing.T, uptime time.Duration) {
	t.Helper()
	if err := e.cfg.Ledger.AddUptime(t.Context(), uptime); err != nil {
		t.Fatal(err)
	}
	if err := e.Reap(t.Context(), staleAfter); err != nil {
		t.Fatal(err)
	}
}

// statuses are the status and the tag of the run of job 1.
func (e *env) status(t *testing.T) (status, stale string) {
	t.Helper()
	r := e.findRun(t, jobID(e.experiment, 1))
	return r.Info.Status, r.Tag(wire.TagStale)
}

// A run without news is ended after the uptime that is configured, over restarts, and news
// take it back: a stage lets it run again, and the job's own end counts.
func TestStaleRunIsKilledAndReopens(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		ended := &counter{}
		e.cfg.Finished = func(status string) { ended.add(status, 1) }
		e.restart(t)
		parts := split(e.plan(1))
		check := func(when, wantStatus, wantTag string) {
			t.Helper()
			if status, tag := e.status(t); status != wantStatus || tag != wantTag {
				t.Errorf("%s: run is %s with tag %q, want %s with %q", when, status, tag, wantStatus, wantTag)
			}
		}
		e.mustApply(t, e.plan(2), parts[0])
		e.pass(t, 13*time.Hour)
		check("after 13 h", mlflow.StatusRunning, "")
		e.restart(t)
		e.pass(t, 10*time.Hour)
		check("after a restart and 10 h more", mlflow.StatusRunning, "")
		e.pass(t, time.Hour)
		check("after 24 h", mlflow.StatusKilled, "no news for 24h0m0s")
		if n, killed := e.events.get(apply.EventStaleRun), ended.get(mlflow.StatusKilled); n != 1 || killed != 1 {
			t.Errorf("counted %d, and %d that ended as KILLED", n, killed)
		}
		e.requests.take()
		e.pass(t, 48*time.Hour)
		e.took(t, 0) // it is ended once

		e.mustApply(t, parts[1])
		check("after a stage", mlflow.StatusRunning, "")
		e.pass(t, 24*time.Hour)
		check("after 24 h without more", mlflow.StatusKilled, "no news for 24h0m0s")

		e.mustApply(t, e.plan(1))
		e.check(t, e.plan(1), e.plan(2))
		e.pass(t, 240*time.Hour)
		e.check(t, e.plan(1), e.plan(2))
	})
}

// A run that was ended or deleted by somebody else is left alone.
func TestRunsThatOthersEndedAreNotStale(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, split(e.plan(1))[0])
		id := e.findRun(t, jobID(e.experiment, 1)).Info.ID
		if err := e.client.UpdateRun(t.Context(), mlflow.UpdateRun{RunID: id, Status: mlflow.StatusFinished, EndTime: startMS + 5}); err != nil {
			t.Fatal(err)
		}
		e.pass(t, staleAfter)
		if status, tag := e.status(t); status != mlflow.StatusFinished || tag != "" {
			t.Errorf("run is %s with tag %q", status, tag)
		}
		e.mustApply(t, split(e.plan(2))[0])
		id = e.findRun(t, jobID(e.experiment, 2)).Info.ID
		if err := e.client.DeleteRun(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		e.pass(t, staleAfter)
		run, err := e.client.GetRun(t.Context(), id)
		if err != nil || run.Info.Status != mlflow.StatusRunning || run.Info.Stage != mlflow.Deleted {
			t.Errorf("got %+v, %v", run.Info, err)
		}
		if n := e.cfg.Ledger.Stats().Open; n != 0 {
			t.Errorf("%d records count as open", n)
		}
	})
}

// While something waits to be written, the bridge does not call a run stale: its news may
// be among it.
func TestTimeInWhichMLflowIsAwayMakesNothingStale(t *testing.T) {
	e, s, now := clocked(t)
	e.mustApply(t, split(e.plan(1))[0])
	if !e.Healthy() {
		t.Fatal("not healthy although all is written")
	}
	s.Fail(func(*http.Request) *mlflowtest.Fault { return &mlflowtest.Fault{Status: http.StatusBadGateway} })
	if err := e.Apply(t.Context(), e.plan(1)); err == nil || e.Healthy() {
		t.Errorf("healthy after %v", err)
	}
	s.Fail(nil)
	*now = now.Add(time.Minute)
	e.mustApply(t, e.plan(2))
	if !e.Healthy() {
		t.Error("not healthy although MLflow is back")
	}
}

// A run that cannot be ended now is ended later, and not twice.
func TestReapGoesOnAfterAFault(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, split(e.plan(1))[0])
	s.Fail(once("/runs/update", mlflowtest.Lost()))
	if err := e.cfg.Ledger.AddUptime(t.Context(), staleAfter); err != nil {
		t.Fatal(err)
	}
	if err := e.Reap(t.Context(), staleAfter); err == nil {
		t.Error("no error")
	}
	e.restart(t)
	e.pass(t, 0)
	if status, tag := e.status(t); status != mlflow.StatusKilled || tag == "" {
		t.Errorf("run is %s with tag %q", status, tag)
	}
	e.mustApply(t, e.plan(1))
	if n := e.cfg.Ledger.Stats().Open; n != 0 {
		t.Errorf("%d records count as open", n)
	}
	want := e.plan(1)
	e.mustApply(t, reduce.Plan{Runs: want.Runs})
}

// News that cannot be written keep their run, whatever else is written meanwhile.
func TestNewsThatCannotBeWrittenAreNews(t *testing.T) {
	e, s := faulty(t)
	parts := split(e.plan(1))
	e.mustApply(t, parts[0])
	for range 3 {
		if err := e.cfg.Ledger.AddUptime(t.Context(), staleAfter-time.Hour); err != nil {
			t.Fatal(err)
		}
		s.Fail(failing(http.MethodPost, "/runs/create", mlflowtest.Internal()))
		e.goesOn(t, parts[1])
		s.Fail(nil)
		e.mustApply(t, e.plan(2))
		if !e.Healthy() {
			t.Fatal("not healthy after a plan that was written")
		}
		e.pass(t, time.Hour)
		if status, _ := e.status(t); status != mlflow.StatusRunning {
			t.Errorf("run is %s although its stage waits to be written", status)
		}
	}
	e.pass(t, staleAfter)
	if status, _ := e.status(t); status != mlflow.StatusKilled {
		t.Errorf("run is %s without news", status)
	}
}

// Time that could not be noted does not count, or a restart would find less of it.
func TestUptimeThatIsNotWrittenDoesNotCount(t *testing.T) {
	e, _ := faulty(t)
	e.mustApply(t, split(e.plan(1))[0])
	e.store.fail = func() error { return errStorage }
	for range 30 {
		if err := e.cfg.Ledger.AddUptime(t.Context(), time.Hour); err == nil {
			t.Fatal("no error")
		}
	}
	e.store.fail = nil
	e.pass(t, 0)
	if status, tag := e.status(t); status != mlflow.StatusRunning || tag != "" {
		t.Errorf("run is %s with tag %q", status, tag)
	}
	e.pass(t, staleAfter)
	if status, _ := e.status(t); status != mlflow.StatusKilled {
		t.Errorf("run is %s", status)
	}
}

// Verdicts that cannot be given up now do not keep the others from it, however many they are, and have their
// turn again.
func TestVerdictsThatCannotBeGivenUpHoldUpNone(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	const stuck, others = 100, 5 // as many as are looked at in one turn
	for i := range stuck + others {
		e.mustApply(t, scored(e.score(1+i, "u-1", 1, value(1))))
	}
	since := time.Now().Add(time.Hour)
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		for i := range stuck {
			if strings.HasSuffix(r.URL.Path, "/runs/search") && bytes.Contains(body, []byte(jobID(e.experiment, 1+i))) {
				return mlflowtest.Internal()
			}
		}
		return nil
	})
	for range 100 { // the order in which they are looked at is that of their times, which may be equal
		_ = e.GiveUp(t.Context(), since)
		if e.events.get(apply.EventLoneScore) == others {
			break
		}
	}
	if n := e.events.get(apply.EventLoneScore); n != others {
		t.Errorf("%d verdicts were given up, want %d", n, others)
	}
	s.Fail(nil)
	for range 3 {
		if err := e.GiveUp(t.Context(), since); err != nil {
			t.Error(err)
		}
	}
	if n := e.events.get(apply.EventLoneScore); n != stuck+others {
		t.Errorf("%d verdicts were given up, want %d", n, stuck+others)
	}
}

// stuckRuns gives a fault to every look at the runs that are looked at first, up to n of them.
func stuckRuns(n int, fault *mlflowtest.Fault) func(*http.Request) *mlflowtest.Fault {
	stuck := map[string]bool{}
	return func(r *http.Request) *mlflowtest.Fault {
		id := r.URL.Query().Get("run_id")
		if !strings.HasSuffix(r.URL.Path, "/runs/get") {
			return nil
		}
		if len(stuck) < n {
			stuck[id] = true
		}
		if stuck[id] {
			return fault
		}
		return nil
	}
}

// Stale runs that cannot be ended now do not keep the others from it, however many they are, and have
// their turn again.
func TestStaleRunsThatCannotBeEndedHoldUpNone(t *testing.T) {
	e, s := faulty(t)
	const stuck, others = 100, 5 // as many as are looked at in one turn
	for i := range stuck + others {
		e.mustApply(t, split(e.plan(i))[0])
	}
	s.Fail(stuckRuns(stuck, mlflowtest.Internal()))
	if err := e.cfg.Ledger.AddUptime(t.Context(), staleAfter); err != nil {
		t.Fatal(err)
	}
	if err := e.Reap(t.Context(), staleAfter); err == nil {
		t.Error("no error")
	}
	if err := e.Reap(t.Context(), staleAfter); err != nil {
		t.Error(err)
	}
	if n := e.events.get(apply.EventStaleRun); n != others {
		t.Errorf("%d runs were ended, want %d", n, others)
	}
	s.Fail(nil)
	if err := e.Reap(t.Context(), staleAfter); err != nil {
		t.Error(err)
	}
	if n := e.events.get(apply.EventStaleRun); n != stuck+others {
		t.Errorf("%d runs were ended, want %d", n, stuck+others)
	}
}

// Neither does one that makes MLflow count as away each time.
func TestStaleRunThatMakesMLflowBusyHoldsUpNone(t *testing.T) {
	e, s, now := clocked(t)
	for i := range 3 {
		e.mustApply(t, split(e.plan(1 + i))[0])
	}
	if err := e.cfg.Ledger.AddUptime(t.Context(), staleAfter); err != nil {
		t.Fatal(err)
	}
	s.Fail(stuckRuns(1, &mlflowtest.Fault{Status: http.StatusTooManyRequests, RetryAfter: "1"}))
	for turn, want := range []int64{0, 2, 2} {
		_ = e.Reap(t.Context(), staleAfter)
		if n := e.events.get(apply.EventStaleRun); n != want {
			t.Errorf("turn %d: %d runs were ended, want %d", turn, n, want)
		}
		*now = now.Add(time.Minute)
		e.Ping(t.Context(), 0)
		if !e.Healthy() {
			t.Fatal("not healthy after MLflow has answered")
		}
	}
	s.Fail(nil)
	e.pass(t, 0) // ends the round
	e.pass(t, 0)
	if n := e.events.get(apply.EventStaleRun); n != 3 {
		t.Errorf("%d runs were ended, want 3", n)
	}
}

// A job for which the ledger in memory has no room goes on in the run that it has, whenever the next of
// its stages starts.
func TestJobThatWasForgottenWhileItRanKeepsItsRun(t *testing.T) {
	e, s := faulty(t)
	l, err := ledger.Open(t.Context(), &ledger.Memory{MaxRecords: 2}, ledger.Scope{Endpoint: e.client.Endpoint()}, time.UnixMilli(startMS-1000))
	if err != nil {
		t.Fatal(err)
	}
	e.cfg.Ledger = l
	e.Applier = apply.New(e.cfg)
	parts := split(e.plan(1))
	e.mustApply(t, parts[0])
	for i := range 3 {
		e.mustApply(t, split(e.plan(2 + i))[0])
	}
	if n := l.Stats().Forgotten; n != 2 {
		t.Errorf("%d are forgotten, want 2", n)
	}
	later := parts[1].Runs
	for i := range later {
		later[i].StartTime += (48 * time.Hour).Milliseconds() // as nothing tells when the job began
		later[i].StartGuessed = later[i].Implied
	}
	e.mustApply(t, parts[1])
	for _, r := range later {
		if ids := s.RunIDs(r.Key); len(ids) != 1 {
			t.Errorf("%s has runs %v", r.Key, ids)
		}
	}
}
