package commentator

import (
	"context"
	"time"
)

type patienceKey struct{}

// WithPatience tells a Retriever for how long a job may still be put off because a site takes no
// more requests for a while.
func WithPatience(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, d)
}

// Patience returns what WithPatience told; without it, and when it is used up, a job may not be put off.
func Patience(ctx context.Context) time.Duration {
	d, _ := ctx.Value(patienceKey{}).(time.Duration)
	return max(0, d)
}
