package lookback

import (
	"strings"
	"testing"
)

func TestDaysAndDurationsAreAges(t *testing.T) {
	for text, hours := range map[string]float64{"90d": 2160, "1d": 24, "24h": 24, "36h": 36, "30m": 0.5, "0d": 0} {
		var a Age
		if err := a.UnmarshalText([]byte(text)); err != nil || a.Duration().Hours() != hours {
			t.Errorf("%s is %v, %v", text, a.Duration(), err)
		}
	}
	for _, text := range []string{"", "d", "90", "-1d", "-1h", "1w", "1.5d", "3 weeks"} {
		var a Age
		if err := a.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "want days such as 7d, or hours and minutes such as 36h or 1h30m") {
			t.Errorf("%q is taken for %v, %v", text, a.Duration(), err)
		}
	}
}
