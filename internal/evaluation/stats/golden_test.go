package stats

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// golden is testdata/golden.json, which testdata/golden.py writes.
type golden struct {
	Normal []struct{ P, Z float64 }
	// Quantile and Variance are numpy's.
	Quantile []struct {
		Values   []float64
		Q, Value float64
	}
	Variance []struct {
		Values []float64
		Value  float64
	}
	Wilson []struct {
		Successes float64
		N         int
		Level     float64
		Interval  [2]float64
	}
	Bootstrap []struct {
		Values    []float64
		Resamples int
		Seed      uint64
		Level     float64
		Interval  [2]float64
		// OtherDraws is the interval of 200,000 samples that scipy drew itself.
		OtherDraws [2]float64 `json:"other_draws"`
	}
	SignFlip []struct {
		Differences []int64
		P           float64
	} `json:"sign_flip"`
	McNemar []struct {
		Worse, Better int
		TwoSided      float64 `json:"two_sided"`
	}
	SampleSize []struct {
		Effect, Variance, Alpha, Power float64
		N                              int
	} `json:"sample_size"`
}

func readGolden(t *testing.T, text []byte) (g golden) {
	t.Helper()
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Normal)*len(g.Quantile)*len(g.Variance)*len(g.Wilson)*len(g.Bootstrap)*len(g.SignFlip)*len(g.McNemar)*len(g.SampleSize) == 0 {
		t.Fatalf("a kind of numbers is missing: %+v", g)
	}
	return g
}

func same(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9) {
		t.Errorf("%s is %v, scipy says %v", what, got, want)
	}
}

func TestNumbersAreThoseOfScipyAndStatsmodels(t *testing.T) {
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, readGolden(t, text))
}

func compare(t *testing.T, g golden) {
	for _, c := range g.Normal {
		same(t, "normal quantile", Normal(c.P), c.Z)
	}
	for _, c := range g.Quantile {
		same(t, "quantile", Quantile(c.Values, c.Q), c.Value)
	}
	for _, c := range g.Variance {
		same(t, "variance", Variance(c.Values), c.Value)
	}
	for _, c := range g.Wilson {
		got := Wilson(c.Successes, c.N, c.Level)
		same(t, "Wilson low", got.Low, c.Interval[0])
		same(t, "Wilson high", got.High, c.Interval[1])
	}
	for _, c := range g.Bootstrap {
		rng := rand.New(rand.NewPCG(c.Seed, 0))
		got := Percentile(BootstrapMeans(c.Values, c.Resamples, rng), c.Level)
		same(t, "bootstrap low", got.Low, c.Interval[0])
		same(t, "bootstrap high", got.High, c.Interval[1])
		// With other samples it is the same but for chance: a tenth of the interval's width.
		many := Percentile(BootstrapMeans(c.Values, 50_000, rng), c.Level)
		near := (c.OtherDraws[1] - c.OtherDraws[0]) / 10
		if math.Abs(many.Low-c.OtherDraws[0]) > near || math.Abs(many.High-c.OtherDraws[1]) > near {
			t.Errorf("bootstrap is %v, scipy's own draws give %v", many, c.OtherDraws)
		}
	}
	for _, c := range g.SignFlip {
		same(t, "sign flips", SignFlip(c.Differences, nil), c.P)
	}
	for _, c := range g.McNemar {
		var d []int64
		for range c.Worse {
			d = append(d, -1)
		}
		for range c.Better {
			d = append(d, 1)
		}
		same(t, "McNemar", min(1, 2*SignFlip(d, nil)), c.TwoSided)
	}
	for _, c := range g.SampleSize {
		if got := SampleSize(c.Effect, c.Variance, c.Alpha, c.Power); got != c.N {
			t.Errorf("sample size is %d, statsmodels says %d", got, c.N)
		}
	}
}
