package apply_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// What MLflow says that it does not have may be away for a while, or with the database that it was in.

var forbidden = &mlflowtest.Fault{Status: http.StatusForbidden, Body: `{"error_code":"PERMISSION_DENIED","message":"no"}`}

// A verdict that was refused is not one that the trace has: sent again, or changed, it is written.
func TestRefusedVerdictIsWrittenOnceItIsTaken(t *testing.T) {
	for name, c := range map[string]struct {
		second int
		asked  string
	}{
		"the letter sent again": {1, wire.RepairAgain},
		"a later one":           {2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, s := faulty(t)
			e.mustApply(t, e.plan(1))
			s.Fail(failing(http.MethodPost, "/assessments", forbidden))
			refused(t, e.Apply(t.Context(), scored(e.score(1, "u-1", 1, value(1)))))
			s.Fail(nil)
			next := scored(e.score(1, "u-1", c.second, value(1)))
			next.Repair = map[string]string{jobID(e.experiment, 1): c.asked}
			e.mustApply(t, next)
			e.saidIs(t, 1, map[string]string{"helpful u-1": fmt.Sprint("1 | HUMAN |  | because ", c.second)}, "1 1 up")
		})
	}
}

// A verdict on a trace that was refused comes with the trace once that is taken.
func TestVerdictOnARefusedTrace(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		switch r.URL.Path {
		case "/v1/traces":
			return &mlflowtest.Fault{Status: http.StatusUnprocessableEntity, Body: `{"detail":"Failed to log OpenTelemetry spans"}`}
		case "/api/3.0/mlflow/traces":
			return &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}`}
		}
		return nil
	})
	if items := apply.Errors(e.Apply(t.Context(), e.plan(1))); len(items) == 0 || slices.ContainsFunc(items, func(i *apply.ItemError) bool { return !i.Permanent }) {
		t.Fatalf("got %v", items)
	}
	e.mustApply(t, scored(e.score(1, "u-1", 1, value(1))))
	s.Fail(nil)
	e.mustApply(t, repaired(e.plan(1), wire.RepairAgain))
	e.saidIs(t, 1, map[string]string{"helpful u-1": "1 | HUMAN |  | because 1"}, "1 1 up")
}

// What would have been the right answer is not lost when the database is replaced and nothing else
// tells of it.
func TestExpectationForAReplacedDatabaseWaits(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(1))
	s.Wipe()
	expected := e.score(1, "u-1", 1, value(1))
	expected.Expected = true
	items := apply.Errors(e.Apply(t.Context(), scored(expected)))
	if len(items) != 1 || items[0].Permanent {
		t.Fatalf("got %v", items)
	}
	e.mustApply(t, scored(expected), e.plan(1))
	if got, _ := e.said(t, 1); len(got) != 1 {
		t.Errorf("the trace has %v", got)
	}
}

// A workspace that is away takes no run with it.
func TestMissingWorkspaceRemovesNothing(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, split(e.plan(1))[0])
	s.Fail(failing(http.MethodGet, "/runs/get", &mlflowtest.Fault{
		Status: http.StatusNotFound, Body: `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Workspace 'x' not found"}`,
	}))
	if err := e.cfg.Ledger.AddUptime(t.Context(), staleAfter); err != nil {
		t.Fatal(err)
	}
	if err := e.Reap(t.Context(), staleAfter); err == nil {
		t.Error("nothing failed")
	}
	s.Fail(nil)
	e.mustApply(t, e.plan(1))
	e.check(t, e.plan(1))
}

// A run that is not found since the database is another one is made anew there.
func TestRunsOfAReplacedDatabaseAreMadeAnew(t *testing.T) {
	t.Run("stale", func(t *testing.T) {
		e, s := faulty(t)
		e.mustApply(t, split(e.plan(1))[0])
		s.Wipe()
		e.pass(t, staleAfter)
		e.mustApply(t, alone(e.plan(1)))
		e.check(t, alone(e.plan(1)))
	})
	t.Run("deleted, and asked for again", func(t *testing.T) {
		e, s := faulty(t)
		e.mustApply(t, alone(e.plan(1)))
		if err := e.client.DeleteRun(t.Context(), e.findRun(t, jobID(e.experiment, 1)).Info.ID); err != nil {
			t.Fatal(err)
		}
		e.mustApply(t, alone(changed(e.plan(1))))
		s.Wipe()
		e.mustApply(t, repaired(alone(e.plan(1)), wire.RepairAgain))
		e.check(t, alone(e.plan(1)))
	})
}

// The run of a job that is in the old database when others have found out that there is a new one gets no
// run of a stage that hangs under nothing.
func TestNoRunWithoutTheOneAbove(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	p := reduce.Plan{Runs: e.plan(1).Runs[:2]}
	held, free := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	e.sending = func(r *http.Request) { // the first is the run of the job
		if strings.HasSuffix(r.URL.Path, "/runs/create") && first.CompareAndSwap(false, true) {
			close(held)
			<-free
		}
	}
	done := make(chan error)
	go func() { done <- e.Apply(t.Context(), p) }()
	<-held
	s.Wipe()
	e.mustApply(t, alone(e.plan(2)))
	close(free)
	if err := <-done; err != nil {
		t.Logf("again after: %v", err)
	}
	id := e.experimentID(t)
	orphans := func(when string) {
		t.Helper()
		runs, _, err := e.client.SearchRuns(t.Context(), mlflow.SearchRuns{ExperimentIDs: []string{id}, View: mlflow.ViewAll})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			if r.Tag(wire.TagKey) == p.Runs[1].Key && r.Tag(mlflow.TagParentRun) == "" {
				t.Errorf("%s a run of a stage hangs under nothing", when)
			}
		}
	}
	orphans("at once")
	e.mustApply(t, p)
	orphans("later")
	e.check(t, p, alone(e.plan(2)))
}

// alone leaves of a plan the run of the job, so that no other tells of the database.
func alone(p reduce.Plan) reduce.Plan { return reduce.Plan{Runs: p.Runs[:1]} }

// A tag that somebody removed in between is not the run.
func TestRemovedTagIsNotTheRun(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(1))
	words := func(second int, text string) reduce.Score {
		v := e.score(1, "u-1", second, nil)
		if v.Retracted = text == ""; !v.Retracted {
			v.Value, v.Label = []byte(`"`+text+`"`), text
		}
		return v
	}
	e.mustApply(t, scored(words(1, "vague")))
	s.Fail(once("/runs/delete-tag", &mlflowtest.Fault{
		Serve: true, Status: http.StatusNotFound, Body: `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No tag with name: feedback.helpful in run with id x"}`,
	}))
	e.mustApply(t, scored(words(2, "")), scored(words(3, "wrong")))
	if _, run := e.said(t, 1); !strings.HasSuffix(run, " wrong") {
		t.Errorf("the run says %q", run)
	}
	if n := e.events.get(apply.EventDeletedRun); n != 0 {
		t.Errorf("%d runs count as deleted", n)
	}
}

// What others said is not left out of the mean when MLflow does not tell it.
func TestVerdictsThatAreNotTold(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(1), scored(e.score(1, "u-1", 1, value(1))), scored(e.score(1, "u-2", 2, value(0))))
	e.lose(t)
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/traces/tr-") {
			return forbidden
		}
		return nil
	})
	refused(t, e.Apply(t.Context(), scored(e.score(1, "u-3", 3, value(1)))))
	if r := e.onlyLetter(t).Refused; len(r) != 1 || r[0].Kind != "score" {
		t.Errorf("the letter has %v", r)
	}
	s.Fail(nil)
	if _, run := e.said(t, 1); run != "2 0.5 down 1, up 1" {
		t.Errorf("the run says %q", run)
	}
}

// A verdict that waited and is refused when its run is found has no letter, and is counted as such.
func TestWaitingVerdictThatIsRefusedIsCounted(t *testing.T) {
	e, s := faulty(t)
	other := newEnv(t, e.client.Endpoint())
	other.experiment, other.cfg.DefaultExperiment = e.experiment, e.experiment
	other.restart(t)
	e.mustApply(t, e.plan(0), scored(e.score(1, "u-1", 1, value(1))))
	other.mustApply(t, e.plan(1))
	s.Fail(failing(http.MethodPost, "/assessments", forbidden))
	e.pass(t, staleAfter)
	if n := e.events.get(apply.EventDeadLetterFailed); n != 1 {
		t.Errorf("counted %d", n)
	}
}

// A note about params for which a request has no room costs no tag.
func TestParamConflictOfARunWithManyTags(t *testing.T) {
	e, _ := faulty(t)
	p := e.plan(1)
	e.mustApply(t, split(p)[0])
	p.Runs = p.Runs[:1]
	p.Runs[0].Params, p.Runs[0].Tags = []reduce.KeyValue{{Key: "job_id", Value: "another"}}, nil
	for i := range 100 {
		p.Runs[0].Tags = append(p.Runs[0].Tags, reduce.KeyValue{Key: fmt.Sprintf("tag %02d", i), Value: "x"})
	}
	e.mustApply(t, reduce.Plan{Runs: p.Runs})
	run := e.findRun(t, p.Runs[0].Key)
	for _, tag := range p.Runs[0].Tags {
		if run.Tag(tag.Key) != "x" {
			t.Errorf("tag %s is missing", tag.Key)
		}
	}
	if got := run.Tag(wire.TagParamConflict); got != "job_id" {
		t.Errorf("the note is %q", got)
	}
}

// A proxy that wants to be paid, or told, before it lets anything through costs nothing.
func TestProxyThatRefusesEverythingCostsNothing(t *testing.T) {
	for _, fault := range []*mlflowtest.Fault{
		{Status: http.StatusProxyAuthRequired, Body: "<html>who are you</html>"},
		{Status: http.StatusBadRequest, Body: "Client sent an HTTP request to an HTTPS server.\n"},
	} {
		e, s := faulty(t)
		var asked atomic.Int32
		s.Fail(func(*http.Request) *mlflowtest.Fault { asked.Add(1); return fault })
		for range 3 {
			e.goesOn(t, e.plan(1))
		}
		if asked.Load() == 0 || e.events.get(apply.EventDeadLetter) != 0 {
			t.Errorf("%d: %d requests, %d dead letters", fault.Status, asked.Load(), e.events.get(apply.EventDeadLetter))
		}
	}
}

// A verdict whose run MLflow does not tell is one dead letter, and neither asked for with each message nor
// given up once more.
func TestRefusedQuestionOfAVerdictIsCountedOnce(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	e.cfg.Shared = true
	e.restart(t)
	s.Fail(failing(http.MethodPost, "/runs/search", forbidden))
	verdict := scored(e.score(1, "u-1", 1, value(1)))
	refused(t, e.Apply(t.Context(), verdict))
	e.mustApply(t, verdict)
	e.pass(t, staleAfter)
	for event, want := range map[string]int64{apply.EventDeadLetter: 1, apply.EventDeadLetterFailed: 0, apply.EventLoneScore: 0} {
		if n := e.events.get(event); n != want {
			t.Errorf("%s is %d, want %d", event, n, want)
		}
	}
	s.Fail(nil)
	verdict.Repair = map[string]string{jobID(e.experiment, 1): wire.RepairAgain}
	e.mustApply(t, e.plan(1), verdict)
	e.saidIs(t, 1, map[string]string{"helpful u-1": "1 | HUMAN |  | because 1"}, "1 1 up")
}

// A name that somebody on the way refuses holds up no job of another experiment.
func TestExperimentThatAProxyRefuses(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.URL.Query().Get("experiment_name") == "bad" {
			return &mlflowtest.Fault{Status: http.StatusUnavailableForLegalReasons, Body: "blocked"}
		}
		return nil
	})
	p := alone(e.plan(1))
	p.Runs[0].Experiment = "bad"
	refused(t, e.Apply(t.Context(), p))
	if r := e.onlyLetter(t).Refused; len(r) != 1 || r[0].Kind != "run" {
		t.Errorf("the letter has %v", r)
	}
	e.mustApply(t, e.plan(2))
}

// A gateway that says with half an answer that nothing is behind it, and a proxy that takes connections
// for those of another server, count as MLflow that is away.
func TestHalfAnAnswerOfAGatewayIsNone(t *testing.T) {
	for _, fault := range []*mlflowtest.Fault{
		{Status: http.StatusBadGateway, Body: `{"error": "no healthy`}, {Status: http.StatusMisdirectedRequest},
	} {
		e, s := faulty(t)
		s.Fail(func(*http.Request) *mlflowtest.Fault { return fault })
		for range 5 {
			e.goesOn(t, e.plan(1))
		}
		if state := e.State(); state.Away == "" {
			t.Errorf("%d: MLflow counts as there", fault.Status)
		}
	}
}
