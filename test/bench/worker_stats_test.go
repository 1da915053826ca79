//go:build linux

package main

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/technoshare/commentator/test/bench/drive"
)

// The bounds of a quantile hold the true one in 95 of 100 cases, whatever the distribution.
func TestBoundsOfAQuantileHoldIt(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, q := range []float64{0.5, 0.99} {
		truth := -math.Log(1 - q) // of an exponential distribution
		held := 0
		const trials = 400
		for range trials {
			samples := make([]float64, 2000)
			for i := range samples {
				samples[i] = random.ExpFloat64()
			}
			b := quantile(samples, q)
			if b.Least > b.Median || b.Median > b.Most {
				t.Fatalf("quantile %v is %+v", q, b)
			}
			if b.Least <= truth && truth <= b.Most {
				held++
			}
		}
		if share := float64(held) / trials; share < 0.92 {
			t.Errorf("the bounds of quantile %v hold it in %.2f of all cases", q, share)
		}
	}
}

func TestQuantile(t *testing.T) {
	var v []float64
	for i := range 1000 {
		v = append(v, float64(1000-i))
	}
	if got := quantile(v, 0.5); got != (spread{Median: 500, Least: 469, Most: 532}) {
		t.Errorf("median %+v", got)
	}
	if got := quantile(v, 0.99); got != (spread{Median: 990, Least: 983, Most: 997}) {
		t.Errorf("p99 %+v", got)
	}
}

// TestFewSamplesHaveNoBounds: what too few samples say of a quantile meets no goal and misses none.
func TestFewSamplesHaveNoBounds(t *testing.T) {
	for _, c := range []struct {
		n       int
		q       float64
		bounded bool
	}{{1, 0.5, false}, {5, 0.5, false}, {6, 0.5, true}, {1, 0.99, false}, {367, 0.99, false}, {368, 0.99, true}} {
		var v []float64
		for i := range c.n {
			v = append(v, 2+float64(i)/float64(c.n))
		}
		got := quantile(v, c.q)
		if bounded := !math.IsInf(got.Most, 1); bounded != c.bounded {
			t.Errorf("quantile %v of %d samples is %+v", c.q, c.n, got)
		}
		if c.q == 0.5 && c.bounded != !math.IsInf(got.Least, -1) {
			t.Errorf("median of %d samples is %+v", c.n, got)
		}
		want := "not shown"
		if c.bounded {
			want = "met"
		}
		if g := (goal{Figure: got, Bound: 10, AtMost: true}).judge(); g.Verdict != want {
			t.Errorf("%d samples far below a bound: %q, want %q", c.n, g.Verdict, want)
		}
	}
}

// TestABoundThatIsNotKnownIsLeftOut: JSON has no infinity.
func TestABoundThatIsNotKnownIsLeftOut(t *testing.T) {
	for want, s := range map[string]spread{
		`{"median":7}`:                      quantile([]float64{7}, 0.5),
		`{"median":7,"least":0,"most":7.5}`: {7, 0, 7.5},
	} {
		if got, err := json.Marshal(map[string]spread{"x": s}); err != nil || string(got) != `{"x":`+want+`}` {
			t.Errorf("%+v is %s, %v", s, got, err)
		}
	}
}

// A difference of 4 % is seen through noise of 10 % in a hundred pairs, and one of 1 % is no
// proof of more than 2 %.
func TestRatioIsSeenThroughNoise(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	draw := func(truth float64) spread {
		var ratios []float64
		for range 100 {
			ratios = append(ratios, truth*math.Exp(0.1*random.NormFloat64()))
		}
		return geometricBounds(ratios)
	}
	if b := draw(1.04); b.Least <= 1 || b.Most <= 1.04 {
		t.Errorf("4 %% more is %+v", b)
	}
	if b := draw(1.01); b.Most <= 1.02 {
		t.Errorf("1 %% more with noise of 10 %% is shown to be below 2 %%: %+v", b)
	}
	if b := geometricBounds([]float64{1}); !math.IsInf(b.Most, 1) {
		t.Errorf("one pair proves %+v", b)
	}
}

func TestPairsAreOfOneRound(t *testing.T) {
	of := func(kind string, round int, cpu float64) turn {
		return turn{Kind: kind, Round: round, Answer: drive.Answer{CPU: cpu}}
	}
	turns := []turn{of("off", 1, 2), of("none", 1, 1), of("none", 2, 10), of("off", 2, 40), of("off", 3, 1)}
	got := paired(turns, "off", "none", func(t turn) float64 { return t.CPU }, func(a, b float64) float64 { return a / b })
	if len(got) != 2 || got[0] != 2 || got[1] != 4 {
		t.Errorf("pairs %v", got)
	}
}

// Every worker comes first equally often, and each of none and off before the other.
func TestTurnsAreFair(t *testing.T) {
	var workers []*underLoad
	for _, k := range kinds {
		workers = append(workers, &underLoad{kind: k})
	}
	first, before := map[string]int{}, 0
	for round := range 4 * len(kinds) {
		turns := order(workers, round)
		first[turns[0].name]++
		for _, w := range turns {
			if w.name == "none" || w.name == "off" {
				if w.name == "none" {
					before++
				}
				break
			}
		}
		seen := map[string]bool{}
		for _, w := range turns {
			seen[w.name] = true
		}
		if len(seen) != len(kinds) {
			t.Fatalf("round %d has %v", round, seen)
		}
	}
	if before != 2*len(kinds) {
		t.Errorf("none comes before off in %d of %d rounds", before, 4*len(kinds))
	}
	for _, k := range kinds {
		if first[k.name] != 4 {
			t.Errorf("%s comes first %d times", k.name, first[k.name])
		}
	}
}
