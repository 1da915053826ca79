// Package feedback turns the reactions that people put on replies into verdicts on jobs: a
// row of the job database and, in the same transaction, a message to the bridge.
package feedback

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

// What becomes of a reaction, as feedback.reaction.count says it.
const (
	OutcomeVerdict   = "verdict"    // it changed what the person says of the comment
	OutcomeUnchanged = "unchanged"  // it is known, or older than what is, or says the same
	OutcomeNoReply   = "no_reply"   // it is on no reply of ours
	OutcomeNoVerdict = "no_verdict" // it says neither yes nor no
	OutcomeMalformed = "malformed"  // it has no time, or no person
)

// Config configures a Feedback. Store is required.
type Config struct {
	Store     *store.Store
	Telemetry *telemetry.Provider // nil: off
	// Up and Down are the names of the reactions that say yes and no, without colons.
	Up, Down []string
	// Logger is told of each reaction, for people who look for one. Default: nobody is.
	Logger *slog.Logger
}

// Feedback takes reactions. It is safe for concurrent use.
type Feedback struct {
	Config
	values map[string]int
}

// New returns a Feedback.
func New(cfg Config) *Feedback {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Feedback{Config: cfg, values: map[string]int{}}
	for _, name := range cfg.Up {
		f.values[plain(name)] = commentator.VerdictUp
	}
	for _, name := range cfg.Down {
		f.values[plain(name)] = commentator.VerdictDown
	}
	return f
}

// React takes a reaction that somebody put on a message or took away. One that means nothing
// to us is counted and is no error: an error means that it was not recorded, and may be
// delivered again.
func (f *Feedback) React(ctx context.Context, r commentator.Reaction) error {
	outcome, err := f.react(ctx, r)
	if err != nil {
		return err
	}
	f.Telemetry.FeedbackSeen(outcome)
	f.Logger.DebugContext(ctx, "reaction", "channel", r.Channel, "message", r.MessageTS, "reaction", r.Name, "added", r.Added, "outcome", outcome)
	return nil
}

func (f *Feedback) react(ctx context.Context, r commentator.Reaction) (outcome string, err error) {
	r.Name = plain(r.Name)
	value, known := f.values[r.Name]
	if !known {
		return OutcomeNoVerdict, nil
	}
	if r.User == "" || r.Channel == "" || r.MessageTS == "" {
		return OutcomeMalformed, nil
	}
	changed, err := f.Store.React(ctx, r, value, f.Telemetry.Feedback)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return OutcomeNoReply, nil
	case commentator.ErrorCode(err) == "invalid_event_time":
		return OutcomeMalformed, nil
	case err != nil:
		return "", err
	case !changed:
		return OutcomeUnchanged, nil
	}
	f.Telemetry.Notify()
	return OutcomeVerdict, nil
}

// plain is the name of a reaction without colons and skin tone: "+1" of ":+1::skin-tone-3:".
func plain(name string) string {
	name, _, _ = strings.Cut(strings.Trim(strings.TrimSpace(name), ":"), "::")
	return name
}
