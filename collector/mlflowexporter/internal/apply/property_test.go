package apply_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

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
