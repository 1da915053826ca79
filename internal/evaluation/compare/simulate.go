package compare

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/stats"
)

// Population draws how probably a try of one more example passes.
type Population func(rng *rand.Rand) float64

// Effect turns that probability into the one after a change.
type Effect func(p float64, rng *rand.Rand) float64

// Unchanged is no change.
func Unchanged(p float64, _ *rand.Rand) float64 { return p }

// Breaks is a change that makes a share of the examples fail always and leaves the others alone:
// the hardest to find of all changes that drop the pass rate as much, since most examples say
// nothing of it.
func Breaks(share float64) Effect {
	return func(p float64, rng *rand.Rand) float64 {
		if rng.Float64() < share {
			return 0
		}
		return p
	}
}

// Weakens is a change that takes the same share of its probability from every example.
func Weakens(share float64) Effect {
	return func(p float64, _ *rand.Rand) float64 { return p * (1 - share) }
}

// Simulation compares evaluations that never were, by the code that compares those that were.
type Simulation struct {
	Population  Population
	Effect      Effect
	Examples    int
	Repetitions int
	Runs        int
	Config      Config
}

// Tally counts verdicts.
type Tally struct {
	Runs         int `json:"runs"`
	Pass         int `json:"pass"`
	Fail         int `json:"fail"`
	Inconclusive int `json:"inconclusive"`
}

// Share is n of all, with Wilson's interval at 95 %.
func (t Tally) Share(n int) (share float64, i stats.Interval) {
	return float64(n) / float64(t.Runs), stats.Wilson(float64(n), t.Runs, rateLevel)
}

// Run simulates on all processors. The result depends on the seed alone.
func (s Simulation) Run(seed uint64) Tally {
	var next atomic.Int64
	var passes, fails atomic.Int64
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for i := next.Add(1); i <= int64(s.Runs); i = next.Add(1) {
				switch s.one(seed, uint64(i)) {
				case Pass:
					passes.Add(1)
				case Fail:
					fails.Add(1)
				}
			}
		})
	}
	all.Wait()
	t := Tally{Runs: s.Runs, Pass: int(passes.Load()), Fail: int(fails.Load())}
	t.Inconclusive = t.Runs - t.Pass - t.Fail
	return t
}

func (s Simulation) one(seed, i uint64) Verdict {
	rng := rand.New(rand.NewPCG(seed, i))
	base, cand := s.empty(), s.empty()
	for n := range s.Examples {
		p := s.Population(rng)
		e := Example{ID: strconv.Itoa(n), Hash: "simulated", Counted: s.Repetitions}
		e.Passed = successes(s.Repetitions, p, rng)
		base.Examples = append(base.Examples, e)
		e.Passed = successes(s.Repetitions, s.Effect(p, rng), rng)
		cand.Examples = append(cand.Examples, e)
	}
	cfg := s.Config
	cfg.Seed = rng.Uint64()
	return Compare(base, cand, cfg).Verdict
}

func (s Simulation) empty() *Sample {
	return &Sample{
		Format: Format, Dataset: evaluation.DatasetRef{Name: "simulated", Examples: s.Examples}, Repetitions: s.Repetitions,
		Examples: make([]Example, 0, s.Examples),
	}
}

func successes(n int, p float64, rng *rand.Rand) (k int) {
	for range n {
		if rng.Float64() < p {
			k++
		}
	}
	return k
}

// Recommend is how many examples find a drop of the minimum effect with the given power when it
// breaks some examples and spares the others, the worst case: stats.SampleSize with the variance
// of such differences, which is that of the noise and that of being hit. Fewer do when a change
// touches all examples. It is rounded up to tens, for the formula is that of a normal distribution,
// and such differences are whole numbers. Mean is the population's pass rate; n is 0 when it cannot drop that far.
func (s Simulation) Recommend(power float64, seed uint64) (n int, mean float64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	const draws = 50_000
	rates := make([]float64, draws)
	for i := range rates {
		rates[i] = s.Population(rng)
	}
	mean = stats.Mean(rates)
	if mean <= s.Config.MinEffect {
		return 0, mean
	}
	hit := Breaks(s.Config.MinEffect / mean)
	differences := make([]float64, draws)
	for i, p := range rates {
		base, cand := successes(s.Repetitions, p, rng), successes(s.Repetitions, hit(p, rng), rng)
		differences[i] = float64(cand-base) / float64(s.Repetitions)
	}
	n = stats.SampleSize(s.Config.MinEffect, stats.Variance(differences), s.Config.Alpha, power)
	return (n + 9) / 10 * 10, mean
}
