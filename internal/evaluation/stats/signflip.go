package stats

import "math/rand/v2"

const (
	// exactStates bounds the memory and, times the number of differences, the time of the exact
	// test; evaluations are far below.
	exactStates = 1 << 20
	// randomFlips is how many assignments of signs are drawn when the exact test would take too
	// long.
	randomFlips = 20_000
)

// SignFlip tests whether paired differences, as whole numbers of any unit, are lower than chance
// alone makes them: it is the share of all assignments of signs whose sum is at most the
// observed one. If nothing has changed, the two sides of each pair could as well be exchanged,
// which turns a sign; so a p of at most α comes up with a probability of at most α, whatever the
// differences are distributed like and however few there are.
//
// With differences of -1, 0 and 1 it is McNemar's exact test, one-sided.
// (scipy.stats.permutation_test with permutation_type "samples" and alternative "less".)
func SignFlip(differences []int64, rng *rand.Rand) float64 {
	observed, reach := int64(0), int64(0)
	var sizes []int64
	for _, d := range differences {
		observed += d
		if d != 0 {
			sizes = append(sizes, max(d, -d))
			reach += max(d, -d)
		}
	}
	if 2*reach+1 <= exactStates {
		return exactFlips(sizes, observed, reach)
	}
	atMost := 1 // the observed assignment is one of them
	for range randomFlips {
		sum := int64(0)
		for _, s := range sizes {
			sum += s * (int64(rng.Uint32()&1)*2 - 1)
		}
		if sum <= observed {
			atMost++
		}
	}
	return float64(atMost) / (randomFlips + 1)
}

// exactFlips adds the sizes one after the other to the distribution of the sum, which is kept
// shifted by reach.
func exactFlips(sizes []int64, observed, reach int64) float64 {
	p := make([]float64, 2*reach+1)
	next := make([]float64, 2*reach+1)
	p[reach] = 1
	within := int64(0) // how far from 0 a sum can be so far
	for _, s := range sizes {
		clear(next[reach-within-s : reach+within+s+1])
		for sum := -within; sum <= within; sum++ {
			half := p[reach+sum] / 2
			next[reach+sum-s] += half
			next[reach+sum+s] += half
		}
		within += s
		p, next = next, p
	}
	total := 0.0
	for sum := -reach; sum <= observed; sum++ {
		total += p[reach+sum]
	}
	return min(1, total)
}
