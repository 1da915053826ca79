package intake

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/pause"
	"github.com/technoshare/commentator/internal/slack"
)

// Identity says as whom the app writes.
type Identity interface {
	Identity(ctx context.Context) (user string, err error)
}

// Introduce asks as whom the app writes until it is told, and remembers it. It returns an
// error when Slack refuses the token.
func (in *Intake) Introduce(ctx context.Context, who Identity) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = time.Second, 5*time.Minute
	for ctx.Err() == nil {
		user, err := who.Identity(ctx)
		if err == nil {
			in.AddOwn(user)
			return nil
		}
		if commentator.IsFinal(err) {
			return err
		}
		wait := pauses.NextBackOff()
		var limited *slack.RateLimited
		if errors.As(err, &limited) {
			wait = max(wait, limited.After)
		}
		in.cfg.Logger.WarnContext(ctx, "Slack does not say as whom this app writes", "err", err, "again_in", wait.String())
		_ = pause.For(ctx, wait) // the loop asks ctx
	}
	return nil
}
