//go:build !realserver || lint

package apply_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

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
