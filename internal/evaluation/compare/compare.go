package compare

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/stats"
)

// Verdict is what a comparison comes to.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "PASS"
	Fail         Verdict = "FAIL"
	Inconclusive Verdict = "INCONCLUSIVE"
)

// Config says what counts as worse.
type Config struct {
	// Threshold is the least pass rate of the candidate; 0: any. Default of `eval gate` 0.80.
	Threshold float64 `json:"threshold"`
	// MinEffect is the least drop of the pass rate that matters. Default 0.10, ten examples of a
	// hundred. Half of it needs four times the examples.
	MinEffect float64 `json:"min_effect"`
	// Alpha bounds how often unchanged comments are said to have become worse. Default 0.02.
	Alpha float64 `json:"alpha"`
	// MaxLost is the share of tries that may end in infrastructure errors. Default 0.20.
	MaxLost float64 `json:"max_lost"`
	// Resamples of the bootstrap. Default 10,000.
	Resamples int `json:"resamples"`
	// Seed of the generator: the same files and seed give the same result.
	Seed uint64 `json:"seed"`
}

// Defaults are the settings of `eval compare`, which has no threshold.
var Defaults = Config{MinEffect: 0.10, Alpha: 0.02, MaxLost: 0.20, Resamples: 10_000, Seed: 1}

const (
	// DefaultThreshold is that of `eval gate`.
	DefaultThreshold = 0.80
	// untouchedMiss is the probability of Untouched: how often the least number of examples that may
	// pass shows nothing of a drop of the minimum effect.
	untouchedMiss = 0.05
	// rateLevel is that of the intervals of pass rates.
	rateLevel = 0.95
)

// Validate names each setting that is wrong.
func (c Config) Validate() error {
	for _, s := range []struct {
		name      string
		value     float64
		low, high float64
	}{
		{"threshold", c.Threshold, 0, 1}, {"min-effect", c.MinEffect, 0.001, 0.999}, {"alpha", c.Alpha, 0.0001, 0.2}, {"max-lost", c.MaxLost, 0, 1},
	} {
		if !(s.value >= s.low && s.value <= s.high) { // NaN is wrong too
			return fmt.Errorf("--%s: %v is not between %g and %g", s.name, s.value, s.low, s.high)
		}
	}
	if c.Resamples < 1000 || c.Resamples > 1_000_000 {
		return fmt.Errorf("--resamples: %d is not between 1,000 and 1,000,000", c.Resamples)
	}
	return nil
}

// Result is a comparison, with everything that led to its verdict. As a file it is what
// `mlflowctl prompts promote` asks for.
type Result struct {
	Format  string  `json:"format"` // ResultFormat
	Verdict Verdict `json:"verdict"`
	// Reasons are sentences, the one that decided first.
	Reasons []string `json:"reasons"`
	// More is about how many examples more would decide, if they are like these. 0: more examples
	// would not help, or are not needed.
	More   int    `json:"more_examples,omitempty"`
	Config Config `json:"config"`

	Base Side `json:"baseline"`
	Cand Side `json:"candidate"`

	Pairs int `json:"pairs"` // examples that both sides have something to say about
	// Difference of the pass rates over the pairs, candidate minus baseline.
	Difference float64 `json:"difference"`
	// Interval of the difference: percentile bootstrap over the pairs. Each end is missed with
	// probability Config.Alpha.
	Interval stats.Interval `json:"interval"`
	// P is how often exchanging the two sides of the pairs at random gives a drop as large as this one.
	P        float64 `json:"p"`
	Improved int     `json:"improved"` // pairs
	Worsened int     `json:"worsened"`

	Examples []Change     `json:"examples"` // the pairs, the worst first
	Scorers  []ScorerDiff `json:"scorers"`  // never decide
	Cost     *Shift       `json:"cost_usd,omitempty"`
	Latency  *Shift       `json:"latency_seconds,omitempty"`
	// Excluded are the examples that were not compared, and why.
	Excluded []Exclusion `json:"excluded,omitempty"`
}

// ResultFormat names the form of the file.
const ResultFormat = "eval-verdict/1"

// Side is one of the two samples.
type Side struct {
	EvaluationID string                 `json:"evaluation_id"`
	Revision     string                 `json:"git_revision,omitempty"`
	Analyser     string                 `json:"analyser"`
	Dataset      evaluation.DatasetRef  `json:"dataset"`
	Prompts      []evaluation.PromptRef `json:"prompts"`
	Models       []evaluation.ModelRef  `json:"models"`
	// Rate is the mean of the pass rates of all its examples that count, and Interval Wilson's at 95 %
	// with the example as the unit.
	Rate     float64        `json:"pass_rate"`
	Interval stats.Interval `json:"pass_rate_interval"`
	Examples int            `json:"examples"` // that count
	Tries    int            `json:"tries"`    // asked for
	Lost     int            `json:"lost"`     // of which ended in infrastructure errors
	Missing  int            `json:"missing"`  // of which were not made
	Stopped  string         `json:"stopped,omitempty"`
}

// Change is how an example did, and does.
type Change struct {
	ID   string   `json:"id"`
	Tags []string `json:"tags,omitempty"`
	Base Count    `json:"baseline"`
	Cand Count    `json:"candidate"`
}

// Difference of the pass rates, candidate minus baseline.
func (c Change) Difference() float64 { return c.Cand.Share() - c.Base.Share() }

// ScorerDiff compares the judgements of one scorer, over the pairs that both have them.
type ScorerDiff struct {
	Name     string         `json:"name"`
	Pairs    int            `json:"pairs"`
	Base     float64        `json:"baseline"`
	Cand     float64        `json:"candidate"`
	Interval stats.Interval `json:"interval"` // of the difference
}

// Shift compares means over the pairs, in the unit of its name.
type Shift struct {
	Pairs    int            `json:"pairs"`
	Base     float64        `json:"baseline"`
	Cand     float64        `json:"candidate"`
	Interval stats.Interval `json:"interval"` // of the difference
}

// Exclusion is an example that was not compared.
type Exclusion struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

type pair struct{ base, cand Example }

// Compare compares the candidate with the baseline.
func Compare(base, cand *Sample, cfg Config) *Result {
	rng := rand.New(rand.NewPCG(cfg.Seed, 0))
	r := &Result{Format: ResultFormat, Config: cfg, Base: side(base), Cand: side(cand)}
	pairs := match(base, cand, r)
	r.Pairs = len(pairs)
	differences := make([]float64, len(pairs))
	for i, p := range pairs {
		differences[i] = p.cand.Rate() - p.base.Rate()
	}
	units := whole(pairs)
	if len(pairs) > 0 {
		base, cand := make([]Example, len(pairs)), make([]Example, len(pairs))
		for i, p := range pairs {
			base[i], cand[i] = p.base, p.cand
		}
		r.Difference = (passed(cand) - passed(base)) / float64(len(pairs))
		r.Interval = stats.Percentile(stats.BootstrapMeans(differences, cfg.Resamples, rng), 1-2*cfg.Alpha)
		r.P = stats.SignFlip(units, rng)
	}
	r.list(pairs)
	r.decide(differences, units)
	r.details(pairs, rng)
	return r
}

func side(s *Sample) Side {
	out := Side{
		EvaluationID: s.EvaluationID, Revision: s.Revision, Analyser: s.Analyser, Dataset: s.Dataset, Prompts: s.Prompts, Models: s.Models,
		Tries: s.Dataset.Examples * s.Repetitions, Stopped: s.Stopped,
	}
	made := 0
	for _, e := range s.Examples {
		out.Lost += e.Lost
		made += e.Counted + e.Lost
		if e.Counted > 0 {
			out.Examples++
		}
	}
	out.Missing = max(0, out.Tries-made)
	sum := passed(s.Examples)
	if out.Examples > 0 {
		out.Rate = sum / float64(out.Examples)
	}
	out.Interval = stats.Wilson(sum, out.Examples, rateLevel)
	return out
}

// passed is the sum of the pass rates of the examples that count. Tries are summed as whole numbers, so
// that it is the same in any order, and exact when all examples have as many tries.
func passed(examples []Example) float64 {
	of := map[int]int{} // by tries that count
	for _, e := range examples {
		of[e.Counted] += e.Passed
	}
	delete(of, 0)
	sum := 0.0
	for _, counted := range slices.Sorted(maps.Keys(of)) {
		sum += float64(of[counted]) / float64(counted)
	}
	return sum
}

// match finds the examples that both samples say something about.
func match(base, cand *Sample, r *Result) (pairs []pair) {
	of := map[string]Example{}
	for _, e := range base.Examples {
		of[e.ID] = e
	}
	exclude := func(id, reason string) { r.Excluded = append(r.Excluded, Exclusion{id, reason}) }
	for _, c := range cand.Examples {
		b, ok := of[c.ID]
		delete(of, c.ID)
		switch {
		case !ok:
			exclude(c.ID, "the baseline does not have it")
		case b.Hash != c.Hash:
			exclude(c.ID, "it was changed since the baseline")
		case b.Counted == 0:
			exclude(c.ID, "all its tries in the baseline ended in infrastructure errors")
		case c.Counted == 0:
			exclude(c.ID, "all its tries ended in infrastructure errors")
		default:
			pairs = append(pairs, pair{b, c})
		}
	}
	for _, b := range base.Examples {
		if _, left := of[b.ID]; left {
			exclude(b.ID, "the candidate did not try it")
		}
	}
	return pairs
}

// whole gives the differences of the pass rates as whole numbers of one unit, sorted.
func whole(pairs []pair) []int64 {
	unit := int64(1)
	for _, p := range pairs {
		unit = lcm(unit, lcm(int64(p.base.Counted), int64(p.cand.Counted)))
	}
	out := make([]int64, len(pairs))
	for i, p := range pairs {
		out[i] = int64(p.cand.Passed)*(unit/int64(p.cand.Counted)) - int64(p.base.Passed)*(unit/int64(p.base.Counted))
	}
	slices.Sort(out)
	return out
}

func lcm(a, b int64) int64 {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}
