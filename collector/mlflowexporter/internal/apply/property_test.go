//go:build !realserver || lint

package apply_test

import (
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/test/race"
)

// How many cases are drawn; -rapid.checks of the command line is read later.
func init() {
	if err := flag.Set("rapid.checks", strconv.Itoa(race.Pick(100, 30))); err != nil {
		panic(err)
	}
}

func TestAnyOrderRepetitionSplitAndFaultEndsInTheSameState(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := mlflowtest.Start()
		defer s.Close()
		e := newEnv(t, s.URL)
		jobs := rapid.IntRange(1, 3).Draw(rt, "jobs")
		var all []reduce.Plan
		var parts []reduce.Plan
		for n := range jobs {
			p := e.plan(n)
			if rapid.Bool().Draw(rt, "tracking only") {
				p.Traces = nil
			}
			all = append(all, p)
			parts = append(parts, split(p)...)
			if rapid.Bool().Draw(rt, "also whole") {
				parts = append(parts, p)
			}
		}
		for range rapid.IntRange(0, 10).Draw(rt, "repetitions") {
			parts = append(parts, rapid.SampledFrom(parts).Draw(rt, "repeated"))
		}
		parts = rapid.Permutation(parts).Draw(rt, "order")

		var mu sync.Mutex
		faults := rapid.IntRange(0, 25).Draw(rt, "faults")
		kinds := []*mlflowtest.Fault{nil, nil, nil, mlflowtest.Locked(), mlflowtest.Lost(), mlflowtest.Race(), mlflowtest.Internal(), {}}
		plan := rapid.SliceOfN(rapid.IntRange(0, len(kinds)-1), 200, 200).Draw(rt, "kinds")
		s.Fail(func(r *http.Request) *mlflowtest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if len(plan) == 0 || faults == 0 {
				return nil
			}
			kind := kinds[plan[0]]
			plan = plan[1:]
			if kind != nil {
				faults--
			}
			return kind
		})
		diskFaults := rapid.IntRange(0, 3).Draw(rt, "disk faults")
		e.store.fail = func() error {
			mu.Lock()
			defer mu.Unlock()
			if diskFaults > 0 && len(plan)%7 == 0 {
				diskFaults--
				return errStorage
			}
			return nil
		}
		for len(parts) > 0 {
			n := rapid.IntRange(1, min(4, len(parts))).Draw(rt, "batch")
			batch := merge(parts[:n])
			for attempt := 0; ; attempt++ {
				err := e.Apply(t.Context(), batch)
				if err == nil {
					break
				}
				for _, item := range apply.Errors(err) {
					if item.Permanent {
						rt.Fatalf("permanent: %v", item)
					}
				}
				if attempt == 60 {
					rt.Fatalf("no end: %v", err)
				}
				if rapid.IntRange(0, 3).Draw(rt, "kill") == 0 {
					e.store.fail = nil
					e.restart(t)
				}
			}
			parts = parts[n:]
		}
		s.Fail(nil)
		if diff := cmp.Diff(want(e.experimentID(t), all...), e.state(t)); diff != "" {
			rt.Fatalf("MLflow holds something else (-want +got):\n%s", diff)
		}
	})
}

// merge puts plans into one that names each run once, as Reduce does.
func merge(plans []reduce.Plan) reduce.Plan {
	var all reduce.Plan
	for _, p := range plans {
		for _, r := range p.Runs {
			at := -1
			for i := range all.Runs {
				if all.Runs[i].Key == r.Key {
					at = i
				}
			}
			switch {
			case at < 0:
				all.Runs = append(all.Runs, r)
			case all.Runs[at].Implied:
				all.Runs[at] = r
			}
		}
		all.Traces = append(all.Traces, p.Traces...)
	}
	return all
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

// Whatever fails on the way and in whatever order they come: the last verdicts are there.
func TestScoresInAnyOrderWithFaults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := mlflowtest.Start()
		defer s.Close()
		e := newEnv(t, s.URL)
		parts := split(e.plan(1))
		want, up, down := map[string]string{}, 0, 0
		for i := range rapid.IntRange(1, 3).Draw(rt, "people") {
			who := fmt.Sprint("u-", i)
			last := rapid.IntRange(1, 4).Draw(rt, "verdicts")
			for second := 1; second <= last; second++ {
				v := rapid.SampledFrom([]*float64{nil, value(0), value(1)}).Draw(rt, "verdict")
				parts = append(parts, scored(e.score(1, who, second, v)))
				switch {
				case second < last || v == nil:
				case *v > 0.5:
					up++
					want["helpful "+who] = fmt.Sprint("1 | HUMAN |  | because ", second)
				default:
					down++
					want["helpful "+who] = fmt.Sprint("0 | HUMAN |  | because ", second)
				}
			}
		}
		parts = append(parts, rapid.SampledFrom(parts).Draw(rt, "again"))
		parts = rapid.Permutation(parts).Draw(rt, "order")
		faults := rapid.IntRange(0, 15).Draw(rt, "faults")
		kinds := []*mlflowtest.Fault{nil, nil, mlflowtest.Locked(), mlflowtest.Lost(), {}}
		drawn := make(chan *mlflowtest.Fault, 200)
		for range cap(drawn) {
			f := kinds[rapid.IntRange(0, len(kinds)-1).Draw(rt, "fault")]
			if f != nil {
				if faults--; faults < 0 {
					f = nil
				}
			}
			drawn <- f
		}
		s.Fail(func(*http.Request) *mlflowtest.Fault {
			select {
			case f := <-drawn:
				return f
			default:
				return nil
			}
		})
		for _, p := range parts {
			for attempt := 0; ; attempt++ {
				err := e.Apply(t.Context(), p)
				if err == nil {
					break
				}
				if attempt == 60 {
					rt.Fatalf("no end: %v", err)
				}
				if rapid.IntRange(0, 2).Draw(rt, "kill") == 0 {
					e.restart(t)
				}
			}
		}
		s.Fail(nil)
		mean, words := 0.0, []string{}
		if up+down > 0 {
			mean = float64(up) / float64(up+down)
		}
		for _, w := range []struct {
			word string
			n    int
		}{{"down", down}, {"up", up}} {
			switch {
			case w.n == 0:
			case up+down == 1:
				words = append(words, w.word)
			default:
				words = append(words, fmt.Sprint(w.word, " ", w.n))
			}
		}
		if len(want) == 0 {
			want = nil
		}
		got, run := e.said(t, 1)
		if len(got) == 0 {
			got = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("assessments (-want +got):\n%s", diff)
		}
		if text := fmt.Sprintf("%d %g %s", up+down, mean, strings.Join(words, ", ")); run != text {
			rt.Fatalf("the run says %q, want %q", run, text)
		}
	})
}
