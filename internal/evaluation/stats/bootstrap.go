package stats

import (
	"math/rand/v2"
	"slices"
)

// BootstrapMeans is the bootstrap distribution of the mean: the means of samples as large as the
// given one, drawn from it with replacement, sorted. Of paired data the values are the
// differences of the pairs, so that a pair is never torn apart; of repeated examples they are
// those of whole examples, since repetitions of one example say less than other examples would.
func BootstrapMeans(values []float64, resamples int, rng *rand.Rand) []float64 {
	if len(values) == 0 {
		return nil
	}
	means := make([]float64, resamples)
	if slices.Min(values) == slices.Max(values) { // so is every mean
		for i := range means {
			means[i] = values[0]
		}
		return means
	}
	n := uint32(len(values)) // examples, some hundreds
	for i := range means {
		sum := 0.0
		for range values {
			sum += values[rng.Uint32N(n)]
		}
		means[i] = sum / float64(n)
	}
	slices.Sort(means)
	return means
}

// Percentile is the percentile interval of a bootstrap distribution, sorted, at a two-sided
// level. (scipy.stats.bootstrap with method "percentile".)
func Percentile(means []float64, level float64) Interval {
	tail := (1 - level) / 2
	return Interval{Quantile(means, tail), Quantile(means, 1-tail)}
}
