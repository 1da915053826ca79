package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/intake"
	"github.com/technoshare/commentator/internal/slack"
)

// latestPage is how many messages of a channel are searched for one with a link.
const latestPage = 100

// latest reads the newest message of the watched channels that would be commented on.
func (c *replayCommand) latest(ctx context.Context, a *app, now time.Time) (commentator.Message, []string, error) {
	none := commentator.Message{}
	switch {
	case c.Event != "" || len(c.URLs) > 0 || c.Again:
		return none, nil, usageError{errors.New("--latest takes no links, no --event and no --again")}
	case len(a.cfg.Channels) == 0:
		return none, nil, usageError{errors.New("set TECHNOSHARE_CHANNEL_ID to the channel whose newest message is meant")}
	}
	history, err := a.history()
	if err != nil {
		return none, nil, err
	}
	in := a.onlooker(ctx, history)
	var newest slack.Posted
	var links []string
	for _, channel := range a.cfg.Channels {
		page, err := history.Page(ctx, slack.Range{Channel: channel, Limit: latestPage})
		if err != nil {
			return none, nil, err
		}
		for _, p := range page.Messages {
			outcome, found := in.Look(p)
			if outcome != intake.Accepted || found[0].URL == "" || strings.Compare(p.TS, newest.TS) <= 0 {
				continue
			}
			newest, links = p, nil
			for _, link := range found {
				links = append(links, link.URL)
			}
		}
	}
	if newest.TS == "" {
		return none, nil, fmt.Errorf("the newest %d messages of %s hold no link to comment on", latestPage, strings.Join(a.cfg.Channels, ", "))
	}
	newest.ReceivedAt = now
	fmt.Fprintf(a.stderr, "message %s of channel %s\n", newest.TS, newest.Channel)
	return newest.Message, links, nil
}
