package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// lookback is a time span of the command line: a Go duration, or days as 90d.
type lookback time.Duration

// UnmarshalText reads the span.
func (l *lookback) UnmarshalText(text []byte) error {
	s := string(text)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is no time span; write 90d, 24h or 30m", s)
		}
		*l = lookback(time.Duration(n) * 24 * time.Hour) //nolint:gosec // at most 65535 days
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no time span; write 90d, 24h or 30m", s)
	}
	*l = lookback(d)
	return nil
}

// Duration is the span as the standard library has it.
func (l lookback) Duration() time.Duration { return time.Duration(l) }
