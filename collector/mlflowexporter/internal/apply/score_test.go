package apply_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// score is what somebody says of job n at some second after its end; nil: takes it back.
func (e *env) score(n int, who string, second int, value *float64) reduce.Score {
	trace := jobID(e.experiment, n)
	at := uint64(startMS+2000+second*1000) * 1e6
	s := reduce.Score{
		ID: "a-" + hash(trace + who)[:32], TraceID: trace, RunKey: trace, Experiment: e.experiment, Name: "helpful", SourceType: wire.SourceHuman, SourceID: who,
		Retracted: value == nil, InTrace: true, StartMS: startMS, Version: reduce.Version{EndUnixNano: at, Hash: hash(fmt.Sprint(who, second))},
	}
	if value != nil {
		s.Value, _ = json.Marshal(*value)
		s.Number, s.Label, s.Why = value, map[bool]string{true: "up", false: "down"}[*value > 0.5], fmt.Sprint("because ", second)
	}
	return s
}

func scored(scores ...reduce.Score) reduce.Plan { return reduce.Plan{Scores: scores} }

func value(f float64) *float64 { return &f }

// said is what MLflow shows of the verdicts on a job: those on its trace, and count, mean and
// words on its run.
func (e *env) said(t testing.TB, n int) (assessments map[string]string, run string) {
	t.Helper()
	exp, err := e.client.GetExperimentByName(t.Context(), e.experiment)
	if err != nil {
		t.Fatal(err)
	}
	s, err := mlflowtest.Read(t.Context(), e.client, exp.ID)
	if err != nil {
		t.Fatal(err)
	}
	if trace := s.Traces["tr-"+jobID(e.experiment, n)]; trace != nil {
		assessments = trace.Assessments
	}
	runs, _, err := e.client.SearchRuns(t.Context(), mlflow.SearchRuns{
		ExperimentIDs: []string{exp.ID}, View: mlflow.ViewAll, Filter: "tags.`" + wire.TagKey + "` = '" + jobID(e.experiment, n) + "'",
	})
	if err != nil || len(runs) != 1 {
		t.Fatalf("found %d runs, %v", len(runs), err)
	}
	latest := map[string]float64{}
	for _, m := range runs[0].Data.Metrics {
		latest[m.Key] = float64(m.Value)
	}
	return assessments, fmt.Sprintf("%g %g %s", latest["feedback/helpful/count"], latest["feedback/helpful/mean"], runs[0].Tag("feedback.helpful"))
}

func (e *env) saidIs(t testing.TB, n int, assessments map[string]string, run string) {
	t.Helper()
	gotAssessments, gotRun := e.said(t, n)
	if diff := cmp.Diff(assessments, gotAssessments); diff != "" {
		t.Errorf("assessments (-want +got):\n%s", diff)
	}
	if gotRun != run {
		t.Errorf("the run says %q, want %q", gotRun, run)
	}
}

// A verdict becomes an assessment of the trace, and metrics and a tag of the run; it changes,
// and goes when it is taken back.
func TestScores(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, e.plan(1))
		e.requests.take()
		e.mustApply(t, scored(e.score(1, "u-1", 1, value(1))))
		e.took(t, 3) // read the run, log to it, add the assessment
		up := map[string]string{"helpful u-1": "1 | HUMAN |  | because 1"}
		e.saidIs(t, 1, up, "1 1 up")
		e.requests.take()
		e.mustApply(t, scored(e.score(1, "u-1", 1, value(1))), e.plan(1))
		e.took(t, 0)

		e.mustApply(t, scored(e.score(1, "u-2", 2, value(0))))
		e.saidIs(t, 1, map[string]string{"helpful u-1": up["helpful u-1"], "helpful u-2": "0 | HUMAN |  | because 2"}, "2 0.5 down 1, up 1")
		e.mustApply(t, scored(e.score(1, "u-1", 3, value(0))))
		e.saidIs(t, 1, map[string]string{"helpful u-1": "0 | HUMAN |  | because 3", "helpful u-2": "0 | HUMAN |  | because 2"}, "2 0 down 2")
		e.mustApply(t, scored(e.score(1, "u-1", 2, value(1)))) // older than what is there
		e.saidIs(t, 1, map[string]string{"helpful u-1": "0 | HUMAN |  | because 3", "helpful u-2": "0 | HUMAN |  | because 2"}, "2 0 down 2")
		e.mustApply(t, scored(e.score(1, "u-1", 5, nil), e.score(1, "u-2", 5, nil)))
		e.saidIs(t, 1, nil, "0 0 ")
		e.mustApply(t, scored(e.score(1, "u-1", 4, value(1)))) // taken back since
		e.saidIs(t, 1, nil, "0 0 ")
		e.mustApply(t, scored(e.score(1, "u-1", 6, value(1))))
		e.saidIs(t, 1, map[string]string{"helpful u-1": "1 | HUMAN |  | because 6"}, "1 1 up")
	})
}

// A verdict that comes before its job waits for the run and the trace, and makes neither.
func TestScoreThatComesFirst(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		first := scored(e.score(1, "u-1", 1, value(1)))
		e.mustApply(t, first, first)
		if _, err := e.client.GetExperimentByName(t.Context(), e.experiment); !mlflow.IsCode(err, mlflow.CodeNotFound) {
			t.Errorf("a verdict made the experiment: %v", err)
		}
		e.restart(t)
		e.mustApply(t, split(e.plan(1))...)
		e.saidIs(t, 1, map[string]string{"helpful u-1": "1 | HUMAN |  | because 1"}, "1 1 up")
	})
}

// A job without a trace has its verdicts on the run alone.
func TestScoreWithoutATrace(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		p := e.plan(1)
		p.Traces = nil
		s := e.score(1, "u-1", 1, value(0))
		s.InTrace = false
		e.mustApply(t, p, scored(s))
		e.saidIs(t, 1, nil, "1 0 down")
	})
}

// Without its ledger the bridge finds run and trace, does not overwrite a later verdict, and
// counts those of others that the trace holds.
func TestScoreAfterALostLedger(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, e.plan(1), scored(e.score(1, "u-1", 5, value(1)), e.score(1, "u-2", 1, value(1))))
		said := func() []mlflow.Assessment {
			info, err := e.client.GetTraceInfo(t.Context(), "tr-"+jobID(e.experiment, 1))
			if err != nil {
				t.Fatal(err)
			}
			return info.Assessments
		}
		before := said()
		e.lose(t)
		e.mustApply(t, scored(e.score(1, "u-2", 1, value(1))))
		if diff := cmp.Diff(before, said()); diff != "" {
			t.Errorf("what is there as it should be is written again: -before +after\n%s", diff)
		}
		e.mustApply(t, scored(e.score(1, "u-1", 3, value(0))))
		held := map[string]string{"helpful u-1": "1 | HUMAN |  | because 5", "helpful u-2": "1 | HUMAN |  | because 1"}
		e.saidIs(t, 1, held, "2 1 up 2")
		e.mustApply(t, scored(e.score(1, "u-1", 6, value(0))))
		held["helpful u-1"] = "0 | HUMAN |  | because 6"
		e.saidIs(t, 1, held, "2 0.5 down 1, up 1")
	})
}

// What a user deleted stays deleted.
func TestScoreOfADeletedJob(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, e.plan(1))
		run := e.findRun(t, jobID(e.experiment, 1))
		if err := e.client.DeleteRun(t.Context(), run.Info.ID); err != nil {
			t.Fatal(err)
		}
		e.mustApply(t, scored(e.score(1, "u-1", 1, value(1))))
		e.requests.take()
		e.mustApply(t, scored(e.score(1, "u-1", 1, value(1))))
		e.took(t, 0)
		e.saidIs(t, 1, map[string]string{"helpful u-1": "1 | HUMAN |  | because 1"}, "0 0 ")
	})
}

// A verdict whose job does not come is given up after as long as a run without news.
func TestLoneScoreIsGivenUp(t *testing.T) {
	e, _ := faulty(t)
	e.mustApply(t, e.plan(0), scored(e.score(1, "u-1", 1, value(1))))
	if err := e.cfg.Ledger.AddUptime(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if n := e.cfg.Ledger.Stats().Open; n != 0 {
		t.Errorf("a verdict counts as %d open runs", n)
	}
	e.restart(t)
	for range 2 {
		if err := e.Reap(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if n := e.events.get(apply.EventLoneScore); n != 1 {
		t.Errorf("counted %d", n)
	}
	e.mustApply(t, e.plan(1))
	e.saidIs(t, 1, nil, "0 0 ")
}

// Words have no mean.
func TestWordsHaveNoMean(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, e.plan(1))
		s := e.score(1, "u-1", 1, value(1))
		s.Number, s.Label, s.Value = nil, "good", json.RawMessage(`"good"`)
		e.mustApply(t, scored(s))
		exp, err := e.client.GetExperimentByName(t.Context(), e.experiment)
		if err != nil {
			t.Fatal(err)
		}
		state, err := mlflowtest.Read(t.Context(), e.client, exp.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range state.Runs {
			for key, points := range r.Metrics {
				if strings.HasPrefix(key, "feedback/") && key != "feedback/helpful/count" {
					t.Errorf("%s is %v", key, points)
				}
			}
		}
		e.saidIs(t, 1, map[string]string{"helpful u-1": "good | HUMAN |  | because 1"}, "1 0 good")
	})
}

// A verdict that comes without its word takes the word back that came before.
func TestVerdictWithoutAWord(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, e.plan(1), scored(e.score(1, "u-1", 1, value(1))))
		later := e.score(1, "u-1", 2, value(0))
		later.Label = ""
		e.mustApply(t, scored(later))
		held, err := e.client.GetAssessment(t.Context(), "tr-"+later.TraceID, later.ID)
		if err != nil || held.Metadata["label"] != "" {
			t.Errorf("held with %v, %v", held.Metadata, err)
		}
		e.lose(t)
		e.mustApply(t, scored(e.score(1, "u-2", 3, value(0))))
		if _, run := e.said(t, 1); strings.Contains(run, "up") {
			t.Errorf("the run says %s", run)
		}
	})
}

// Where there are no traces a verdict is complete when the run has it.
func TestScoreWithoutTraces(t *testing.T) {
	e, _, _, logs := aged(t, "2.22.5")
	e.mustApply(t, e.plan(1), scored(e.score(1, "u-1", 1, value(1))))
	e.pass(t, staleAfter)
	e.pass(t, staleAfter)
	if n := e.events.get(apply.EventLoneScore); n != 0 || logs.Len() != 1 {
		t.Errorf("%d verdicts given up, %d lines", n, logs.Len())
	}
}

// What was given up is not looked at again, after a restart neither, and keeps the place of no
// run that is to be ended.
func TestManyLoneScoresAreForgotten(t *testing.T) {
	e, _ := faulty(t)
	e.mustApply(t, e.plan(0))
	const many = 100 // as many as are worked on in one turn
	for n := 1; n <= many; n++ {
		e.mustApply(t, scored(e.score(n, "u-1", 1, value(1))))
	}
	before := e.cfg.Ledger.Stats().Records
	e.pass(t, staleAfter)
	if n := e.events.get(apply.EventLoneScore); n != many {
		t.Fatalf("%d given up", n)
	}
	if after := e.cfg.Ledger.Stats().Records; before-after != many {
		t.Errorf("%d records were %d", after, before)
	}
	e.mustApply(t, split(e.plan(200))[0])
	e.restart(t)
	e.pass(t, staleAfter)
	if status := e.findRun(t, jobID(e.experiment, 200)).Info.Status; status != mlflow.StatusKilled {
		t.Errorf("a stale run is %s", status)
	}
	if n := e.events.get(apply.EventLoneScore); n != many {
		t.Errorf("%d given up after a restart", n)
	}
}

// A verdict on a run that was removed for good, in another experiment than the default one, is
// no reason to wait.
func TestScoreOfARunRemovedForGood(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	other := e.experiment + " other"
	p := plan(other, 1)
	e.mustApply(t, p)
	for _, r := range s.RunIDs(p.Runs[0].Key) {
		s.Purge(r)
	}
	sc := e.score(1, "u-1", 1, value(1))
	sc.TraceID, sc.RunKey, sc.Experiment = p.Runs[0].Key, p.Runs[0].Key, other
	e.persist(t, scored(sc))
}

// Without its ledger the bridge does not count for a job what was said of another job of the trace.
func TestScoresOfSeveralJobsAfterALostLedger(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		p := e.plan(1)
		other := p.Runs[0]
		other.Key, other.OwnKey, other.Name = p.Runs[0].Key+"-00000000000000ff", "", "other"
		p.Runs = append(p.Runs, other)
		of := func(who string, second int) reduce.Score {
			s := e.score(1, who, second, value(0))
			s.RunKey = other.Key
			return s
		}
		e.mustApply(t, p, scored(e.score(1, "u-1", 1, value(1)), of("u-2", 1)))
		e.lose(t)
		e.mustApply(t, p, scored(of("u-3", 2)), scored(e.score(1, "u-4", 2, value(1))))
		e.saidIs(t, 1, map[string]string{
			"helpful u-1": "1 | HUMAN |  | because 1", "helpful u-2": "0 | HUMAN |  | because 1 | in " + other.Key,
			"helpful u-3": "0 | HUMAN |  | because 2 | in " + other.Key, "helpful u-4": "1 | HUMAN |  | because 2",
		}, "2 1 up 2")
		for _, m := range e.findRun(t, other.Key).Data.Metrics {
			if m.Key == "feedback/helpful/count" && m.Value != 2 {
				t.Errorf("the other run counts %v", m.Value)
			}
		}
	})
}

// A verdict that is in a trace without a run is not given up.
func TestVerdictOnATraceWithoutARun(t *testing.T) {
	e, _ := faulty(t)
	p := e.plan(1)
	p.Runs = nil
	e.mustApply(t, p, scored(e.score(1, "u-1", 1, value(1))))
	for range 2 {
		e.pass(t, staleAfter)
	}
	if n := e.events.get(apply.EventLoneScore); n != 0 {
		t.Errorf("%d verdicts given up", n)
	}
	if got := e.state(t).Traces["tr-"+jobID(e.experiment, 1)].Assessments; got["helpful u-1"] == "" {
		t.Errorf("assessments are %v", got)
	}
}

// A verdict that names another experiment than its job's finds the run and the trace, whichever comes first,
// and an experiment that is not there is asked for once.
func TestScoreNamesAnotherExperiment(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		elsewhere := func(n int, who string, name string) reduce.Score {
			s := e.score(n, who, 1, value(1))
			s.Experiment, s.Name, s.ID = e.experiment+" elsewhere", name, "a-"+hash(s.ID + name)[:32]
			return s
		}
		found := map[string]string{"helpful u-1": "1 | HUMAN |  | because 1"}
		e.mustApply(t, scored(elsewhere(1, "u-1", "helpful")), e.plan(1))
		e.saidIs(t, 1, found, "1 1 up")
		parts := split(e.plan(2)) // and when only a part of the job comes later
		e.mustApply(t, parts[0], scored(elsewhere(2, "u-1", "helpful")))
		e.mustApply(t, parts[1:]...)
		e.mustApply(t, e.plan(2))
		e.saidIs(t, 2, found, "1 1 up")

		e.mustApply(t, e.plan(3))
		asked := &counter{}
		e.sending = func(r *http.Request) {
			if r.URL.Query().Get("experiment_name") == e.experiment+" elsewhere" {
				asked.add("", 1)
			}
		}
		e.mustApply(t, scored(elsewhere(1, "u-1", "fast"), elsewhere(3, "u-1", "helpful"), elsewhere(3, "u-2", "fast")))
		if n := asked.get(""); n != 1 && !e.retried {
			t.Errorf("asked %d times for the experiment that is not there", n)
		}
	})
}
