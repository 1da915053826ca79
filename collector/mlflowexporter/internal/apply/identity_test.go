package apply_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// Of jobs without a parent in one trace each has a run of its own. The key of the trace is that
// of the one that came first, whatever a batch of several makes of them.
func TestJobsWithoutAParentHaveTheirOwnRuns(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		a := e.plan(1).Runs[0]
		b := a
		a.OwnKey, b.OwnKey = a.TraceID+"-a", b.TraceID+"-b"
		b.Name, b.Version = "other", version("other", a.EndTime)
		b.Params = []reduce.KeyValue{{Key: "job_id", Value: "of b"}}
		stage := e.plan(1).Runs[1] // below b
		mine := func(r reduce.Run) reduce.Run { r.Key = r.OwnKey; return r }
		below := func(r, above reduce.Run) reduce.Run { r.ParentKey = above.Key; return r }
		want := reduce.Plan{Runs: []reduce.Run{a, mine(b), below(stage, mine(b))}}
		e.mustApply(t, reduce.Plan{Runs: []reduce.Run{a}}, reduce.Plan{Runs: []reduce.Run{b, below(stage, b)}})
		e.check(t, want)
		e.requests.take()
		e.mustApply(t, reduce.Plan{Runs: []reduce.Run{b, mine(a), below(stage, b)}}, reduce.Plan{Runs: []reduce.Run{a, mine(b), below(stage, mine(b))}})
		e.restart(t)
		e.mustApply(t, reduce.Plan{Runs: []reduce.Run{b, mine(a), below(stage, b)}})
		e.took(t, 2) // for version and experiment
		e.check(t, want)
	})
}

// The root speaks for its trace, and among others the one that started first, in whatever order
// they come.
func TestTheRootSpeaksForItsTrace(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		var done []reduce.Plan
		for n, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {1, 0, 2}} {
			p := e.plan(n)
			root := p.Traces[0]
			root.Info.Source = reduce.Source{Start: 9, Span: "root"}
			of := func(name string, start uint64) reduce.Trace {
				info := *root.Info
				info.Name, info.Source = name, reduce.Source{Rank: reduce.RankChild, Start: start, Span: name}
				info.Version = version(name, startMS+5000)
				child := root
				child.Info = &info
				return child
			}
			all := []reduce.Trace{root, of("child", 1), of("later child", 2)}
			e.mustApply(t, reduce.Plan{Runs: p.Runs})
			for i, at := range order {
				e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{all[at]}})
				if i == 1 && n == 2 {
					if name := e.state(t).Traces["tr-"+root.TraceID].Tags[mlflow.TagTraceName]; name != "child" {
						t.Errorf("%s speaks for two children", name)
					}
				}
			}
			done = append(done, p)
			e.check(t, done...)
		}
	})
}

// Whatever a plan says of them, the tags by which runs are known are the bridge's own.
func TestOwnTagsStay(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		p := e.plan(1)
		for i, r := range p.Runs {
			for _, key := range []string{wire.TagKey, wire.TagKey + "/", "/" + wire.TagClaim, mlflow.TagParentRun, "mlflow.parentRunId/", mlflow.TagRunName} {
				p.Runs[i].Tags = append(slices.Clip(r.Tags), reduce.KeyValue{Key: key, Value: "forged"})
				r = p.Runs[i]
			}
		}
		e.mustApply(t, p)
		e.check(t, e.plan(1))
	})
}

// A job stays in its experiment when messages of it ask for another one.
func TestJobStaysInItsExperiment(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		moved := func(p reduce.Plan) reduce.Plan {
			other := e.experiment + " other"
			for i := range p.Runs {
				p.Runs[i].Experiment = other
			}
			for i := range p.Traces {
				p.Traces[i].Experiment = other
			}
			return p
		}
		parts := split(e.plan(1))
		e.mustApply(t, parts[0])
		for _, p := range parts[1:] {
			e.restart(t)
			e.mustApply(t, moved(p))
		}
		e.mustApply(t, moved(e.plan(1)))
		e.check(t, e.plan(1))
		other, err := e.client.GetExperimentByName(t.Context(), e.experiment+" other")
		if err != nil {
			t.Fatal(err)
		}
		if runs, _, err := e.client.SearchRuns(t.Context(), mlflow.SearchRuns{ExperimentIDs: []string{other.ID}}); err != nil || len(runs) != 0 {
			t.Errorf("%d runs in the other experiment, %v", len(runs), err)
		}

		e.lose(t) // then nobody knows, and the trace stays where it is
		if item := refused(t, e.Apply(t.Context(), moved(e.plan(1)))); !strings.Contains(item.Error(), "foreign_trace") {
			t.Errorf("got %v", item)
		}
		if n := e.events.get(apply.EventForeignTrace); n != 1 {
			t.Errorf("counted %d", n)
		}
		e.check(t, e.plan(1))
	})
}

// Jobs of one trace that came apart and have no MLflow trace each stay in their own experiment: what
// comes again, alone or together, makes no run a second time.
func TestJobsOfOneTraceStayInTheirExperiments(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		x, y := e.experiment, e.experiment+" y"
		of := func(n int, key, experiment string) reduce.Run {
			r := e.plan(n).Runs[0]
			if key != "" {
				r.Key = r.TraceID + "-" + key
			}
			r.Experiment = experiment
			return r
		}
		stage := func(n int, above reduce.Run) reduce.Run { // of a job, as it comes with it
			r := e.plan(n).Runs[1]
			r.ParentKey, r.Experiment = above.Key, above.Experiment
			return r
		}
		one := func(runs ...reduce.Run) reduce.Plan { return reduce.Plan{Runs: runs} }
		verdict := e.score(2, "U1", 1, value(1))
		verdict.RunKey, verdict.InTrace = jobID(e.experiment, 2)+"-b", false

		// No root, then both in one request.
		b, c := of(1, "b", x), of(1, "c", y)
		asked := c
		asked.Experiment = x
		e.mustApply(t, one(b), one(c), one(b, asked), one(b, asked, stage(1, asked)))
		// The root comes after the job below it, which then comes again.
		below, root := of(2, "b", y), of(2, "", x)
		nested := below
		nested.ParentKey, nested.Experiment = root.Key, x
		nested.Version = version("later", nested.EndTime+1)
		e.mustApply(t, one(below), one(root), one(below), one(root, nested), scored(verdict))
		e.restart(t)
		e.mustApply(t, one(b, asked), one(below), one(root, nested))

		if got, want := keysOf(e.stateOf(t, x)), []string{b.Key, root.Key}; !sameKeys(got, want) {
			t.Errorf("%s holds the runs %v, want %v", x, got, want)
		}
		if got, want := keysOf(e.stateOf(t, y)), []string{c.Key, stage(1, c).Key, below.Key}; !sameKeys(got, want) {
			t.Errorf("%s holds the runs %v, want %v", y, got, want)
		}
		runs, _, err := e.client.SearchRuns(t.Context(), mlflow.SearchRuns{ExperimentIDs: []string{e.idOf(t, y)}})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			if r.Tag(wire.TagKey) == below.Key && r.Tag(mlflow.TagParentRun) != "" {
				t.Error("a run hangs under one of another experiment")
			}
		}
		if got := e.stateOf(t, y).Runs[below.Key].Metrics[wire.FeedbackCount("helpful")]; len(got) != 1 {
			t.Errorf("the verdict on a job that stays where it is left %v", got)
		}
	})
}

func keysOf(s *mlflowtest.State) []string { return slices.Collect(maps.Keys(s.Runs)) }

func sameKeys(got, want []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want)))
}
