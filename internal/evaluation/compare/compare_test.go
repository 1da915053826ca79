package compare

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/stats"
)

// made is a sample of three repetitions, of which so many passed for each example.
func made(passed ...int) *Sample {
	s := &Sample{Format: Format, EvaluationID: "made", Dataset: evaluation.DatasetRef{Name: "links", Examples: len(passed)}, Repetitions: 3}
	for i, n := range passed {
		s.Examples = append(s.Examples, Example{ID: fmt.Sprintf("example-%03d", i), Hash: "h", Passed: n, Counted: 3})
	}
	return s
}

// times is n examples of which k passed.
func times(n, k int) (out []int) {
	for range n {
		out = append(out, k)
	}
	return out
}

func join(parts ...[]int) (out []int) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// gate has a threshold, as `eval gate` does.
func gate() Config {
	c := Defaults
	c.Threshold = DefaultThreshold
	return c
}

func TestVerdicts(t *testing.T) {
	lost := made(times(40, 3)...)
	for i := range 20 {
		lost.Examples[i] = Example{ID: lost.Examples[i].ID, Hash: "h", Lost: 3}
	}
	stopped := made(times(30, 3)...)
	stopped.Dataset.Examples, stopped.Stopped = 40, "the cost limit was reached"
	for _, c := range []struct {
		name       string
		base, cand *Sample
		want       Verdict
		says       string // in the first reason
	}{
		{"nothing changed", made(times(40, 3)...), made(times(40, 3)...), Pass, "No drop of 10 points"},
		{"better", made(times(40, 2)...), made(times(40, 3)...), Pass, "No drop of 10 points: +33.3 points"},
		{"noise", made(join(times(34, 3), []int{2, 3, 1, 2, 3, 2})...), made(join(times(34, 3), []int{3, 2, 2, 2, 2, 3})...), Pass, "2 worse, 3 better"},
		{"a quarter broken", made(times(40, 3)...), made(join(times(10, 0), times(30, 3))...), Fail, "The pass rate dropped: -25.0 points"},
		{"all a little worse", made(times(60, 3)...), made(times(60, 2)...), Fail, "dropped: -33.3 points"},
		{"three broken", made(times(40, 3)...), made(join(times(3, 0), times(37, 3))...), Inconclusive, "neither shown nor ruled out: -7.5 points"},
		{"a sure drop that is too small to matter", made(times(900, 3)...), made(join(times(45, 0), times(855, 3))...), Pass, "dropped by less than 10 points: -5.0"},
		{"too few to show anything", made(times(10, 3)...), made(times(10, 3)...), Inconclusive, "at least 29 are needed"},
		{"bad before, bad now", made(join(times(20, 3), times(20, 0))...), made(join(times(20, 3), times(20, 0))...), Fail, "The pass rate is 50.0 % (95 %: 35.2 % to 64.8 %), below the threshold of 80.0 %"},
		{"a little below the threshold", made(join(times(30, 3), times(10, 0))...), made(join(times(30, 3), times(10, 0))...), Inconclusive, "below the threshold of 80.0 %, but so few"},
		{"half of the tries lost", made(times(40, 3)...), lost, Inconclusive, "Of the candidate's 120 tries 60 say nothing, more than 20 %: 60 ended in infrastructure errors, 0 were not made"},
		{"lost in the baseline", lost, made(times(40, 3)...), Inconclusive, "Of the baseline's 120 tries"},
		{"stopped", made(times(40, 3)...), stopped, Inconclusive, "30 were not made (the cost limit was reached)"},
		{"nothing in common", made(times(40, 3)...), &Sample{Format: Format, Repetitions: 3}, Inconclusive, "no example that both sides"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Compare(c.base, c.cand, gate())
			if r.Verdict != c.want || !strings.Contains(r.Reasons[0], c.says) {
				t.Errorf("%s %q\nwant %s, saying %q", r.Verdict, r.Reasons, c.want, c.says)
			}
			if r.Verdict != Inconclusive && r.More != 0 {
				t.Errorf("%s, and %d more examples would decide", r.Verdict, r.More)
			}
		})
	}
}

// A pass rate of exactly the threshold reaches it, and a drop of exactly the minimum effect is not ruled
// out, however the sums of thirds are rounded.
func TestWhatIsEqualIsEqualWhateverTheOrder(t *testing.T) {
	twos, threes := times(24, 2), times(16, 3) // 96 of 120
	for _, passes := range [][]int{join(twos, threes), join(threes, twos), join(twos[:12], threes, twos[12:])} {
		r := Compare(made(passes...), made(passes...), gate())
		if r.Verdict != Pass || r.Cand.Rate != 0.8 {
			t.Errorf("%v: %s with a pass rate of %v: %q", passes, r.Verdict, r.Cand.Rate, r.Reasons)
		}
	}
	r := &Result{Config: gate(), Pairs: 40, P: 0}
	for _, low := range []float64{-0.1, -0.1 + 1e-16, -0.1 - 1e-16} {
		r.Interval = stats.Interval{Low: low, High: -1e-17}
		if f := r.judgeDrop([]float64{-0.1, 0}, []int64{-1, 0}); f.verdict != Inconclusive {
			t.Errorf("an interval of %v is %+v", r.Interval, f)
		}
	}
}

// What is said to decide does: the same examples again, as many as that, lead to a verdict.
func TestMoreExamplesDecide(t *testing.T) {
	for _, c := range []struct {
		name       string
		base, cand []int
		want       Verdict
	}{
		{"three broken", times(40, 3), join(times(3, 0), times(37, 3)), Fail},
		{"two broken", times(40, 3), join(times(2, 0), times(38, 3)), Pass},
		{"noise of half of the examples", join(times(10, 0), times(10, 3), times(16, 3)), join(times(10, 3), times(10, 0), times(16, 3)), Pass},
		{"too few", times(10, 3), times(10, 3), Pass},
		{"below the threshold", join(times(30, 3), times(11, 0)), join(times(30, 3), times(11, 0)), Fail},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := gate()
			if !strings.Contains(c.name, "threshold") {
				cfg.Threshold = 0
			}
			r := Compare(made(c.base...), made(c.cand...), cfg)
			if r.Verdict != Inconclusive || r.More < 1 {
				t.Fatalf("%s, %d more: %q", r.Verdict, r.More, r.Reasons)
			}
			var base, cand []int
			for len(base) < len(c.base)+r.More+(len(c.base)+r.More)/10 { // a tenth more, for rounding and chance
				base, cand = append(base, c.base...), append(cand, c.cand...)
			}
			if again := Compare(made(base...), made(cand...), cfg); again.Verdict != c.want {
				t.Errorf("with %d more it is %s: %q", r.More, again.Verdict, again.Reasons)
			}
		})
	}
}

// An example is compared with itself as it was, or not at all.
func TestOnlyWhatBothSidesHaveIsCompared(t *testing.T) {
	base, cand := made(times(40, 3)...), made(times(40, 3)...)
	base.Examples = base.Examples[1:]
	cand.Examples[1].Hash = "changed"
	base.Examples[1] = Example{ID: "example-002", Hash: "h", Lost: 3}
	cand.Examples[3] = Example{ID: "example-003", Hash: "h", Lost: 3}
	cand.Examples = cand.Examples[:39]
	r := Compare(base, cand, gate())
	want := []Exclusion{
		{"example-000", "the baseline does not have it"},
		{"example-001", "it was changed since the baseline"},
		{"example-002", "all its tries in the baseline ended in infrastructure errors"},
		{"example-003", "all its tries ended in infrastructure errors"},
		{"example-039", "the candidate did not try it"},
	}
	if diff := cmp.Diff(want, r.Excluded); diff != "" || r.Pairs != 35 || r.Verdict != Pass {
		t.Errorf("%s with %d pairs, %s", r.Verdict, r.Pairs, diff)
	}
}

// Lost tries are no failures: a repetition that an outage took does not make an example worse.
func TestLostTriesAreNoFailures(t *testing.T) {
	base, cand := made(times(40, 3)...), made(times(40, 3)...)
	for i := range 20 {
		cand.Examples[i].Passed, cand.Examples[i].Counted, cand.Examples[i].Lost = 2, 2, 1
	}
	r := Compare(base, cand, gate())
	if r.Verdict != Pass || r.Difference != 0 || r.Cand.Lost != 20 || r.Cand.Rate != 1 {
		t.Errorf("%s, difference %v, %d lost, pass rate %v", r.Verdict, r.Difference, r.Cand.Lost, r.Cand.Rate)
	}
}

// The order of examples does not matter, nor who is called baseline when nothing differs; the
// result of the same input is the same.
func TestComparingIsRepeatable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "examples")
		passes := rapid.SliceOfN(rapid.IntRange(0, 3), n, n)
		base, cand := made(passes.Draw(t, "baseline")...), made(passes.Draw(t, "candidate")...)
		cfg := gate()
		cfg.Resamples = 1000
		r := Compare(base, cand, cfg)
		if diff := cmp.Diff(r, Compare(base, cand, cfg)); diff != "" {
			t.Fatalf("again it differs: %s", diff)
		}
		mixed := *cand
		mixed.Examples = rapid.Permutation(cand.Examples).Draw(t, "order")
		if m := Compare(base, &mixed, cfg); m.Difference != r.Difference || m.P != r.P || m.Cand.Rate != r.Cand.Rate || m.Cand.Interval != r.Cand.Interval {
			t.Fatalf("in another order the difference is %v, not %v, the pass rate %v, not %v", m.Difference, r.Difference, m.Cand, r.Cand)
		}
		if r.Interval.Low > r.Difference+1e-9 || r.Interval.High < r.Difference-1e-9 || r.P < 0 || r.P > 1 || len(r.Reasons) == 0 {
			t.Fatalf("%+v", r)
		}
		if r.Verdict == Fail && r.P > r.Config.Alpha && r.Cand.Interval.High >= r.Config.Threshold {
			t.Fatalf("FAIL with p = %v and a pass rate of %v", r.P, r.Cand.Interval)
		}
		if v := Compare(base, base, cfg); v.Verdict == Fail && v.Cand.Interval.High >= cfg.Threshold {
			t.Fatal("it failed against itself")
		}
	})
}

func TestScorersCostAndLatencyAreComparedAndDecideNothing(t *testing.T) {
	base, cand := made(times(40, 3)...), made(times(40, 3)...)
	cheap, dear := 0.01, 0.03
	for i := range base.Examples {
		base.Examples[i].Scorers, cand.Examples[i].Scorers = map[string]Count{"gates": {3, 3}, "old": {1, 1}}, map[string]Count{"gates": {1, 2}, "new": {0, 3}}
		base.Examples[i].LatencySeconds, cand.Examples[i].LatencySeconds = 1, 3
		base.Examples[i].CostUSD, cand.Examples[i].CostUSD = &cheap, &dear
	}
	cand.Examples[0].CostUSD = nil // unknown is not zero
	r := Compare(base, cand, gate())
	if r.Verdict != Pass || len(r.Scorers) != 1 || r.Scorers[0].Name != "gates" || r.Scorers[0].Cand != 0.5 || r.Scorers[0].Interval.High != -0.5 {
		t.Errorf("%s, scorers %+v", r.Verdict, r.Scorers)
	}
	if r.Latency.Cand != 3 || r.Latency.Interval.Low != 2 || r.Cost.Pairs != 39 || math.Abs(r.Cost.Cand-dear) > 1e-9 {
		t.Errorf("latency %+v, cost %+v", r.Latency, r.Cost)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		says   string
	}{
		{func(c *Config) { c.Threshold = 80 }, "--threshold: 80"},
		{func(c *Config) { c.MinEffect = 0 }, "--min-effect: 0"},
		{func(c *Config) { c.Alpha = 0.5 }, "--alpha: 0.5"},
		{func(c *Config) { c.MaxLost = -1 }, "--max-lost: -1"},
		{func(c *Config) { c.Resamples = 10 }, "--resamples: 10"},
	} {
		cfg := gate()
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		c.change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want %q", err, c.says)
		}
	}
}

// The simulation runs on all processors; this much of it goes through the race detector too.
func TestSimulationsDoNotDisturbEachOther(t *testing.T) {
	cfg := gate()
	cfg.Resamples = 1000
	sim := Simulation{Population: Typical, Effect: Unchanged, Examples: 30, Repetitions: 3, Runs: 20, Config: cfg}
	first := sim.Run(1)
	if again := sim.Run(1); again != first || first.Pass+first.Fail+first.Inconclusive != 20 {
		t.Errorf("the same seed gives %+v and %+v", first, again)
	}
}

// With lost tries the unit of the differences is small, and the exact test too large.
func TestMoreExamplesAreRecommendedWhateverTheUnit(t *testing.T) {
	units := make([]int64, 40)
	differences := make([]float64, len(units))
	for i := range units {
		units[i] = []int64{-29070, -5814, 0, 24225}[i*4/len(units)]
		differences[i] = float64(units[i]) / 58140
	}
	r := Result{Config: Defaults, Pairs: len(units), Difference: stats.Mean(differences)} // and no verdict before some two hundred
	r.Config.MinEffect = 0.01
	more := r.moreForDrop(differences, units)
	if again := r.moreForDrop(differences, units); more < 1 || more >= maxExamples || again != more {
		t.Errorf("%d, then %d more examples", more, again)
	}
}
