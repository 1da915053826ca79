package stats

import "math"

// Normal is the quantile of the standard normal distribution: the z with P(Z ≤ z) = p.
func Normal(p float64) float64 {
	return math.Sqrt2 * math.Erfinv(2*p-1)
}
