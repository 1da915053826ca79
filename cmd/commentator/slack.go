package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/intake"
	"github.com/technoshare/commentator/internal/slack"
)

// maxMessages is how many messages Slack gives at a time.
const maxMessages = 999

type slackCommand struct {
	Messages slackMessagesCommand `cmd:"" help:"Print the newest messages of a channel as the worker reads them."`
}

type slackMessagesCommand struct {
	Channel string `help:"Id of the channel. Default: TECHNOSHARE_CHANNEL_ID, when it names one."`
	Limit   int    `default:"20" help:"At most so many, up to 999."`
	Parse   bool   `help:"Also say what would become of each message, and which of its links would become jobs."`
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
	Links   []string `json:"links,omitempty"`   // with --parse
}

// Run prints messages, the oldest first. It reads Slack and changes nothing.
func (c *slackMessagesCommand) Run(ctx context.Context, a *app) error {
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
	in := a.onlooker(ctx, history)
	encoder := json.NewEncoder(a.stdout)
	encoder.SetEscapeHTML(false)
	for _, p := range page.Messages {
		m := slackMessage{Channel: p.Channel, TS: p.TS, Thread: p.ThreadTS, User: p.User, Text: p.Text}
		if c.Parse {
			outcome, links := in.Look(p)
			m.Outcome = string(outcome)
			for _, link := range links {
				m.Links = append(m.Links, link.URL)
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
		fmt.Fprintf(a.stderr, "warning: %d messages cannot be read\n", page.Unread)
	}
	return nil
}

// String is the message for people.
func (m slackMessage) String() string {
	var b strings.Builder
	at := m.TS
	if t, ok := slack.Time(m.TS); ok {
		at += " " + t.Format(time.DateTime)
	}
	fmt.Fprintf(&b, "%s %s\n", at, m.User)
	for line := range strings.SplitSeq(m.Text, "\n") {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	if m.Outcome != "" {
		fmt.Fprintf(&b, "  → %s\n", m.Outcome)
	}
	for _, link := range m.Links {
		fmt.Fprintf(&b, "  → %s\n", link)
	}
	return b.String()
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
