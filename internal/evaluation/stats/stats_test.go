package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// The exact test and the random one are the same test.
func TestSignFlipIsTheSameExactAndAtRandom(t *testing.T) {
	small := []int64{-3, -2, -2, 1, 0, -3, -1, 2, -1, -1}
	large := make([]int64, len(small))
	for i, d := range small {
		large[i] = d * exactStates
	}
	exact, random := SignFlip(small, nil), SignFlip(large, rand.New(rand.NewPCG(1, 0)))
	if exact == random || math.Abs(exact-random) > 0.01 {
		t.Errorf("exact %v, at random %v", exact, random)
	}
}

// When nothing changed, a p of at most α comes up with a probability of at most α: for any
// differences, over all assignments of signs.
func TestSignFlipKeepsItsLevel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.Int64Range(0, 4), 1, 9).Draw(t, "sizes")
		alpha := rapid.Float64Range(0.001, 0.3).Draw(t, "alpha")
		alarms, all := 0, 1<<len(sizes)
		for signs := range all {
			d := make([]int64, len(sizes))
			for i, s := range sizes {
				d[i] = s * int64(signs>>i&1*2-1)
			}
			if SignFlip(d, nil) <= alpha {
				alarms++
			}
		}
		if float64(alarms) > alpha*float64(all) {
			t.Fatalf("%d alarms of %d at α = %v", alarms, all, alpha)
		}
	})
}

func TestIntervalsHoldWhatTheyEstimate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1, 1), 1, 60).Draw(t, "values")
		mean := Mean(values)
		i := Percentile(BootstrapMeans(values, 2000, rand.New(rand.NewPCG(1, 2))), 0.98)
		if i.Low > mean+1e-9 || i.High < mean-1e-9 {
			t.Fatalf("mean %v is not in %v", mean, i)
		}
		n := rapid.IntRange(1, 500).Draw(t, "n")
		k := rapid.Float64Range(0, float64(n)).Draw(t, "successes")
		w := Wilson(k, n, 0.95)
		if p := k / float64(n); w.Low < 0 || w.High > 1 || w.Low > p+1e-9 || w.High < p-1e-9 {
			t.Fatalf("share %v is not in %v", p, w)
		}
	})
}

func TestNothingIsNotANumber(t *testing.T) {
	if i := Wilson(0, 0, 0.95); i != (Interval{0, 1}) {
		t.Errorf("of no trial the interval is %v", i)
	}
	if got := BootstrapMeans(nil, 10, nil); got != nil {
		t.Errorf("of no value there are means %v", got)
	}
	if p := SignFlip(nil, nil); p != 1 {
		t.Errorf("without differences p is %v", p)
	}
	if got := BootstrapMeans([]float64{0.5, 0.5}, 3, nil); len(got) != 3 || got[0] != 0.5 || got[2] != 0.5 {
		t.Errorf("of equal values the means are %v", got)
	}
}

func TestUntouched(t *testing.T) {
	for _, c := range []struct {
		share float64
		want  int
	}{{0.10, 29}, {0.05, 59}, {0.20, 14}} {
		got := Untouched(c.share, 0.05)
		if got != c.want || math.Pow(1-c.share, float64(got)) > 0.05 || math.Pow(1-c.share, float64(got-1)) <= 0.05 {
			t.Errorf("share %v: %d examples, want %d", c.share, got, c.want)
		}
	}
}
