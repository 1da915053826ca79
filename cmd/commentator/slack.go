package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/intake"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
)

// maxMessages is how many messages Slack gives at a time.
const maxMessages = 999

type slackCommand struct {
	Messages slackMessagesCommand `cmd:"" help:"Print the newest messages of a channel as the worker reads them."`
}

type slackMessagesCommand struct {
	Channel string `help:"Id of the channel. Default: TECHNOSHARE_CHANNEL_ID, when it names one."`
	Limit   int    `default:"20" help:"At most so many, up to 999."`
	Parse   bool   `help:"Also say what would become of each message if it came now, and which of its links have jobs or would have."`
	JSON    bool   `name:"json" help:"Print one JSON object per message."`
}

// slackMessage is the JSON of a message.
type slackMessage struct {
	Channel string   `json:"channel"`
	TS      string   `json:"ts"`
	Thread  string   `json:"thread_ts,omitempty"`
	User    string   `json:"user"`
	Text    string   `json:"text"`
	Outcome string   `json:"outcome,omitempty"` // with --parse
	Links   []string `json:"links,omitempty"`   // with --parse, those that have jobs or would have

	Prospects []prospect `json:"link_outcomes,omitempty"` // with --parse, of all links
}

// prospect is the JSON of what has become of a link, or what would.
type prospect struct {
	URL     string `json:"url"`
	Outcome string `json:"outcome"`              // job, cooldown, over_limit or no_job
	Job     int64  `json:"job_id,omitempty"`     // its job, or with cooldown that of its page; absent when it is still to come
	TS      string `json:"message_ts,omitempty"` // with cooldown, the message that is to have that job
	text    string // for people
}

// Run prints messages, the oldest first. It reads Slack and changes nothing.
func (c *slackMessagesCommand) Run(ctx context.Context, a *app) (err error) {
	if c.Limit < 1 || c.Limit > maxMessages {
		return usageError{fmt.Errorf("--limit must be from 1 to %d", maxMessages)}
	}
	channel := c.Channel
	if channel == "" {
		if len(a.cfg.Channels) != 1 {
			return usageError{errors.New("name the channel: --channel C0123456789, or set TECHNOSHARE_CHANNEL_ID to one")}
		}
		channel = a.cfg.Channels[0]
	}
	history, err := a.history()
	if err != nil {
		return err
	}
	page, err := history.Page(ctx, slack.Range{Channel: channel, Limit: c.Limit})
	if err != nil {
		return err
	}
	var in *intake.Onlooker
	if c.Parse {
		db := a.jobsForLooking(ctx)
		if db != nil {
			defer func() { err = errors.Join(err, db.Close()) }()
		}
		in = a.onlooker(ctx, history).Onlooker(db)
	}
	encoder := plainjson.Lines(a.stdout)
	for _, p := range page.Messages {
		m := slackMessage{Channel: p.Channel, TS: p.TS, Thread: p.ThreadTS, User: p.User, Text: p.Text}
		if c.Parse {
			if err := m.parse(ctx, a, in, p); err != nil {
				return err
			}
		}
		if c.JSON {
			err = encoder.Encode(m)
		} else {
			_, err = fmt.Fprint(a.stdout, m)
		}
		if err != nil {
			return err
		}
	}
	if page.Unread > 0 {
		fmt.Fprintf(a.stderr, "warning: %s cannot be read\n", counted.Of(page.Unread, "message"))
	}
	return nil
}

// String is the message for people.
func (m slackMessage) String() string {
	var b strings.Builder
	at := m.TS
	if t, err := commentator.ParseTS(m.TS); err == nil {
		at += " " + t.Format(time.DateTime)
	}
	fmt.Fprintf(&b, "%s %s\n", at, m.User)
	for line := range strings.SplitSeq(m.Text, "\n") {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	if m.Outcome != "" {
		fmt.Fprintf(&b, "  → %s\n", m.Outcome)
	}
	for _, link := range m.Prospects {
		fmt.Fprintf(&b, "  → %s\n", link.text)
	}
	return b.String()
}

// parse says what would become of the message.
func (m *slackMessage) parse(ctx context.Context, a *app, in *intake.Onlooker, p slack.Posted) error {
	outcome, links, err := in.Look(ctx, p)
	if err != nil {
		return err
	}
	m.Outcome = string(outcome)
	for _, link := range links {
		if link.Outcome == intake.LinkJob {
			m.Links = append(m.Links, link.URL)
		}
		text := cmp.Or(link.URL, "no link")
		if why := a.because(link); why != "" {
			text += " (" + why + ")"
		}
		m.Prospects = append(m.Prospects, prospect{URL: link.URL, Outcome: link.Outcome, Job: link.Job, TS: link.TS, text: text})
	}
	return nil
}

// because says of a link which job it has, or why it has none; "" when it would become one.
func (a *app) because(link intake.Prospect) string {
	switch {
	case link.Outcome == intake.LinkOverLimit && a.cfg.LinkPolicy == "first":
		return "not the first, LINK_POLICY"
	case link.Outcome == intake.LinkOverLimit:
		return "over MAX_LINKS_PER_MESSAGE"
	case link.Outcome == intake.LinkNoJob:
		return "no job: the message came before"
	case link.Outcome == intake.LinkCooldown && link.Job == 0:
		return "cooldown: commented on with message " + link.TS
	case link.Outcome == intake.LinkCooldown:
		return fmt.Sprintf("cooldown: commented on as job %d", link.Job)
	case link.Job != 0:
		return fmt.Sprintf("job %d", link.Job)
	}
	return ""
}

// jobsForLooking opens the job database for reading; nil when there is none, or none that can be
// used: messages are shown without it.
func (a *app) jobsForLooking(ctx context.Context) *store.ReadOnly {
	db, err := store.OpenReadOnly(ctx, a.cfg.Database())
	if err == nil {
		if err = db.Current(ctx); err == nil {
			return db
		}
		err = errors.Join(err, db.Close())
	}
	if !errors.Is(err, store.ErrNoDatabase) {
		fmt.Fprintln(a.stderr, "warning: what has become of links is not known without the job database:", a.redactor.Text(err.Error()))
	}
	return nil
}

// history reads channels of Slack.
func (a *app) history() (*slack.History, error) {
	if a.cfg.SlackBotToken == "" {
		return nil, usageError{errors.New("set SLACK_BOT_TOKEN to read messages of Slack")}
	}
	return slack.NewHistory(slack.HistoryConfig{Token: a.cfg.SlackBotToken, APIURL: a.cfg.SlackAPIURL}), nil
}

// intakeConfig is how messages become jobs by the settings.
func intakeConfig(c config.Config) intake.Config {
	return intake.Config{
		Channels: c.Channels, MaxLinks: c.MaxLinks, FirstOnly: c.LinkPolicy == "first", Cooldown: c.LinkCooldown,
		TrackNoURLs: c.TrackNoURLs, ThreadReplies: c.ThreadReplies, Now: time.Now,
	}
}

// onlooker is an intake that can only say what would become of messages, in any channel. It
// knows the app's own messages if Slack says as whom the app writes.
func (a *app) onlooker(ctx context.Context, who intake.Identity) *intake.Intake {
	cfg := intakeConfig(a.cfg)
	cfg.Channels, cfg.Logger = nil, a.log
	in := intake.New(cfg)
	user, err := who.Identity(ctx)
	if err != nil {
		a.log.WarnContext(ctx, "Slack does not say as whom this app writes", "err", err)
	}
	in.AddOwn(user)
	return in
}
