//go:build e2e

package e2e

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/wire/fixture"
)

// TestEveryFixtureOnce sends the fixtures as the worker sends them.
func TestEveryFixtureOnce(t *testing.T) {
	const experiment = "once"
	lap := stopwatch(t)
	s := sharedServer(t)
	s.registerPrompts(t)
	c := startCollector(t, s.url, experiment, t.TempDir())
	lap("start")
	all, more := recordings(t, experiment)
	for _, r := range all {
		c.send(t, r.requests...)
	}
	c.delivered(t)
	lap("deliver")
	held := s.dump(t, append(more, experiment)...)
	lap("read back")
	checkAll(t, held, all, experiment)
	t.Run("filters of the old docs", func(t *testing.T) { checkOldFilters(t, s, experiment) })
}

// TestEveryFixtureTwiceInDisorder sends each span in a request of its own, those of all
// fixtures mixed: the last first, then once more in another order.
func TestEveryFixtureTwiceInDisorder(t *testing.T) {
	const experiment = "disorder"
	lap := stopwatch(t)
	s := sharedServer(t)
	s.registerPrompts(t)
	c := startCollector(t, s.url, experiment, t.TempDir())
	lap("start")
	all, more := recordings(t, experiment)
	reversed := interleave(all)
	slices.Reverse(reversed)
	c.send(t, reversed...)
	shuffled := interleave(all)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	c.send(t, shuffled...)
	c.delivered(t)
	lap("deliver")
	held := s.dump(t, append(more, experiment)...)
	lap("read back")
	checkAll(t, held, all, experiment)
}

// stopwatch logs how long the parts of a test took.
func stopwatch(t *testing.T) (lap func(part string)) {
	last := time.Now()
	return func(part string) {
		t.Logf("%s: %.1f s", part, time.Since(last).Seconds())
		last = time.Now()
	}
}

// interleave deals the single spans of all fixtures out in turn.
func interleave(all []recording) []ptrace.Traces {
	var decks [][]ptrace.Traces
	for _, r := range all {
		decks = append(decks, single(r.requests))
	}
	var out []ptrace.Traces
	for i := 0; ; i++ {
		dealt := false
		for _, d := range decks {
			if i < len(d) {
				out, dealt = append(out, d[i]), true
			}
		}
		if !dealt {
			return out
		}
	}
}

func checkAll(t *testing.T, held state, all []recording, experiment string) {
	t.Helper()
	expected := map[string]fixture.Expected{}
	for _, r := range all {
		expected[r.name] = r.expected
		t.Run(r.name, func(t *testing.T) {
			for _, wrong := range held.compare(r.expected, experiment) {
				t.Error(wrong)
			}
		})
	}
	for _, wrong := range held.surplus(expected) {
		t.Error(wrong)
	}
}

// checkOldFilters tries the searches that users of the old deployment have in bookmarks.
func checkOldFilters(t *testing.T, s *server, experiment string) {
	for filter, want := range map[string]string{
		"tags.adapter_name = 'GenericAdapter'": "job_1",
		"tags.outcome = 'success'":             "job_1",
		"tags.outcome = 'gate_failed'":         "job_2",
		"tags.domain = 'docs.example.org'":     "job_1",
		"metrics.gate_failures > 0":            "job_2",
		"metrics.tool_call_count > 0":          "job_1",
	} {
		if found := s.search(t, filter, experiment); !slices.Contains(found, want) {
			t.Errorf("%s finds %v; want %s among them", filter, found, want)
		}
	}
}
