package stats

import "math"

// Wilson is the score interval of a proportion: successes of n trials, at a two-sided level such
// as 0.95. Successes may be a fraction: of examples that were repeated, each is one trial and
// counts as the share of its repetitions that passed. The variance of such a share is never above
// that of a single trial, so that the interval is not too narrow.
// (E. B. Wilson, 1927; statsmodels: proportion_confint with method "wilson".)
func Wilson(successes float64, n int, level float64) Interval {
	if n == 0 {
		return Interval{0, 1}
	}
	z := Normal(1 - (1-level)/2)
	total := float64(n)
	p := successes / total
	scale := 1 + z*z/total
	centre := (p + z*z/(2*total)) / scale
	half := z / scale * math.Sqrt(p*(1-p)/total+z*z/(4*total*total))
	return Interval{max(0, centre-half), min(1, centre+half)}
}
