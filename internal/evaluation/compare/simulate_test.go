//go:build !race

package compare

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/technoshare/commentator/internal/evaluation/stats"
)

// A small part of what `make bench-gate` measures, with bounds that chance does not break.
func TestUnchangedCommentsPassAndDropsAreFound(t *testing.T) {
	cfg := gate()
	cfg.Resamples = 1000
	sim := Simulation{Population: Typical, Effect: Unchanged, Examples: 120, Repetitions: 3, Runs: 100, Config: cfg}
	if tally := sim.Run(1); tally.Fail > 6 || tally.Pass < 85 {
		t.Errorf("unchanged: %+v", tally)
	}
	sim.Effect = Breaks(0.3)
	tally := sim.Run(2)
	if tally.Fail < 96 {
		t.Errorf("a third broken: %+v", tally)
	}
	if again := sim.Run(2); again != tally {
		t.Errorf("the same seed gives %+v and %+v", tally, again)
	}
}

// The audit finds out what it was not told: how noisy the examples are.
func TestAuditMeasuresTheNoiseOfTheSample(t *testing.T) {
	draw := func(p Population, n, seed int) *Sample {
		rng := rand.New(rand.NewPCG(uint64(seed), 0))
		s := made(times(n, 0)...)
		for i := range s.Examples {
			s.Examples[i].Passed = successes(3, p(rng), rng)
		}
		return s
	}
	cfg := gate()
	cfg.Resamples = 1000
	coin := func(*rand.Rand) float64 { return 0.9 } // every try is drawn anew
	fixed := func(rng *rand.Rand) float64 {         // an example passes always or never
		return math.Round(rng.Float64()*0.5 + 0.45)
	}
	noisy, err := AA([]*Sample{draw(coin, 60, 1), draw(coin, 60, 2)}, cfg, 200)
	if err != nil {
		t.Fatal(err)
	}
	steady, err := AA([]*Sample{draw(fixed, 60, 1)}, cfg, 200)
	if err != nil {
		t.Fatal(err)
	}
	if noisy.Recommended <= steady.Recommended || len(noisy.Real) != 1 || len(steady.Real) != 0 {
		t.Errorf("noisy %+v\nsteady %+v", noisy, steady)
	}
	if steady.FalseFail > 0.02 || noisy.FalseFail > 0.04 || steady.Power < 0.2 || steady.Unchanged.Runs != 200 {
		t.Errorf("false FAIL %v and %v, power %v", steady.FalseFail, noisy.FalseFail, steady.Power)
	}
}

func TestAuditNeedsRepetitions(t *testing.T) {
	s := made(times(30, 1)...)
	for i := range s.Examples {
		s.Examples[i].Counted = 1
	}
	if _, err := AA([]*Sample{s}, gate(), 100); err == nil {
		t.Error("it measured noise with one try an example")
	}
	if _, err := AA([]*Sample{s, s}, gate(), 100); err != nil {
		t.Errorf("two evaluations are repetitions too: %v", err)
	}
}

// The moments of the beta distribution, for large and tiny parameters.
func TestBeta(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	for _, c := range [][2]float64{{60, 1}, {8, 2}, {2, 2}, {0.5, 0.5}, {0.01, 3.2}} {
		a, b := c[0], c[1]
		values := make([]float64, 200_000)
		for i := range values {
			values[i] = beta(a, b, rng)
		}
		mean, variance := a/(a+b), a*b/((a+b)*(a+b)*(a+b+1))
		if math.Abs(stats.Mean(values)-mean) > 0.005 || math.Abs(stats.Variance(values)-variance) > 0.003 {
			t.Errorf("beta(%v, %v): mean %v, variance %v; want %v, %v", a, b, stats.Mean(values), stats.Variance(values), mean, variance)
		}
	}
}
