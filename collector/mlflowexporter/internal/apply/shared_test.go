package apply_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
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

// one checks that a job has one run, that it is finished, and that nobody took a run that
// was withdrawn for one that a user deleted.
func one(t *testing.T, what string, key string, bridges []*env) {
	t.Helper()
	runs, _, err := bridges[0].client.SearchRuns(t.Context(), mlflow.SearchRuns{
		ExperimentIDs: []string{bridges[0].experimentID(t)}, View: mlflow.ViewActive, Filter: "tags.`" + wire.TagKey + "` = '" + key + "'",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != 1 || runs[0].Info.Status != mlflow.StatusFinished || runs[0].Tag(wire.TagClaim) != "" || runs[0].Param("job_id") == "" {
		t.Errorf("%s: runs %+v", what, runs)
	}
	for i, e := range bridges {
		if n := e.events.get(apply.EventDeletedRun) + e.events.get(apply.EventDuplicateRun); n != 0 {
			t.Errorf("%s: bridge %d counted %v", what, i, e.events.n)
		}
	}
}

// gate lets requests of a bridge pass one by one.
type gate struct {
	next    http.RoundTripper
	arrived chan *step
}

type step struct {
	pass   chan struct{}
	passed chan struct{}
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	s := &step{make(chan struct{}), make(chan struct{})}
	g.arrived <- s
	<-s.pass
	defer close(s.passed)
	return g.next.RoundTrip(r)
}

// gated puts a gate before a bridge.
func (e *env) gated(t *testing.T) *gate {
	t.Helper()
	g := &gate{arrived: make(chan *step)}
	client, err := mlflow.New(mlflow.Config{Endpoint: e.client.Endpoint(), Wrap: func(rt http.RoundTripper) (http.RoundTripper, error) {
		g.next = rt
		return g, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	e.cfg.Client = client
	return g
}

// interleaved lets bridges write the same plan at the same time, and chooses whose request
// is next; when the schedule is used up they take turns.
func interleaved(t *testing.T, bridges []*env, gates []*gate, schedule []int, p reduce.Plan) {
	t.Helper()
	waiting := make([]*step, len(bridges))
	done := make([]chan struct{}, len(bridges))
	for i, e := range bridges {
		done[i] = make(chan struct{})
		go func() {
			defer close(done[i])
			e.persist(t, p)
		}()
	}
	for turn := 0; ; turn++ {
		for i := range bridges { // all stand before a request, or are done
			if waiting[i] == nil {
				select {
				case waiting[i] = <-gates[i].arrived:
				case <-done[i]:
				}
			}
		}
		who := turn % len(bridges)
		if turn < len(schedule) {
			who = schedule[turn]
		}
		for range bridges {
			if waiting[who] != nil {
				break
			}
			who = (who + 1) % len(bridges)
		}
		if waiting[who] == nil {
			return
		}
		close(waiting[who].pass)
		<-waiting[who].passed
		waiting[who] = nil
	}
}

// In whatever order the requests of several bridges reach MLflow, a job that they all write
// at the same time has one run.
func TestEveryInterleavingMakesOneRun(t *testing.T) {
	for _, c := range []struct{ bridges, steps int }{{2, 9}, {3, 5}} {
		t.Run(fmt.Sprint(c.bridges, " bridges"), func(t *testing.T) {
			s := mlflowtest.Start()
			defer s.Close()
			bridges := sharing(t, s.URL, c.bridges)
			gates := make([]*gate, len(bridges))
			for i, e := range bridges {
				gates[i] = e.gated(t)
				e.restart(t)
			}
			interleaved(t, bridges, gates, nil, reduce.Plan{Runs: bridges[0].plan(0).Runs[:1]}) // they ask for version and experiment
			schedule := make([]int, c.steps)
			for n := 1; ; n++ {
				p := reduce.Plan{Runs: bridges[0].plan(n).Runs[:1]}
				interleaved(t, bridges, gates, schedule, p)
				one(t, fmt.Sprint("order ", schedule), p.Runs[0].Key, bridges)
				if t.Failed() || !increment(schedule, c.bridges) {
					return
				}
			}
		})
	}
}

// increment counts in digits below base; it reports false after the last number.
func increment(digits []int, base int) bool {
	for i := range digits {
		if digits[i]++; digits[i] < base {
			return true
		}
		digits[i] = 0
	}
	return false
}

// Wherever a bridge dies while it creates a run, its answer seen or not, the run is there
// once when it comes back, and as long as it does not come back another one waits for it
// rather than doubling the run.
func TestDeathWhileClaimingDoublesNothing(t *testing.T) {
	for _, served := range []bool{false, true} {
		for at := 1; ; at++ {
			s := mlflowtest.Start()
			bridges := sharing(t, s.URL, 2)
			dying, other := bridges[0], bridges[1]
			p := reduce.Plan{Runs: dying.plan(1).Runs[:1]}
			died := killedAt(s, at, served)
			err := dying.Apply(t.Context(), p)
			revive(t, s)
			if !died() {
				s.Close()
				if err != nil || at < 6 {
					t.Errorf("died nowhere before request %d: %v", at, err)
				}
				break
			}
			waited := other.Apply(t.Context(), p)
			dying.restart(t)
			dying.persist(t, p)
			other.persist(t, p)
			one(t, fmt.Sprintf("death at %d, served %v, the other: %v", at, served, waited), p.Runs[0].Key, bridges)
			s.Close()
		}
	}
}

// A claim whose bridge does not come back is waited for, and then it is the run; of two such
// claims one is, and the other is withdrawn.
func TestClaimLeftBehindBecomesTheRun(t *testing.T) {
	for _, both := range []bool{false, true} {
		s := mlflowtest.Start()
		bridges := sharing(t, s.URL, 2)
		lost, other := bridges[0], bridges[1]
		p := reduce.Plan{Runs: lost.plan(1).Runs[:1]}
		now := time.UnixMilli(startMS)
		other.cfg.Now = func() time.Time { return now }
		other.restart(t)
		s.Fail(afterCreate())
		if err := lost.Apply(t.Context(), p); err == nil {
			t.Fatal("no error")
		}
		s.Fail(nil)
		if both {
			_, err := other.client.CreateRun(t.Context(), mlflow.CreateRun{ExperimentID: other.experimentID(t), Tags: []mlflow.KeyValue{
				{Key: wire.TagKey, Value: p.Runs[0].Key}, {Key: wire.TagClaim, Value: "a third one"},
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			if err := other.Apply(t.Context(), p); err == nil {
				t.Fatal("did not wait")
			}
			now = now.Add(2 * time.Minute)
		}
		other.persist(t, p)
		lost.persist(t, p)
		one(t, "claim left behind", p.Runs[0].Key, bridges)
		s.Close()
	}
}

// afterCreate breaks all connections after a run was created.
func afterCreate() func(*http.Request) *mlflowtest.Fault {
	created := false
	return func(r *http.Request) *mlflowtest.Fault {
		if created {
			return &mlflowtest.Fault{}
		}
		created = r.URL.Path == "/api/2.0/mlflow/runs/create"
		return nil
	}
}

// Jobs whose messages are dealt among two bridges at random, at the same time, some of them
// twice, while both are restarted, end in the state that one bridge gives.
func TestTwoBridgesEndInTheSameState(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := mlflowtest.Start()
		defer s.Close()
		bridges := sharing(t, s.URL, 2)
		layout := layouts[rapid.SampledFrom([]string{"nested", "flat"}).Draw(rt, "layout")]
		var all []reduce.Plan
		dealt := make([][]reduce.Plan, len(bridges))
		for n := range rapid.IntRange(1, 2).Draw(rt, "jobs") {
			p := layout.plan(bridges[0], n)
			all = append(all, layout.want(p))
			for _, part := range append(layout.split(bridges[0].plan(n)), p) {
				to := rapid.IntRange(0, 3).Draw(rt, "to") // to one of them, or to both
				for i := range bridges {
					if to == i || to >= 2 {
						dealt[i] = append(dealt[i], part)
					}
				}
			}
		}
		for i := range dealt {
			if len(dealt[i]) > 0 {
				dealt[i] = rapid.Permutation(dealt[i]).Draw(rt, "order")
			}
		}
		restarts := rapid.IntRange(0, 5).Draw(rt, "restart every")
		var mu sync.Mutex
		faults := rapid.SliceOfN(rapid.SampledFrom([]*mlflowtest.Fault{nil, nil, nil, nil, mlflowtest.Lost(), mlflowtest.Locked(), {}}), 0, 40).Draw(rt, "faults")
		s.Fail(func(*http.Request) *mlflowtest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if len(faults) == 0 {
				return nil
			}
			f := faults[0]
			faults = faults[1:]
			return f
		})
		now := &clock{at: time.UnixMilli(startMS)}
		var wg sync.WaitGroup
		for i, e := range bridges {
			e.cfg.Now = now.tick
			e.restart(t)
			wg.Go(func() {
				for n, p := range dealt[i] {
					if restarts > 0 && n%restarts == 0 {
						e.restart(t)
					}
					e.persist(rt, p)
				}
			})
		}
		wg.Wait()
		s.Fail(nil)
		if diff := cmp.Diff(want(bridges[0].experimentID(t), all...), bridges[0].state(t)); diff != "" {
			rt.Fatalf("MLflow holds something else (-want +got):\n%s", diff)
		}
		for _, e := range bridges {
			if n := e.events.get(apply.EventDeletedRun) + e.events.get(apply.EventDuplicateRun); n != 0 {
				rt.Fatalf("counted %v", e.events.n)
			}
		}
	})
}

// The same over every server, with whole jobs at the same time and a restart of both.
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

// A bridge that has its jobs for itself again takes what a claim is as the run.
func TestSingleBridgeAfterSharing(t *testing.T) {
	s := mlflowtest.Start()
	defer s.Close()
	bridges := sharing(t, s.URL, 1)
	e := bridges[0]
	p := reduce.Plan{Runs: e.plan(1).Runs[:1]}
	s.Fail(afterCreate())
	if err := e.Apply(t.Context(), p); err == nil {
		t.Fatal("no error")
	}
	s.Fail(nil)
	e.cfg.Shared = false
	e.restart(t)
	e.mustApply(t, p)
	one(t, "single again", p.Runs[0].Key, bridges)
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
