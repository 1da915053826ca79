//go:build !realserver || lint

package apply_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/test/race"
)

// killedAt kills the server with its n-th request from now on, before or after it was
// served.
func killedAt(s *mlflowtest.Server, n int, served bool) (killed func() bool) {
	var mu sync.Mutex
	count := 0
	s.Fail(func(*http.Request) *mlflowtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if count++; count != n {
			return nil
		}
		return &mlflowtest.Fault{Serve: served, Kill: true}
	})
	return func() bool { mu.Lock(); defer mu.Unlock(); return count >= n }
}

func revive(t *testing.T, s *mlflowtest.Server) {
	t.Helper()
	s.Fail(nil)
	if err := s.Revive(); err != nil {
		t.Fatal(err)
	}
}

// clock goes on a little each time somebody looks, so that a pause ends without a wait.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) tick() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(20 * time.Millisecond)
	return c.at
}

// layouts make plans of job n, say what they come to, and take those of env apart.
var layouts = map[string]struct {
	plan  func(e *env, n int) reduce.Plan
	want  func(reduce.Plan) reduce.Plan
	split func(reduce.Plan) []reduce.Plan
}{
	"nested": {(*env).plan, func(p reduce.Plan) reduce.Plan { return p }, split},
	"flat":   {func(e *env, n int) reduce.Plan { return flat(e.plan(n)) }, unparted, pieces},
}

// MLflow is killed with each request of a job in turn, before it is served or before it is
// answered, and again while the bridge, restarted or not, tries again. The job is there
// once and whole.
func TestMLflowKilledBetweenAnyTwoRequests(t *testing.T) {
	for name, layout := range layouts {
		for _, how := range []struct{ served, restarted bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
			t.Run(fmt.Sprintf("%s, served %v, bridge restarted %v", name, how.served, how.restarted), func(t *testing.T) {
				for n := 1; !t.Failed(); n += race.Pick(1, 5) {
					s := mlflowtest.Start()
					e := newEnv(t, s.URL)
					e.cfg.Now = (&clock{at: time.UnixMilli(startMS)}).tick
					e.restart(t)
					killed := killedAt(s, n, how.served)
					err := e.Apply(t.Context(), layout.plan(e, 1))
					if !killed() {
						if err != nil || n < 11 {
							t.Errorf("killed nowhere before request %d: %v", n, err)
						}
						s.Close()
						return
					}
					if err == nil {
						t.Errorf("killed at %d: no error", n)
					}
					again := 1 + n%4
					for _, at := range []int{again, 0} {
						revive(t, s)
						if how.restarted {
							e.restart(t)
						}
						if at > 0 {
							killedAt(s, at, !how.served)
							_ = e.Apply(t.Context(), layout.plan(e, 1))
						}
					}
					e.persist(t, layout.plan(e, 1))
					e.persist(t, layout.plan(e, 1))
					if e.check(t, layout.want(layout.plan(e, 1))); t.Failed() {
						t.Errorf("killed at request %d, and at %d of the next attempt", n, again)
					}
					s.Close()
				}
			})
		}
	}
}

// mortal makes the storage die after some batches, stored or not, and what came after it
// with the whole process: nothing is stored and no request is answered any more.
func (e *env) mortal(s *mlflowtest.Server, after int, stored bool) (died func() bool) {
	var mu sync.Mutex
	left, dead := after, false
	die := func(now bool) error {
		mu.Lock()
		defer mu.Unlock()
		if dead = dead || now; dead {
			return errStorage
		}
		return nil
	}
	e.store.fail = func() error {
		mu.Lock()
		left--
		now := left < 0 && !stored
		mu.Unlock()
		return die(now)
	}
	e.store.after = func() error {
		mu.Lock()
		now := left < 0 && stored
		mu.Unlock()
		return die(now)
	}
	s.Fail(func(*http.Request) *mlflowtest.Fault {
		if die(false) != nil {
			return &mlflowtest.Fault{}
		}
		return nil
	})
	return func() bool { return die(false) != nil }
}

func (e *env) immortal(s *mlflowtest.Server) {
	e.store.fail, e.store.after = nil, nil
	s.Fail(nil)
}

// live is a life of a bridge: it opens its ledger, takes messages of two jobs in which a run
// is ended for want of news and reopened, and forgets what is old.
func (e *env) live(t *testing.T) error {
	l, err := ledger.Open(t.Context(), e.store, ledger.Scope{Endpoint: e.client.Endpoint()}, time.UnixMilli(startMS-1000))
	if err != nil {
		return err
	}
	e.cfg.Ledger = l
	e.Applier = apply.New(e.cfg)
	parts, other := split(e.plan(1)), split(e.plan(2))
	for i, p := range parts {
		if i == 3 {
			if err := l.AddUptime(t.Context(), staleAfter); err != nil {
				return err
			}
			if err := e.Reap(t.Context(), staleAfter); err != nil {
				return err
			}
		}
		if err := e.Apply(t.Context(), join(p, other[len(other)-1-i])); err != nil {
			return err
		}
	}
	_, err = l.Prune(t.Context(), time.UnixMilli(startMS-1), 0)
	return err
}

// The process dies with each write of its ledger in turn, before or after it is on disk, and
// then once more after a few writes. Whoever opens the ledger afterwards and gets everything
// again has each job once and whole.
func TestDeathAtAnyWriteOfTheLedger(t *testing.T) {
	for _, how := range []struct{ stored, shared bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		t.Run(fmt.Sprintf("stored %v, shared %v", how.stored, how.shared), func(t *testing.T) {
			for k := 0; !t.Failed(); k += race.Pick(1, 5) {
				s := mlflowtest.Start()
				e := newEnv(t, s.URL)
				e.store.m, e.cfg.Shared = map[string][]byte{}, how.shared
				died := e.mortal(s, k, how.stored)
				err := e.live(t)
				if died() != (err != nil) {
					t.Errorf("died %v: %v", died(), err)
				}
				if err != nil {
					again := k % 6
					e.mortal(s, again, !how.stored)
					_ = e.live(t)
					e.immortal(s)
					if err := e.live(t); err != nil {
						t.Errorf("the last life: %v", err)
					}
				}
				e.immortal(s)
				if e.check(t, e.plan(1), e.plan(2)); t.Failed() {
					t.Errorf("death at write %d, and at %d of the next life", k, k%6)
				}
				s.Close()
				if err == nil {
					if k < 20 {
						t.Errorf("died nowhere before write %d", k)
					}
					return
				}
			}
		})
	}
}
