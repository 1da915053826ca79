package main

import (
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/retention"
)

// lookback is a time span of the command line: a Go duration, or days as 90d.
type lookback time.Duration

// UnmarshalText reads the span.
func (l *lookback) UnmarshalText(text []byte) error {
	d, err := retention.ParseAge(string(text))
	if err == nil && d < 0 {
		err = fmt.Errorf("%q is before nothing: want 7d or 24h", text)
	}
	*l = lookback(d)
	return err
}

// Duration is the span as the standard library has it.
func (l lookback) Duration() time.Duration { return time.Duration(l) }
