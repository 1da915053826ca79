// Package decimal makes numbers that people read out of sums of floating-point numbers.
package decimal

import "strconv"

// digits is how many a float64 keeps of every decimal number: DBL_DIG of C.
const digits = 15

// Round returns the number that is written with 15 digits: 0.03069 for 0.030690000000000002.
func Round(x float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	if err != nil { // rounded beyond the largest
		return x
	}
	return rounded
}
