package stats

import "math"

// SampleSize is the number of pairs with which a true drop of the given effect is found with the
// given power by a one-sided test at α, when the differences have this variance:
// ((z(1-α) + z(power)) / effect)² · variance.
// (statsmodels: NormalIndPower's formula for one sample, which is what paired data are.)
func SampleSize(effect, variance, alpha, power float64) int {
	z := Normal(1-alpha) + Normal(power)
	return int(math.Ceil(z * z * variance / (effect * effect)))
}

// Untouched is the least number of examples of which a change that breaks the given share of all
// links touches none with a probability of at most miss: (1-share)^n ≤ miss. With fewer, a
// sample that shows no difference proves little.
func Untouched(share, miss float64) int {
	return int(math.Ceil(math.Log(miss) / math.Log(1-share)))
}
