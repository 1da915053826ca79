package compare

import (
	"errors"
	"math"
	"math/rand/v2"

	"github.com/technoshare/commentator/internal/evaluation/stats"
)

// Share of a population: a beta distribution and how much of the population it is.
type component struct{ weight, a, b float64 }

// Typical is a population like that of a comment writer that does well: most links always work, a
// fifth fail now and then, some are a matter of luck, a few never work. Its pass rate is 0.89.
func Typical(rng *rand.Rand) float64 {
	at := rng.Float64()
	for _, c := range typical {
		if at -= c.weight; at < 0 {
			return beta(c.a, c.b, rng)
		}
	}
	return 1
}

var typical = []component{{0.70, 60, 1}, {0.20, 8, 2}, {0.07, 2, 2}, {0.03, 1, 9}}

// Like is the population that samples of one dataset were drawn from, as far as they tell: an
// example of them, with a probability that its own tries and those of the others leave open (an
// empirical Bayes estimate, beta-binomial, by moments). Taking the observed rates themselves
// would make examples that passed three times of three pass always, and the noise too small.
func Like(samples ...*Sample) (Population, error) {
	type counts struct{ passed, counted int }
	of := map[string]*counts{}
	var order []*counts // so that the same samples give the same draws
	repeated := false
	for _, s := range samples {
		for _, e := range s.Examples {
			key := e.ID + "\n" + e.Hash
			if of[key] == nil {
				of[key] = &counts{}
				order = append(order, of[key])
			}
			of[key].passed += e.Passed
			of[key].counted += e.Counted
		}
	}
	var rates, within []float64
	var known []counts
	for _, c := range order {
		if c.counted == 0 {
			continue
		}
		known = append(known, *c)
		n := float64(c.counted)
		p := float64(c.passed) / n
		rates = append(rates, p)
		if c.counted > 1 {
			repeated = true
			within = append(within, p*(1-p)/(n-1)) // unbiased variance of p itself
		}
	}
	if !repeated {
		return nil, errors.New("no example was tried more than once, so that nothing tells noise from difference: use --repetitions with `commentator eval run`, or give more than one result")
	}
	a, b := fit(stats.Mean(rates), stats.Variance(rates)-stats.Mean(within))
	return func(rng *rand.Rand) float64 {
		c := known[rng.IntN(len(known))]
		return beta(a+float64(c.passed), b+float64(c.counted-c.passed), rng)
	}, nil
}

// fit gives the beta distribution of a mean and a variance. Its weight, in tries, is kept between
// a fifth of one, when examples either pass always or never, and a thousand, when they are alike.
func fit(mean, variance float64) (a, b float64) {
	mean = min(max(mean, 0.005), 0.995) // nothing is certain
	weight := 1000.0
	if variance > 0 {
		weight = min(max(mean*(1-mean)/variance-1, 0.2), weight)
	}
	return mean * weight, (1 - mean) * weight
}

// beta draws from a beta distribution as the share of one of two gamma variables.
func beta(a, b float64, rng *rand.Rand) float64 {
	x, y := gamma(a, rng), gamma(b, rng)
	if x+y == 0 { // both parameters tiny: it is one end or the other
		if rng.Float64() < a/(a+b) {
			return 1
		}
		return 0
	}
	return x / (x + y)
}

// gamma draws from a gamma distribution of scale 1 (G. Marsaglia and W. W. Tsang, 2000).
func gamma(shape float64, rng *rand.Rand) float64 {
	if shape < 1 {
		return gamma(shape+1, rng) * math.Pow(rng.Float64(), 1/shape)
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := rng.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-rng.Float64()) < 0.5*x*x+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
