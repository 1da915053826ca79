package slack

import (
	"context"
	"errors"
	"time"

	"github.com/slack-go/slack"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/pause"
)

// eventType names the metadata of our messages.
const eventType = "technoshare_comment"

// mark is what a message's metadata says of it: which part of which job's comment it is.
type mark struct {
	store string
	job   int64
	part  int
}

func (k mark) metadata() slack.SlackMetadata {
	return slack.SlackMetadata{EventType: eventType, EventPayload: map[string]any{
		"store_id": k.store, "job_id": k.job, "part": k.part,
	}}
}

// isOn reports whether a message from Slack bears the mark. Numbers come back as JSON's.
func (k mark) isOn(m slack.SlackMetadata) bool {
	return m.EventType == eventType && m.EventPayload["store_id"] == k.store &&
		m.EventPayload["job_id"] == float64(k.job) && m.EventPayload["part"] == float64(k.part)
}

// visibleAfter is how long after a post conversations.replies may not show it yet. Slack gives no
// figure for it. The fake of the tests takes 2 s, and this is more than twice that. Who errs here
// doubles a comment, and who waits too long loses seconds after a crash or a lost answer.
const visibleAfter = 5 * time.Second

// settled is when a request that was asked for at a time is in the thread or never will be: its
// process may live and send it until the request's timeout is over.
func (a *API) settled(asked time.Time) time.Time {
	latest := time.Now().Add(a.timeout + visibleAfter) // the clock may have been set back meanwhile
	if at := asked.Add(a.timeout + visibleAfter); at.Before(latest) {
		return at
	}
	return latest
}

// errThreadGone: the message that began the thread is gone, and all replies with it. A reply that
// was asked for meanwhile stands in the channel if anywhere.
var errThreadGone = errors.New("the thread is gone")

// find searches a thread for the message with a mark and returns its timestamp. It looks at once
// and then less and less often; "", or errThreadGone, is the word of a search that began when all
// was settled.
func (a *API) find(ctx context.Context, k mark, channel, thread string, settled time.Time) (string, error) {
	for gap := time.Second; ; gap = min(2*gap, 4*time.Second) {
		left := time.Until(settled)
		ts, err := a.search(ctx, k, channel, thread)
		if err != nil && !errors.Is(err, errThreadGone) || ts != "" || left <= 0 {
			return ts, err
		}
		if err := pause.For(ctx, min(gap, left)); err != nil {
			return "", err
		}
	}
}

// gone are Slack's words for a thread, or a message, that is not there.
var gone = map[string]bool{"thread_not_found": true, "message_not_found": true}

// search looks through a thread once.
func (a *API) search(ctx context.Context, k mark, channel, thread string) (string, error) {
	for cursor := ""; ; {
		var messages []slack.Message
		next := ""
		err := a.call(ctx, methodReplies, channel, func(ctx context.Context) (err error) {
			messages, _, next, err = a.client.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{
				ChannelID: channel, Timestamp: thread, Cursor: cursor, Limit: 200, IncludeAllMetadata: true,
			})
			return err
		})
		if gone[slackCode(err)] {
			return "", errThreadGone
		}
		if err != nil {
			return "", searchError(err)
		}
		for _, m := range messages {
			if k.isOn(m.Metadata) {
				return m.Timestamp, nil
			}
		}
		if next == "" {
			return "", nil
		}
		cursor = next
	}
}

// searchError adds to an error what it means here.
func searchError(err error) error {
	var e *commentator.Error
	if !errors.As(err, &e) || !e.Final {
		return err
	}
	explained := *e
	explained.Message += " (an earlier attempt may have posted the comment, so the thread must be read before it is posted again; the app needs channels:history, or groups:history in a private channel)"
	return &explained
}
