package decimal

import (
	"math"
	"testing"
)

func TestRound(t *testing.T) {
	tenth, fifth := 0.1, 0.2
	for in, want := range map[float64]float64{
		tenth + fifth: 0.3, 0.030690000000000002: 0.03069, 0.0008449499999999999: 0.00084495, 0.0017678099999999999: 0.00176781,
		0: 0, -1.5: -1.5, 1795889130.676: 1795889130.676, 123456789012345: 123456789012345, 1e300: 1e300,
		math.MaxFloat64: math.MaxFloat64, math.Inf(-1): math.Inf(-1), math.SmallestNonzeroFloat64: math.SmallestNonzeroFloat64,
	} {
		if got := Round(in); got != want {
			t.Errorf("Round(%v) = %v, want %v", in, got, want)
		}
	}
	if !math.IsNaN(Round(math.NaN())) {
		t.Error("a number that is none became one")
	}
}
