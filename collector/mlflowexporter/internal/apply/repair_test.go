package apply_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter/deadletter"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// repaired is a plan as a repair message gives it.
func repaired(p reduce.Plan, asked string) reduce.Plan {
	p.Repair = map[string]string{}
	for _, r := range p.Runs {
		p.Repair[r.TraceID] = asked
	}
	return p
}

// A run and its stages that a user deleted come back with everything in them when a repair
// message asks for it, whether the bridge knows of the deletion or has lost its ledger.
func TestRepairBringsBackADeletedRun(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		for name, before := range map[string]func(){
			"not noticed": func() {},
			"noticed": func() {
				if err := e.Apply(t.Context(), reduce.Plan{Runs: changed(e.plan(1)).Runs}); err != nil {
					t.Fatal(err)
				}
			},
			"ledger lost": func() { e.lose(t) },
		} {
			e.restart(t)
			e.mustApply(t, e.plan(1))
			for _, r := range e.plan(1).Runs {
				if err := e.client.DeleteRun(t.Context(), e.findRun(t, r.Key).Info.ID); err != nil {
					t.Fatal(err)
				}
			}
			before()
			for _, asked := range []string{"", wire.RepairAgain} {
				e.mustApply(t, repaired(e.plan(1), asked))
				if stage := e.findRun(t, jobID(e.experiment, 1)).Info.Stage; stage != mlflow.Deleted {
					t.Errorf("%s: %q made the run %s", name, asked, stage)
				}
			}
			p := repaired(e.plan(1), wire.RepairRecreate)
			for range 10 { // one deletion after the other is found out
				if e.Apply(t.Context(), p) == nil {
					break
				}
			}
			e.check(t, e.plan(1))
		}
	})
}

// Runs that were removed for good are made anew, and the trace names the new one.
func TestRepairMakesARemovedRunAnew(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(1))
	before := e.findRun(t, jobID(e.experiment, 1)).Info.ID
	for _, r := range e.plan(1).Runs {
		s.Purge(e.findRun(t, r.Key).Info.ID)
	}
	p := repaired(e.plan(1), wire.RepairRecreate)
	for range 10 { // one removal after the other is found out
		if e.Apply(t.Context(), p) == nil {
			break
		}
	}
	if after := e.findRun(t, jobID(e.experiment, 1)).Info.ID; after == before {
		t.Errorf("the run is still %s", after)
	}
	e.check(t, e.plan(1))
}

// changed is a plan whose runs ended later.
func changed(p reduce.Plan) reduce.Plan {
	for i := range p.Runs {
		p.Runs[i].Version.EndUnixNano++
	}
	return p
}

// What MLflow refused lies in a letter; sent again it is refused again and lies there
// still; once the cause is mended it is written, and the letter is gone.
func TestReplayOfADeadLetter(t *testing.T) {
	e, s := faulty(t)
	e.mustApply(t, e.plan(0))
	p := e.plan(1)
	s.Fail(func(r *http.Request) *mlflowtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/sources.txt") || r.URL.Path == "/api/3.0/mlflow/traces" {
			return &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}`}
		}
		return nil
	})
	if items := apply.Errors(e.Apply(t.Context(), p)); len(items) != 2 {
		t.Fatalf("got %v", items)
	}
	// The bridge's receiver: what comes in is reduced, which these tests leave out.
	send := func(ctx context.Context, td ptrace.Traces) error {
		mark, _ := td.ResourceSpans().At(0).Resource().Attributes().Get(wire.ResRepair)
		_ = e.Apply(ctx, repaired(p, mark.Str()))
		return nil
	}
	var first string
	for attempt := range 3 {
		if attempt == 2 {
			s.Fail(nil)
		}
		results, err := replay(t, e.cfg.DeadLetterDir, send)
		if err != nil || len(results) != 1 || results[0].Err != nil {
			t.Fatalf("attempt %d: %+v, %v", attempt, results, err)
		}
		var kinds []string
		for _, r := range results[0].Letter.Refused {
			kinds = append(kinds, r.Kind+" "+r.Name)
		}
		slices.Sort(kinds)
		if want := []string{"artifact stage_a/sources.txt", "trace_info " + jobID(e.experiment, 1)}; !slices.Equal(kinds, want) {
			t.Errorf("attempt %d: letter of %v, want %v", attempt, kinds, want)
		}
		if first == "" {
			first = results[0].File
		} else if results[0].File != first {
			t.Errorf("attempt %d: the letter has another name", attempt)
		}
	}
	if results, err := replay(t, e.cfg.DeadLetterDir, send); err != nil || len(results) != 0 {
		t.Errorf("left: %v, %v", results, err)
	}
	e.check(t, e.plan(0), p)
}

// replay sends the letters of a directory and collects what became of them.
func replay(t *testing.T, dir string, send func(context.Context, ptrace.Traces) error) (results []deadletter.Result, err error) {
	t.Helper()
	err = deadletter.Replay(t.Context(), dir, send, func(r deadletter.Result) { results = append(results, r) })
	return results, err
}

// A run that a person deleted and restored is written again by a repair message, with the stages
// that came meanwhile.
func TestRepairOfARestoredRun(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		e.mustApply(t, split(e.plan(1))[0])
		id := e.findRun(t, jobID(e.experiment, 1)).Info.ID
		if err := e.client.DeleteRun(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		e.mustApply(t, e.plan(1))
		if err := e.client.RestoreRun(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		e.mustApply(t, e.plan(1), repaired(e.plan(1), wire.RepairAgain))
		e.check(t, e.plan(1))
	})
}

// What mends a run that is restored is said when it is found deleted, of what reconcile knows.
func TestADeletedRunSaysWhatMendsIt(t *testing.T) {
	e, _ := faulty(t)
	core, logs := observer.New(zap.InfoLevel)
	e.cfg.Logger = zap.New(core)
	e.restart(t)
	e.mustApply(t, split(e.plan(1))[0])
	if err := e.client.DeleteRun(t.Context(), e.findRun(t, jobID(e.experiment, 1)).Info.ID); err != nil {
		t.Fatal(err)
	}
	logs.TakeAll()
	e.mustApply(t, e.plan(1))
	const deleted, mends = "deleted in MLflow and stays so", "if somebody restores it, `mlflowctl reconcile --since … --repair` sends what the worker still keeps"
	if text := fmt.Sprint(logs.TakeAll()); !strings.Contains(text, deleted+"; "+mends) {
		t.Errorf("logged: %s", text)
	}
	evaluated := e.plan(2)
	evaluated.Runs[0].Params = []reduce.KeyValue{{Key: "dataset", Value: "d"}}
	e.mustApply(t, split(evaluated)[0])
	e.mustApplyService(t, e.serviceRun(0, 0))
	if err := e.client.DeleteRun(t.Context(), e.findRun(t, jobID(e.experiment, 2)).Info.ID); err != nil {
		t.Fatal(err)
	}
	exp, err := e.client.GetExperimentByName(t.Context(), e.experiment+"_service")
	if err != nil {
		t.Fatal(err)
	}
	days, _, err := e.client.SearchRuns(t.Context(), mlflow.SearchRuns{ExperimentIDs: []string{exp.ID}})
	if err != nil || len(days) != 1 {
		t.Fatalf("%d service runs, %v", len(days), err)
	}
	if err := e.client.DeleteRun(t.Context(), days[0].Info.ID); err != nil {
		t.Fatal(err)
	}
	e.mustApply(t, evaluated)
	e.mustApplyService(t, e.serviceRun(0, 1))
	if text := fmt.Sprint(logs.TakeAll()); strings.Count(text, deleted) != 2 || strings.Contains(text, "reconcile") {
		t.Errorf("logged of what is in no job database: %s", text)
	}
}

// A run that is made anew by a repair message is made once, also when the answer is lost.
func TestRepairWhoseAnswerIsLostDoublesNothing(t *testing.T) {
	e, s := faulty(t)
	parts := split(e.plan(1))
	e.mustApply(t, parts[0])
	if err := e.client.DeleteRun(t.Context(), e.findRun(t, jobID(e.experiment, 1)).Info.ID); err != nil {
		t.Fatal(err)
	}
	e.pass(t, staleAfter) // notes that it is deleted
	e.mustApply(t, parts[1])
	s.Fail(once("/runs/create", mlflowtest.Lost()))
	e.persist(t, repaired(parts[1], wire.RepairRecreate))
	s.Fail(nil)
	if ids := s.RunIDs(parts[1].Runs[1].Key); len(ids) != 1 {
		t.Errorf("%d runs of the stage", len(ids))
	}
}

// A run that was deleted and then removed is made anew where it was, also when the run above it is
// in another experiment.
func TestRepairMakesARunAnewInItsExperiment(t *testing.T) {
	e, s := faulty(t)
	root := e.plan(1).Runs[0]
	below := root
	below.Key += "-b"
	below.Experiment += " other"
	e.mustApply(t, reduce.Plan{Runs: []reduce.Run{below}}, reduce.Plan{Runs: []reduce.Run{root}})
	id := s.RunIDs(below.Key)[0]
	if err := e.client.DeleteRun(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	e.mustApply(t, changed(reduce.Plan{Runs: []reduce.Run{below}})) // notes that it is gone
	s.Purge(id)
	nested := below
	nested.ParentKey, nested.Experiment = root.Key, root.Experiment
	e.mustApply(t, repaired(reduce.Plan{Runs: []reduce.Run{root, nested}}, wire.RepairRecreate))
	if run := e.stateOf(t, below.Experiment).Runs[below.Key]; run == nil || run.Parent != "" || len(s.RunIDs(below.Key)) != 1 {
		t.Errorf("the run is %+v, of %d", run, len(s.RunIDs(below.Key)))
	}
	if n := e.events.get(apply.EventDeadLetter); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// What people wrote into the description of a run stays when a repair message mends something else.
// A description that lacks something is written anew.
func TestRepairLeavesWhatPeopleAddedToTheDescription(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		p := e.plan(1)
		root := &p.Runs[0]
		other := reduce.KeyValue{Key: "domain", Value: "example.org"}
		root.Tags = append(slices.Clone(root.Tags), other)
		for i, tag := range root.Tags {
			if tag.Key == mlflow.TagNote {
				root.Tags[i].Value += "\n\n| stage&nbsp;&nbsp; | ok |"
			}
		}
		e.mustApply(t, p)
		ours := e.findRun(t, root.Key).Tag(mlflow.TagNote)
		set := func(key, value string) {
			t.Helper()
			if err := e.client.SetTag(t.Context(), e.findRun(t, root.Key).Info.ID, key, value); err != nil {
				t.Fatal(err)
			}
		}
		for held, want := range map[string]string{
			"seen by us\n\n" + ours + "\n\nask the team":                "seen by us\n\n" + ours + "\n\nask the team",
			strings.ReplaceAll(ours, "\n", "\r\n") + "!":                strings.ReplaceAll(ours, "\n", "\r\n") + "!",
			strings.ReplaceAll(ours, "&nbsp;", "") + "\n\nask the team": strings.ReplaceAll(ours, "&nbsp;", "") + "\n\nask the team", // an older exporter wrote it
			"damaged": ours,
		} {
			set(mlflow.TagNote, held)
			set(other.Key, "damaged")
			e.mustApply(t, repaired(p, wire.RepairAgain))
			now := e.findRun(t, root.Key)
			if now.Tag(mlflow.TagNote) != want || now.Tag(other.Key) != other.Value {
				t.Errorf("description %q, tag %s %q; want %q and %q", now.Tag(mlflow.TagNote), other.Key, now.Tag(other.Key), want, other.Value)
			}
		}
	})
}

// A stage that comes after its job ended and somebody deleted the run of it is not made: it would stand
// alone. That costs a request for such a stage alone.
func TestLateStageOfADeletedJobIsNotMade(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		whole := e.plan(1)
		last := len(whole.Runs) - 1
		job := whole.Runs[0]
		implied := reduce.Run{Key: job.Key, TraceID: job.TraceID, Experiment: job.Experiment, Name: job.Name, Implied: true}
		late := func(key string) reduce.Plan {
			r := whole.Runs[last]
			r.Key += key
			return reduce.Plan{Runs: []reduce.Run{implied, r}}
		}
		e.mustApply(t, reduce.Plan{Runs: whole.Runs[:last], Traces: whole.Traces})
		e.mustApply(t, late(""))
		e.check(t, whole)
		if err := e.client.DeleteRun(t.Context(), e.findRun(t, job.Key).Info.ID); err != nil {
			t.Fatal(err)
		}
		e.requests.take()
		e.mustApply(t, late("-2"))
		e.took(t, 1)
		if run := e.state(t).Runs[late("-2").Runs[1].Key]; run != nil {
			t.Errorf("run is %+v", run)
		}
		if n := e.events.get(apply.EventDeletedRun); n != 1 {
			t.Errorf("counted %d", n)
		}
		e.mustApply(t, late("-2"))
		e.took(t, 0)
	})
}
