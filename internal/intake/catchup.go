package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/pause"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
)

const (
	catchUpEvery  = 10 * time.Minute // between two looks at the history while all goes well
	catchUpWindow = time.Hour        // of the history is read as a whole before the cursor moves
	catchUpPage   = 200              // messages a request, as Slack recommends

	// settled is how old a message is that the history surely shows.
	settled = time.Minute
)

// History reads the messages of a channel.
type History interface {
	Page(ctx context.Context, r slack.Range) (slack.Page, error)
}

// CatchUpConfig configures a CatchUp. All fields are required.
type CatchUpConfig struct {
	Intake  *Intake
	Store   *store.Store
	History History
	// Channels are the ids of the channels that are watched. Empty: those that the database
	// knows.
	Channels []string
	// MaxAge bounds how old a message may be that is fetched. Above 0.
	MaxAge time.Duration
	Now    func() time.Time
	Logger *slog.Logger
}

// CatchUp fetches messages that nobody delivered: while no worker ran, while no connection
// was open, or because Slack gave up. It reads the history of each channel at the start, then
// every ten minutes and whenever it is asked to.
//
// The cursor of a channel, channels.seen_ts, moves with each hour of history that was read
// whole and written. What Slack delivers meanwhile never moves it, because it comes in any
// order; read again, it is known. So nothing between is left out, and after a crash the
// reading goes on where the cursor is. Behind messages that were removed (HISTORY_KEEP) it moves
// too: what is older than those is not fetched. A minute before now, by the slower of our clock and
// Slack's, is always read again: the history shows a message some time after it was written.
type CatchUp struct {
	cfg   CatchUpConfig
	again chan struct{}
	// caughtUp is called by tests after each round.
	caughtUp func()
}

// NewCatchUp returns a CatchUp.
func NewCatchUp(cfg CatchUpConfig) *CatchUp {
	return &CatchUp{cfg: cfg, again: make(chan struct{}, 1), caughtUp: func() {}}
}

// Again asks for another look at the history.
func (c *CatchUp) Again() {
	select {
	case c.again <- struct{}{}:
	default: // it is asked for already
	}
}

// Run catches up until ctx ends.
func (c *CatchUp) Run(ctx context.Context) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 2*time.Second, catchUpEvery
	for ctx.Err() == nil {
		wait := catchUpEvery
		if err := c.round(ctx); err == nil {
			pauses.Reset()
			c.caughtUp()
		} else if ctx.Err() == nil {
			wait = pauses.NextBackOff()
			c.cfg.Logger.WarnContext(ctx, "missed messages cannot be fetched", "err", err, "again_in", wait.String())
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-c.again:
		}
		timer.Stop()
	}
}

// round reads the history of all channels. What is wrong with one does not keep the others
// from being read.
func (c *CatchUp) round(ctx context.Context) error {
	channels := c.cfg.Channels
	if len(channels) == 0 {
		var err error
		if channels, err = c.cfg.Store.Channels(ctx); err != nil {
			return err
		}
	}
	var errs []error
	for _, channel := range channels {
		if err := c.channel(ctx, channel); err != nil {
			errs = append(errs, fmt.Errorf("channel %s: %w", channel, err))
		}
	}
	return errors.Join(errs...)
}

// channel reads a channel's history from its cursor up to now.
func (c *CatchUp) channel(ctx context.Context, channel string) error {
	seen, err := c.cfg.Store.Seen(ctx, channel)
	if err != nil {
		return err
	}
	now := c.cfg.Now()
	from, err := commentator.ParseTS(seen)
	if err != nil {
		return c.cfg.Store.SetSeen(ctx, channel, commentator.TS(now), now)
	}
	if oldest := now.Add(-c.cfg.MaxAge); from.Before(oldest) {
		c.cfg.Logger.WarnContext(ctx, "messages that are older than BACKFILL_MAX_AGE are not fetched", "channel", channel, "from", from, "to", oldest)
		from = oldest
	}
	for from.Before(now) {
		to := from.Add(catchUpWindow)
		if to.After(now) {
			to = now
		}
		answered, err := c.window(ctx, channel, from, to)
		if err != nil {
			return err
		}
		known := to
		// By Slack's clock, if that is behind ours: what it writes next must not be known.
		for _, clock := range []time.Time{now, answered} {
			if youngest := clock.Add(-settled); !clock.IsZero() && known.After(youngest) {
				known = youngest
			}
		}
		if err := c.cfg.Store.SetSeen(ctx, channel, commentator.TS(known), now); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// window reads a channel's history between two times, both included, and returns when Slack
// answered first, by its clock.
func (c *CatchUp) window(ctx context.Context, channel string, from, to time.Time) (answered time.Time, err error) {
	r := slack.Range{Channel: channel, Oldest: commentator.TS(from), Latest: commentator.TS(to), Limit: catchUpPage}
	for {
		page, err := c.page(ctx, r)
		if err != nil {
			return answered, err
		}
		if answered.IsZero() {
			answered = page.At // the first page has the newest messages
		}
		for _, p := range page.Messages {
			if err := c.cfg.Intake.Posted(ctx, p); err != nil {
				return answered, err
			}
		}
		for range page.Unread {
			c.cfg.Intake.count(ctx, Tally{Source: slack.SourceHistory, Outcome: Malformed})
		}
		if page.Next == "" {
			return answered, nil
		}
		r.Cursor = page.Next
	}
}

// page asks for a page as often as Slack asks to wait.
func (c *CatchUp) page(ctx context.Context, r slack.Range) (slack.Page, error) {
	for {
		page, err := c.cfg.History.Page(ctx, r)
		var limited *slack.RateLimited
		if !errors.As(err, &limited) {
			return page, err
		}
		c.cfg.Logger.DebugContext(ctx, "Slack limits the history", "channel", r.Channel, "wait", limited.After.String())
		if err := pause.For(ctx, limited.After); err != nil {
			return slack.Page{}, err
		}
	}
}

var _ History = (*slack.History)(nil)
