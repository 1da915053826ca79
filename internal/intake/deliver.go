package intake

import (
	"context"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
)

// Deliver takes an envelope, see slack.Sink.
func (in *Intake) Deliver(ctx context.Context, d slack.Delivery) error {
	outcome, err := in.take(ctx, d)
	in.count(ctx, Tally{Source: d.Source, Outcome: outcome, Retry: d.Retry})
	return err
}

func (in *Intake) take(ctx context.Context, d slack.Delivery) (Outcome, error) {
	e, err := slack.ParseEnvelope(d.Raw, d.ReceivedAt)
	if err != nil {
		in.cfg.Logger.WarnContext(ctx, "Slack sent what cannot be read", "source", d.Source, "err", err)
		return Malformed, err
	}
	var outcome Outcome
	switch e.Kind {
	case slack.KindMessage:
		outcome, err = in.receive(ctx, e.Message, e.Bots)
	case slack.KindEdit:
		outcome, err = in.change(ctx, e.Edit, e.Message, e.Bots)
	case slack.KindReaction:
		outcome, err = in.react(ctx, e.Reaction, e.Bots)
	case slack.KindVerification:
		outcome = Verification
	default:
		outcome = Unknown
	}
	if err != nil {
		return Failed, err
	}
	in.cfg.Logger.DebugContext(ctx, "event of Slack", "type", e.Type, "source", d.Source, "outcome", outcome, "retry", d.Retry)
	return outcome, nil
}

// Posted takes a message that was found in the history of its channel.
func (in *Intake) Posted(ctx context.Context, p slack.Posted) error {
	outcome, err := in.posted(ctx, p)
	if err != nil {
		outcome = Failed
	}
	in.count(ctx, Tally{Source: slack.SourceHistory, Outcome: outcome})
	return err
}

func (in *Intake) posted(ctx context.Context, p slack.Posted) (Outcome, error) {
	edit := commentator.Edit{
		Channel: p.Channel, TS: p.TS, EditTS: p.EditedTS, User: p.User, Text: p.Text, ReceivedAt: p.ReceivedAt,
	}
	switch {
	case p.Gone():
		edit.Deleted, edit.Text = true, ""
		// The mark in its place is Slack's.
		p = slack.Posted{Message: commentator.Message{Channel: p.Channel, TS: p.TS, ThreadTS: p.ThreadTS, ReceivedAt: p.ReceivedAt}}
		return in.change(ctx, edit, p, nil)
	case p.EditedTS != "":
		return in.change(ctx, edit, p, nil)
	}
	return in.receive(ctx, p, nil)
}

// receive takes a new message.
func (in *Intake) receive(ctx context.Context, p slack.Posted, bots []string) (Outcome, error) {
	if why := in.refusal(p, bots); why != "" {
		return why, nil
	}
	if err := in.startChannel(ctx, p.Channel, p.TS); err != nil {
		return Failed, err
	}
	if len(in.links(p.Text)) == 0 {
		return NoLinks, nil
	}
	got, err := in.cfg.Store.Receive(ctx, p.Message, in.rules)
	if err != nil {
		return Failed, err
	}
	if got.Known {
		return Duplicate, nil
	}
	in.report(ctx, "message received", p.Channel, p.TS, got)
	return Accepted, nil
}

// change takes an edit or a deletion.
func (in *Intake) change(ctx context.Context, e commentator.Edit, p slack.Posted, bots []string) (Outcome, error) {
	if why := in.refusal(p, bots); why != "" {
		return why, nil
	}
	if !e.Deleted && e.Before != "" && e.Before == e.Text {
		return Unchanged, nil
	}
	if !e.Deleted { // in a channel that begins with it, the message is an old one
		if err := in.startChannel(ctx, e.Channel, e.EditTS); err != nil {
			return Failed, err
		}
	}
	got, err := in.cfg.Store.Change(ctx, e, p.Message, in.rules)
	switch {
	case err != nil:
		return Failed, err
	case got.Known:
		return Duplicate, nil
	case e.Deleted:
		in.report(ctx, "message deleted", e.Channel, e.TS, got)
		return Deleted, nil
	}
	in.report(ctx, "message edited", e.Channel, e.TS, got)
	return Edited, nil
}

func (in *Intake) react(ctx context.Context, r commentator.Reaction, bots []string) (Outcome, error) {
	switch {
	case !in.watches(r.Channel):
		return OtherChannel, nil
	case in.isOwn(r.User, bots):
		return Own, nil
	case in.cfg.React == nil:
		return Reacted, nil
	}
	return Reacted, in.cfg.React(ctx, r)
}

// report logs and counts what became of a message's links.
func (in *Intake) report(ctx context.Context, what, channel, ts string, got store.Received) {
	if len(got.Withdrawn) > 0 {
		in.cfg.Telemetry.Notify()
	}
	in.cfg.Telemetry.SlackLinks(ctx, LinkJob, int64(len(got.Jobs)))
	in.cfg.Telemetry.SlackLinks(ctx, LinkCooldown, int64(len(got.Cooled)))
	in.cfg.Telemetry.SlackLinks(ctx, LinkOverLimit, int64(got.OverLimit))
	var jobs []int64
	for _, j := range got.Jobs {
		jobs = append(jobs, j.ID)
	}
	in.cfg.Logger.InfoContext(ctx, what, "channel", channel, "ts", ts, "jobs", jobs, "withdrawn", got.Withdrawn, "over_limit", got.OverLimit)
	for _, link := range got.Cooled {
		in.cfg.Logger.InfoContext(ctx, "link was commented on in this channel not long ago", "channel", channel, "ts", ts, "link", link.URL, "cooldown", in.cfg.Cooldown.String())
	}
}
