package apply_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/service"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// sharing gives bridges that write to one experiment, each with a ledger of its own.
func sharing(t *testing.T, url string, n int) []*env {
	t.Helper()
	var all []*env
	for range n {
		e := newEnv(t, url)
		e.cfg.Shared = true
		if len(all) > 0 {
			e.experiment = all[0].experiment
			e.cfg.DefaultExperiment = e.experiment
		}
		e.restart(t)
		all = append(all, e)
	}
	all[0].mustApply(t, reduce.Plan{Runs: all[0].plan(0).Runs[:1]}) // makes the experiment
	for _, e := range all[1:] {
		e.mustApply(t, reduce.Plan{Runs: e.plan(0).Runs[:1]})
	}
	return all
}

// tester is what persist needs of a test or a rapid one.
type tester interface {
	Context() context.Context
	Errorf(format string, args ...any)
}

// persist gives a bridge a plan until it takes it.
func (e *env) persist(t tester, p reduce.Plan) {
	for range 2000 {
		items := apply.Errors(e.Apply(t.Context(), p))
		if !slices.ContainsFunc(items, func(i *apply.ItemError) bool { return !i.Permanent }) {
			if len(items) > 0 {
				t.Errorf("permanent: %v", items[0])
			}
			return
		}
	}
	t.Errorf("never done")
}

// As TestTwoBridgesEndInTheSameState, over every server, with whole jobs at the same time and
// a restart of both.
func TestSharedJobs(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		bridges := []*env{e, newEnv(t, e.client.Endpoint())}
		bridges[1].experiment, bridges[1].cfg.DefaultExperiment = e.experiment, e.experiment
		for _, b := range bridges {
			b.cfg.Shared = true
			b.restart(t)
		}
		const jobs = 3
		var all []reduce.Plan
		for n := range jobs {
			all = append(all, e.plan(n))
		}
		var wg sync.WaitGroup
		for i, b := range bridges {
			wg.Go(func() {
				for n := range jobs {
					parts := split(b.plan(n))
					for at, part := range parts {
						if at%2 == i || at%5 == 0 {
							b.persist(t, part)
						}
						if n == 1 && at == len(parts)/2 {
							b.restart(t)
						}
					}
					b.persist(t, b.plan(n))
				}
			})
		}
		wg.Wait()
		e.check(t, all...)
		for _, b := range bridges {
			if n := b.events.get(apply.EventDeletedRun) + b.events.get(apply.EventDuplicateRun); n != 0 {
				t.Errorf("counted %v", b.events.n)
			}
		}
	})
}

// What another bridge did while this one had nothing of the job: a newer version of a run,
// an end for want of news, the job's own span before a message about it, a deletion by a
// user that it noticed.
func TestOneBridgeGoesOnWhereAnotherWas(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		other := newEnv(t, e.client.Endpoint())
		other.experiment, other.cfg.DefaultExperiment = e.experiment, e.experiment
		for _, b := range []*env{e, other} {
			b.cfg.Shared = true
			b.restart(t)
		}
		newer := e.plan(1)
		older := reduce.Plan{Runs: slices.Clone(newer.Runs[:1])}
		older.Runs[0].EndTime -= 500
		older.Runs[0].Version = version(older.Runs[0].Key, older.Runs[0].EndTime)
		older.Runs[0].Status = "FAILED"
		older.Runs[0].Tags = []reduce.KeyValue{{Key: "mlflow.user", Value: "somebody"}, {Key: "outcome", Value: "error"}}
		older.Runs[0].Metrics = nil
		e.mustApply(t, newer)
		other.mustApply(t, split(newer)[1], older)
		other.mustApply(t, reduce.Plan{Runs: older.Runs})

		second := e.plan(2)
		other.mustApply(t, split(second)[0])
		other.pass(t, staleAfter)
		if run := e.findRun(t, second.Runs[0].Key); run.Info.Status != mlflow.StatusKilled {
			t.Errorf("run is %s", run.Info.Status)
		}
		e.mustApply(t, second)
		e.check(t, newer, second)

		started := split(second)[0]
		started.Runs[0].Tags = []reduce.KeyValue{{Key: "outcome", Value: "not known yet"}, {Key: "mlflow.user", Value: "nobody"}}
		started.Runs[0].Params = []reduce.KeyValue{{Key: "stage_a_model", Value: "another"}}
		other.mustApply(t, started)
		e.check(t, newer, second)

		third := e.plan(3)
		e.mustApply(t, split(third)[0])
		if err := e.client.DeleteRun(t.Context(), e.findRun(t, third.Runs[0].Key).Info.ID); err != nil {
			t.Fatal(err)
		}
		other.mustApply(t, third)
		if stage := e.findRun(t, third.Runs[0].Key).Info.Stage; stage != mlflow.Deleted || other.events.get(apply.EventDeletedRun) == 0 {
			t.Errorf("run is %s, counted %v", stage, other.events.n)
		}
	})
}

// How many requests a job takes when it is shared.
func TestSharedJobTakesFourteenRequestsMore(t *testing.T) {
	s := mlflowtest.Start()
	defer s.Close()
	e := sharing(t, s.URL, 1)[0]
	e.requests.take()
	e.mustApply(t, e.plan(1))
	e.took(t, 40) // one search for all runs, two requests for each, one for the trace
	e.mustApply(t, e.plan(1))
	e.took(t, 0)
}

// A worker whose metrics come to two Collectors has one run a day.
func TestServiceRunIsShared(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		other := newEnv(t, e.client.Endpoint())
		for _, b := range []*env{e, other} {
			b.experiment, b.cfg.DefaultExperiment, b.cfg.Shared = e.experiment, e.experiment, true
			b.restart(t)
		}
		var wg sync.WaitGroup
		for i, b := range []*env{e, other} {
			wg.Go(func() {
				for range 100 {
					if b.ApplyService(t.Context(), []service.Run{b.serviceRun(0, 1+i)}) == nil {
						return
					}
				}
				t.Error("never done")
			})
		}
		wg.Wait()
		e.mustApplyService(t, e.serviceRun(0, 3))
		other.mustApplyService(t, other.serviceRun(1, 4))
		other.mustApplyService(t, other.serviceRun(0, 5))
		e.checkService(t, "day 0 FINISHED 12:02 1 1/721 2/722 3/723 5/725", "day 1 RUNNING - 1 4/724")
	})
}
