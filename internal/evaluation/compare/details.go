package compare

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/technoshare/commentator/internal/evaluation/stats"
)

// list notes how the pairs did.
func (r *Result) list(pairs []pair) {
	for _, p := range pairs {
		c := Change{ID: p.cand.ID, Tags: p.cand.Tags, Base: Count{p.base.Passed, p.base.Counted}, Cand: Count{p.cand.Passed, p.cand.Counted}}
		switch d := c.Difference(); {
		case d > 0:
			r.Improved++
		case d < 0:
			r.Worsened++
		}
		r.Examples = append(r.Examples, c)
	}
	slices.SortStableFunc(r.Examples, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Difference(), b.Difference()), cmp.Compare(a.ID, b.ID))
	})
}

// details compares what does not decide.
func (r *Result) details(pairs []pair, rng *rand.Rand) {
	names := map[string]bool{}
	for _, p := range pairs {
		for name := range p.cand.Scorers {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		var base, cand []float64
		for _, p := range pairs {
			b, c := p.base.Scorers[name], p.cand.Scorers[name]
			if b[1] > 0 && c[1] > 0 {
				base, cand = append(base, b.Share()), append(cand, c.Share())
			}
		}
		if s := r.shift(base, cand, rng); s != nil {
			r.Scorers = append(r.Scorers, ScorerDiff{Name: name, Pairs: s.Pairs, Base: s.Base, Cand: s.Cand, Interval: s.Interval})
		}
	}
	var base, cand, baseCost, candCost []float64
	for _, p := range pairs {
		base, cand = append(base, p.base.LatencySeconds), append(cand, p.cand.LatencySeconds)
		if p.base.CostUSD != nil && p.cand.CostUSD != nil {
			baseCost, candCost = append(baseCost, *p.base.CostUSD), append(candCost, *p.cand.CostUSD)
		}
	}
	r.Latency = r.shift(base, cand, rng)
	r.Cost = r.shift(baseCost, candCost, rng)
}

// shift compares two means; nil when there is nothing to compare.
func (r *Result) shift(base, cand []float64, rng *rand.Rand) *Shift {
	if len(base) == 0 {
		return nil
	}
	differences := make([]float64, len(base))
	for i := range base {
		differences[i] = cand[i] - base[i]
	}
	means := stats.BootstrapMeans(differences, r.Config.Resamples, rng)
	return &Shift{Pairs: len(base), Base: stats.Mean(base), Cand: stats.Mean(cand), Interval: stats.Percentile(means, 1-2*r.Config.Alpha)}
}
