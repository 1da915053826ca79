package intake

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/slack"
)

// limitedIdentity is a Slack that asks once to be asked later.
type limitedIdentity struct {
	after time.Duration
	asked []time.Time
}

func (l *limitedIdentity) Identity(context.Context) (string, error) {
	if l.asked = append(l.asked, time.Now()); len(l.asked) == 1 {
		return "", &commentator.Error{Code: "slack_ratelimited", Message: "Slack limits auth.test", Err: &slack.RateLimited{After: l.after}}
	}
	return "U0BOT", nil
}

func TestWhoTheAppIsIsAskedWhenSlackSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := New(Config{MaxLinks: 1, Logger: slog.New(slog.DiscardHandler)})
		who := &limitedIdentity{after: 10 * time.Minute}
		if err := in.Introduce(t.Context(), who); err != nil {
			t.Fatal(err)
		}
		if wait := who.asked[1].Sub(who.asked[0]); len(who.asked) != 2 || wait < who.after || !in.isOwn("U0BOT", nil) {
			t.Errorf("asked %d times, again after %v", len(who.asked), wait)
		}
	})
}
