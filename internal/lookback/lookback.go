// Package lookback reads how far back people want to look, as the flags of all programs take it.
package lookback

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Parse reads a number of days such as 90d, or a Go duration such as 36h. It is not negative.
func Parse(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no age: want days such as 7d, or hours and minutes such as 36h or 1h30m", s)
	}
	return d, nil
}

// Age is a flag that Parse reads.
type Age time.Duration

// UnmarshalText reads it.
func (a *Age) UnmarshalText(text []byte) error {
	d, err := Parse(string(text))
	*a = Age(d)
	return err
}

// Duration is the age as the standard library has it.
func (a Age) Duration() time.Duration { return time.Duration(a) }
