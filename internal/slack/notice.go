package slack

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/technoshare/commentator/internal/commentator"
)

// Notices is the memory of the failures that people are to be told of; package store implements
// it.
type Notices interface {
	// NoticesDue returns the jobs whose notice is not known to have been given.
	NoticesDue(ctx context.Context) ([]int64, error)
	// Notice returns the notice of one of them; false: it was given, or is not wanted any more.
	Notice(ctx context.Context, jobID int64) (commentator.Notice, bool, error)
	// AskToNotify notes that a notice is about to be asked for. Its error forbids to ask.
	AskToNotify(ctx context.Context, r commentator.Reply, at time.Time) error
	// Posted notes that a notice is given.
	Posted(ctx context.Context, jobID int64, part int, replyTS string, at time.Time) (string, error)
}

// NotifierConfig configures a Notifier.
type NotifierConfig struct {
	API     *API
	Notices Notices
	// Reaction is the name of an emoji that goes on the message, such as "warning". Empty: Render
	// makes a reply in the thread.
	Reaction string
	Render   func(commentator.Job) commentator.RenderedMessage
	// Every is the time between two looks for notices that other processes left. 0: none works
	// on the same jobs.
	Every  time.Duration
	Logger *slog.Logger // default: nothing is logged
}

// Notifier tells people in Slack of jobs that ended without a comment, once for each job. The
// transaction that ends a job notes that a notice is due, so that none is lost with the process.
type Notifier struct {
	cfg  NotifierConfig
	wake chan struct{}

	mu  sync.Mutex
	due map[int64]attempt // by job

	// Run's own.
	open    []int64        // the jobs whose notices were due at the last look
	givenUp map[int64]bool // those of them that were tried for long enough
}

// attempt is the next attempt at a notice.
type attempt struct {
	at       time.Time
	failures int
}

// noticeBackoff is the wait after each failure. After the last one the notice waits for the next
// start of the program.
var noticeBackoff = []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute}

// NewNotifier returns a Notifier.
func NewNotifier(cfg NotifierConfig) *Notifier {
	cfg.Logger = orSilent(cfg.Logger)
	return &Notifier{cfg: cfg, wake: make(chan struct{}, 1), due: map[int64]attempt{}, givenUp: map[int64]bool{}}
}

// Tell says that the notice of a job is due. It never waits.
func (n *Notifier) Tell(jobID int64) {
	n.mu.Lock()
	n.due[jobID] = attempt{at: time.Now()}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default: // Run has not noticed the last one yet
	}
}

// Run gives the notices that are due, also those that another process left, until ctx ends.
func (n *Notifier) Run(ctx context.Context) {
	n.look(ctx)
	for _, jobID := range n.open {
		n.Tell(jobID)
	}
	var again <-chan time.Time
	if n.cfg.Every > 0 {
		t := time.NewTicker(n.cfg.Every)
		defer t.Stop()
		again = t.C
	}
	for ctx.Err() == nil {
		jobID, wait := n.next()
		if jobID != 0 {
			n.attempt(ctx, jobID)
			continue
		}
		select {
		case <-ctx.Done():
		case <-n.wake:
		case <-time.After(wait):
		case <-again:
			n.takeOver(ctx)
		}
	}
}

// look reads what is due.
func (n *Notifier) look(ctx context.Context) {
	open, err := n.cfg.Notices.NoticesDue(ctx)
	if err != nil {
		if ctx.Err() == nil {
			n.cfg.Logger.WarnContext(ctx, "look for failures that nobody was told of", "err", err)
		}
		return
	}
	n.open = open
	maps.DeleteFunc(n.givenUp, func(jobID int64, _ bool) bool { return !slices.Contains(open, jobID) })
}

// takeOver gives the notices that were due at the look before too: whoever was to give them may
// be gone. If not, AskToNotify keeps the two apart.
func (n *Notifier) takeOver(ctx context.Context) {
	before := n.open
	n.look(ctx)
	for _, jobID := range n.open {
		n.mu.Lock()
		_, ours := n.due[jobID]
		n.mu.Unlock()
		if !ours && !n.givenUp[jobID] && slices.Contains(before, jobID) {
			n.Tell(jobID)
		}
	}
}

// next returns a job whose notice is due, or 0 and how long there is none.
func (n *Notifier) next() (int64, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	wait := time.Hour
	for jobID, a := range n.due {
		left := time.Until(a.at)
		if left <= 0 {
			return jobID, 0
		}
		wait = min(wait, left)
	}
	return 0, wait
}

func (n *Notifier) attempt(ctx context.Context, jobID int64) {
	err := n.give(ctx, jobID)
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.due[jobID]
	delete(n.due, jobID)
	if err == nil || ctx.Err() != nil {
		return
	}
	log := n.cfg.Logger.With("job", jobID, "error", commentator.ErrorCode(err), "err", err)
	if commentator.IsFinal(err) || a.failures >= len(noticeBackoff) {
		log.WarnContext(ctx, "people are not told of a failure")
		n.givenUp[jobID] = true
		return
	}
	log.WarnContext(ctx, "people are told of a failure later")
	n.due[jobID] = attempt{time.Now().Add(noticeBackoff[a.failures]), a.failures + 1}
}

// give gives one notice.
func (n *Notifier) give(ctx context.Context, jobID int64) error {
	notice, open, err := n.cfg.Notices.Notice(ctx, jobID)
	if err != nil || !open {
		return err
	}
	ts := ""
	switch {
	case !channelID.MatchString(notice.Channel): // not from Slack
	case n.cfg.Reaction != "":
		err = n.react(ctx, notice)
	default:
		ts, err = n.reply(ctx, notice)
	}
	if err != nil && !commentator.IsFinal(err) {
		return err
	}
	// What Slack refuses for good is given up.
	_, noted := n.cfg.Notices.Posted(context.WithoutCancel(ctx), jobID, commentator.PartNotice, ts, time.Now())
	return errors.Join(err, noted)
}

// react puts the emoji on the message. It may be there: of an attempt whose answer was lost, or
// for another link of the message.
func (n *Notifier) react(ctx context.Context, notice commentator.Notice) error {
	item := slack.NewRefToMessage(notice.Channel, notice.Message.TS)
	err := n.cfg.API.call(ctx, methodReact, notice.Channel, func(ctx context.Context) error {
		return n.cfg.API.client.AddReactionContext(ctx, n.cfg.Reaction, item)
	})
	if code := slackCode(err); code == "already_reacted" || gone[code] {
		return nil
	}
	return err
}

// reply posts the notice, unless an earlier request has.
func (n *Notifier) reply(ctx context.Context, notice commentator.Notice) (string, error) {
	api, k := n.cfg.API, mark{notice.Job.StoreID, notice.JobID, commentator.PartNotice}
	if notice.Attempt > 0 {
		ts, err := api.find(ctx, k, notice.Channel, notice.ThreadTS, api.settled(notice.AskedAt))
		if errors.Is(err, errThreadGone) {
			return "", nil // nobody is there to be told
		}
		if err != nil || ts != "" {
			return ts, err
		}
	}
	ts := ""
	err := api.call(ctx, methodPost, notice.Channel, func(ctx context.Context) error {
		err := n.cfg.Notices.AskToNotify(ctx, notice.Reply, time.Now())
		if err != nil {
			return ours{err}
		}
		notice.Attempt++
		ts, err = api.post(ctx, k, notice.Channel, notice.ThreadTS, n.cfg.Render(notice.Job))
		return err
	})
	if errors.Is(err, errNoThread) {
		return "", api.takeBack(ctx, notice.Channel, ts)
	}
	return ts, err
}
