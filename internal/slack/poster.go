package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/slack-go/slack"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/pause"
)

// Posts is the memory of what Slack was asked for; package store implements it.
type Posts interface {
	// AskToPost notes that a part of a job's comment is about to be asked for. Its error forbids
	// to ask. A reply with a timestamp is there already.
	AskToPost(ctx context.Context, j commentator.Job, part int, channel, thread string, at time.Time) (commentator.Reply, error)
	// Posted notes a reply that Slack has taken and returns the timestamp that counts.
	Posted(ctx context.Context, jobID int64, part int, replyTS string, at time.Time) (string, error)
	// Replies returns what Slack was asked for on behalf of a job.
	Replies(ctx context.Context, jobID int64) ([]commentator.Reply, error)
}

// PosterConfig configures a Poster. All fields but Logger are required.
type PosterConfig struct {
	API    *API
	Posts  Posts
	Logger *slog.Logger // default: nothing is logged
}

// Poster replies in the message's thread, once. A message that did not come from Slack (`replay
// --enqueue URL`) is kept as by Keeper(DeliveryStore).
//
// Before a request the job database says that the reply is asked for, in a transaction that only
// the attempt which owns the job can make. When an earlier request may have been taken, because
// its answer was lost or its process died, the thread is searched for the job in the messages'
// metadata before anybody asks again.
type Poster struct {
	api   *API
	posts Posts
	log   *slog.Logger
}

var _ commentator.Poster = (*Poster)(nil)

// NewPoster returns a Poster.
func NewPoster(cfg PosterConfig) *Poster {
	return &Poster{api: cfg.API, posts: cfg.Posts, log: orSilent(cfg.Logger)}
}

func orSilent(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// Post sends what of the comment is not in Slack yet. An error that is not final may be tried
// again at any time, by anybody who owns the job: no message is doubled by it.
func (p *Poster) Post(ctx context.Context, j commentator.Job, m commentator.Message, r commentator.Rendered) (commentator.Post, error) {
	if !channelID.MatchString(m.Channel) {
		return Keeper(DeliveryStore).Post(ctx, j, m, r)
	}
	post, err := newPost(DeliverySlack, m, r)
	if err != nil {
		return commentator.Post{}, err
	}
	before, err := p.posts.Replies(ctx, j.ID)
	if err != nil {
		return commentator.Post{}, err
	}
	asked := map[int]commentator.Reply{}
	for _, reply := range before {
		asked[reply.Part] = reply
	}
	for i, message := range r.Messages {
		ts, err := p.part(ctx, mark{j.StoreID, j.ID, i}, j, m, message, asked[i])
		if err != nil {
			return commentator.Post{}, err
		}
		if i == 0 {
			post.ReplyTS = ts
		} else {
			post.MoreTS = append(post.MoreTS, ts)
		}
	}
	return post, nil
}

// part returns the timestamp of one message of a comment, after it has been sent if it was not
// there. before is zero when nobody has asked for it.
func (p *Poster) part(ctx context.Context, k mark, j commentator.Job, m commentator.Message, message commentator.RenderedMessage, before commentator.Reply) (string, error) {
	if before.ReplyTS != "" {
		return before.ReplyTS, nil
	}
	if !before.AskedAt.IsZero() {
		ts, err := p.api.find(ctx, k, m.Channel, m.Thread(), p.api.settled(before.AskedAt))
		if errors.Is(err, errThreadGone) {
			return "", p.withdrawn(ctx, j)
		}
		if err != nil {
			return "", err
		}
		if ts != "" {
			p.log.InfoContext(ctx, "an earlier attempt has posted this comment", "job", j.ID, "part", k.part)
			return p.posted(ctx, k, m.Channel, ts)
		}
	}
	ts := ""
	err := p.api.call(ctx, methodPost, m.Channel, func(ctx context.Context) error {
		reply, err := p.posts.AskToPost(ctx, j, k.part, m.Channel, m.Thread(), time.Now())
		if err != nil {
			return ours{err}
		}
		if ts = reply.ReplyTS; ts != "" {
			return nil
		}
		ts, err = p.api.post(ctx, k, m.Channel, m.Thread(), message)
		return err
	})
	if errors.Is(err, errNoThread) {
		if err := p.api.takeBack(ctx, m.Channel, ts); err != nil {
			return "", err
		}
		p.log.InfoContext(ctx, "a comment is deleted, since its message is gone", "job", j.ID, "reply", ts)
		return "", commentator.ErrWithdrawn
	}
	if commentator.ErrorCode(err) == CodeAnswerLost && ctx.Err() == nil {
		// Slack may have taken it all the same: to know that here saves an attempt.
		found, findErr := p.api.find(ctx, k, m.Channel, m.Thread(), time.Now().Add(visibleAfter))
		if errors.Is(findErr, errThreadGone) {
			return "", p.withdrawn(ctx, j)
		}
		if findErr != nil || found == "" {
			return "", err
		}
		ts, err = found, nil
	}
	if err != nil {
		return "", err
	}
	return p.posted(ctx, k, m.Channel, ts)
}

// withdrawn ends a job whose message is gone, though its comment was asked for. To ask again would
// put the comment into the channel, where the first one may stand: no thread shows it.
func (p *Poster) withdrawn(ctx context.Context, j commentator.Job) error {
	p.log.WarnContext(ctx, "a comment that was asked for is given up, since its message is gone; if Slack took it, it stands in the channel", "job", j.ID)
	return commentator.ErrWithdrawn
}

// posted notes a message and returns the timestamp of the one that counts. When another attempt
// has posted the same, which takes a process that slept between its question and its request,
// this message is deleted again.
func (p *Poster) posted(ctx context.Context, k mark, channel, ts string) (string, error) {
	ctx = context.WithoutCancel(ctx) // what Slack has taken is noted, even when the worker is asked to stop
	first, err := p.posts.Posted(ctx, k.job, k.part, ts, time.Now())
	if err != nil {
		return "", err
	}
	if first != ts {
		err := p.api.delete(ctx, channel, ts)
		p.log.WarnContext(ctx, "another attempt has posted this comment too; this one is deleted", "job", k.job, "part", k.part, "err", err)
	}
	return first, nil
}

// takeBack deletes a reply to a message that is gone, of which Slack has not told yet. Nobody may
// post such a reply again, which no look into the thread would find: its error is final.
func (a *API) takeBack(ctx context.Context, channel, ts string) (err error) {
	ctx = context.WithoutCancel(ctx)
	for gap := time.Second; gap < 20*time.Second; gap *= 2 {
		if err = a.delete(ctx, channel, ts); err == nil || gone[slackCode(err)] {
			return nil
		}
		_ = pause.For(ctx, gap) // ends by its time alone
	}
	return &commentator.Error{
		Code: codeNotTakenBack, Final: true, Err: fmt.Errorf("%w: %w", commentator.ErrNotTakenBack, err),
		Message: fmt.Sprintf("A reply to a message that is gone stands in channel %s at %s; delete it there", channel, ts),
	}
}

// post sends one message.
func (a *API) post(ctx context.Context, k mark, channel, thread string, message commentator.RenderedMessage) (string, error) {
	blocks, err := rawBlocks(message.Blocks)
	if err != nil {
		return "", ours{err}
	}
	_, ts, posted, err := a.client.PostMessageWithResponseContext(ctx, channel,
		slack.MsgOptionTS(thread),
		slack.MsgOptionText(message.Text, false), // it is escaped; mrkdwn is Slack's default
		slack.MsgOptionBlocks(blocks...),
		slack.MsgOptionMetadata(k.metadata()),
		slack.MsgOptionDisableLinkUnfurl(),
		slack.MsgOptionDisableMediaUnfurl(),
	)
	switch {
	case err != nil:
	case ts == "":
		err = errNoAnswer
	case posted.Timestamp != "" && posted.ThreadTimestamp == "":
		err = ours{errNoThread}
	}
	return ts, err
}

// errNoThread: the message that began the thread is gone, and Slack, which does not refuse such a
// reply, has posted it into the channel.
var errNoThread = errors.New("the reply stands in the channel")

func (a *API) delete(ctx context.Context, channel, ts string) error {
	return a.call(ctx, methodDelete, channel, func(ctx context.Context) error {
		_, _, err := a.client.DeleteMessageContext(ctx, channel, ts)
		return err
	})
}

// rawBlock is a block as it was rendered.
type rawBlock struct {
	json.RawMessage
	kind slack.MessageBlockType
}

func (b rawBlock) BlockType() slack.MessageBlockType { return b.kind }
func (rawBlock) ID() string                          { return "" }

func rawBlocks(array json.RawMessage) ([]slack.Block, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(array, &list); err != nil {
		return nil, fmt.Errorf("read rendered blocks: %w", err)
	}
	blocks := make([]slack.Block, len(list))
	for i, raw := range list {
		var head struct {
			Type slack.MessageBlockType `json:"type"`
		}
		if err := json.Unmarshal(raw, &head); err != nil {
			return nil, fmt.Errorf("read rendered block %d: %w", i, err)
		}
		blocks[i] = rawBlock{raw, head.Type}
	}
	return blocks, nil
}
