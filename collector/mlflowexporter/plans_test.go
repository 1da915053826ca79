//go:build !race

package mlflowexporter

// What plans ask for is worked out by one goroutine: there is nothing to find for the race
// detector, under which these tests take minutes.

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"
)

// In whatever pieces and order a fixture comes, the plans ask for what the table says.
func TestPlansAskForWhatTheTableSays(t *testing.T) {
	plan := planner(t)
	ways := map[string]func([]ptrace.Traces) []ptrace.Traces{
		"as sent":          func(r []ptrace.Traces) []ptrace.Traces { return r },
		"twice":            func(r []ptrace.Traces) []ptrace.Traces { return append(slices.Clone(r), r...) },
		"reverse":          reversed,
		"one request":      func(r []ptrace.Traces) []ptrace.Traces { return []ptrace.Traces{joined(r)} },
		"span by span":     splitAll,
		"spans in reverse": func(r []ptrace.Traces) []ptrace.Traces { return reversed(splitAll(r)) },
	}
	for _, name := range fixtureNames(t) {
		requests, expected := loadFixture(t, name)
		for way, arrange := range ways {
			t.Run(name+"/"+way, func(t *testing.T) {
				m := newState()
				for _, td := range arrange(requests) {
					p := plan(td)
					if len(p.Dropped) > 0 {
						t.Errorf("dropped %v", p.Dropped)
					}
					m.apply(p)
				}
				checkRuns(t, m.judged(), expected.Runs)
				checkTraces(t, m, expected.Traces)
			})
		}
	}
}

// All fixtures at once, split, repeated, mixed with each other and regrouped at random,
// lead to the state that they lead to one after the other.
func TestPlansDoNotDependOnOrderOrGrouping(t *testing.T) {
	plan := planner(t)
	var spans []ptrace.Traces
	for _, name := range fixtureNames(t) {
		requests, _ := loadFixture(t, name)
		spans = append(spans, splitAll(requests)...)
	}
	reference := newState()
	for _, td := range spans {
		reference.apply(plan(td))
	}
	wantTraces := traceFingerprints(t, reference)
	indices := make([]int, len(spans))
	for i := range indices {
		indices[i] = i
	}
	rapid.Check(t, func(rt *rapid.T) {
		order := rapid.Permutation(indices).Draw(rt, "order")
		order = append(order, rapid.SliceOfN(rapid.SampledFrom(indices), 0, 20).Draw(rt, "again")...)
		got := newState()
		for len(order) > 0 {
			n := rapid.IntRange(1, min(len(order), 60)).Draw(rt, "batch")
			batch := make([]ptrace.Traces, n)
			for i, at := range order[:n] {
				batch[i] = spans[at]
			}
			got.apply(plan(joined(batch)))
			order = order[n:]
		}
		if diff := cmp.Diff(reference.scores, got.scores); diff != "" {
			rt.Fatalf("scores differ (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(reference.runs, got.runs, cmpopts.IgnoreUnexported(modelRun{})); diff != "" {
			rt.Fatalf("runs differ (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(wantTraces, traceFingerprints(t, got)); diff != "" {
			rt.Fatalf("traces differ (-want +got)\n%s", diff)
		}
	})
}
