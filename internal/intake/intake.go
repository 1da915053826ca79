package intake

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

// Config configures an Intake.
type Config struct {
	// Store is the job database, and Enqueue puts a job into its queue. Required.
	Store   *store.Store
	Enqueue store.Enqueue
	// Telemetry records the end of jobs that are taken back, and counts. Nil: off.
	Telemetry *telemetry.Provider

	// Channels are the ids of the channels that are watched. Empty: all that Slack delivers.
	Channels []string
	// MaxLinks is how many links of a message become jobs. At least 1.
	MaxLinks int
	// FirstOnly makes a job of a message's first link only, whatever MaxLinks says.
	FirstOnly bool
	// Cooldown is for how long a page is not commented on again in its channel. 0: not at all.
	Cooldown time.Duration
	// TrackNoURLs makes a job of a message without a link too.
	TrackNoURLs bool
	// ThreadReplies takes replies in threads like other messages.
	ThreadReplies bool

	// React is told of each reaction in the channels; it may come more than once and in any
	// order. After an error Slack sends it again. Nil: reactions are counted only.
	React func(ctx context.Context, r commentator.Reaction) error

	// Now is the time at which messages are received. Required.
	Now func() time.Time
	// Logger is told what became of messages, without their texts. Required.
	Logger *slog.Logger
}

// Intake takes what Slack sends. It is safe for concurrent use.
type Intake struct {
	cfg    Config
	rules  store.Rules
	counts counts

	mu      sync.Mutex
	own     []string        // users as whom this app writes
	started map[string]bool // channels whose beginning is in the database
}

var _ slack.Sink = (*Intake)(nil)

// New returns an Intake.
func New(cfg Config) *Intake {
	in := &Intake{cfg: cfg, started: map[string]bool{}}
	in.rules = store.Rules{
		Links: in.links, Limit: cfg.MaxLinks, Cooldown: cfg.Cooldown, Enqueue: cfg.Enqueue,
		Decide: cfg.Telemetry.Decide, Started: cfg.Telemetry.JobStarted, Ended: cfg.Telemetry.JobEnded,
	}
	if cfg.FirstOnly {
		in.rules.Limit = 1
	}
	return in
}

// Start lets channels that are new in the database begin now: what was written before is not
// commented on. Nothing may be delivered before it returns.
func (in *Intake) Start(ctx context.Context) error {
	now := in.cfg.Now()
	for _, channel := range in.cfg.Channels {
		if err := in.startChannel(ctx, channel, commentator.TS(now)); err != nil {
			return fmt.Errorf("start intake: %w", err)
		}
	}
	return nil
}

// startChannel lets a channel begin at ts unless it has begun.
func (in *Intake) startChannel(ctx context.Context, channel, ts string) error {
	in.mu.Lock()
	done := in.started[channel]
	in.mu.Unlock()
	if done {
		return nil
	}
	if err := in.cfg.Store.StartChannel(ctx, channel, ts, in.cfg.Now()); err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.started[channel] = true
	return nil
}

// AddOwn says that this app writes as a Slack user. Most messages of apps say that they are;
// those of some servers that stand in for Slack don't.
func (in *Intake) AddOwn(user string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if user != "" && !slices.Contains(in.own, user) {
		in.own = append(in.own, user)
	}
}

func (in *Intake) isOwn(user string, bots []string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return user != "" && (slices.Contains(in.own, user) || slices.Contains(bots, user))
}

// Counts returns how many events of each kind came since the start of the process.
func (in *Intake) Counts() map[Tally]int64 { return in.counts.all() }

func (in *Intake) count(ctx context.Context, t Tally) {
	in.counts.add(t)
	in.cfg.Telemetry.SlackEvent(ctx, string(t.Outcome), string(t.Source), t.Retry)
}

// Refused counts what was turned away before it was read.
func (in *Intake) Refused(ctx context.Context, s slack.Source, why slack.Refusal, retry bool) {
	in.count(ctx, Tally{Source: s, Outcome: Outcome(why), Retry: retry})
	in.cfg.Logger.DebugContext(ctx, "request refused", "source", s, "reason", why)
}

// links returns the links of a text, and for a text without one what stands for it.
func (in *Intake) links(text string) []store.Link {
	var links []store.Link
	for _, link := range slack.Links(text, math.MaxInt) {
		links = append(links, store.Link{URL: link, Key: slack.LinkKey(link)})
	}
	if len(links) == 0 && in.cfg.TrackNoURLs && strings.TrimSpace(text) != "" {
		links = append(links, store.Link{})
	}
	return links
}

// watches reports whether a channel is watched.
func (in *Intake) watches(channel string) bool {
	return len(in.cfg.Channels) == 0 || slices.Contains(in.cfg.Channels, channel)
}

// refusal returns why a message is not commented on, or "". Bots are the users as whom its
// envelope says that this app is installed.
func (in *Intake) refusal(p slack.Posted, bots []string) Outcome {
	switch {
	case !in.watches(p.Channel):
		return OtherChannel
	case in.isOwn(p.User, bots):
		return Own
	case p.Bot:
		return Bot
	case !p.Written():
		return Notice
	case p.ThreadTS != "" && !p.Broadcast() && !in.cfg.ThreadReplies:
		return ThreadReply
	}
	return ""
}
