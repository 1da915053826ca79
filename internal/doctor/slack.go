package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/slack"
)

const slackToken = "slack-token"

var slackProbes = []Probe{
	{
		ID: slackToken, Title: "Slack's bot token",
		About: "auth.test: the token is refused, or Slack cannot be reached or has trouble (fail).",
		run:   probeToken,
	},
	{
		ID: "slack-scopes", Title: "What the Slack app may do",
		About: "The scopes in the answer to auth.test: one that is needed is missing (fail), or one that only some messages need (warn).",
		Needs: []string{slackToken}, run: probeScopes,
	},
	{
		ID: "slack-channels", Title: "Channels that are watched",
		About: "One message of each channel of TECHNOSHARE_CHANNEL_ID is asked for: no such channel, or the app is not in it (fail).",
		Needs: []string{slackToken}, run: probeChannels,
	},
	{
		ID: "slack-sockets", Title: "Connections of Socket Mode",
		About: "A connection is opened and closed at once, and Slack's greeting tells how many others there are: the app token is refused, or a worker runs and none is open (fail); others than this worker's, which take events away from it, or a bot token without a way to receive events (warn).",
		run:   probeSockets,
	},
}

func (p *Patient) slackHistory() *slack.History {
	return slack.NewHistory(slack.HistoryConfig{Token: p.Config.SlackBotToken, APIURL: p.Config.SlackAPIURL, Transport: p.Transport})
}

func probeToken(ctx context.Context, p *Patient) Finding {
	if p.Config.SlackBotToken == "" {
		return skip("there is no SLACK_BOT_TOKEN: comments stay in the job database")
	}
	s, err := p.slackHistory().Standing(ctx)
	if err == nil {
		return ok("it is %s in the workspace %s", s.User, s.Team)
	}
	return slackFailure(err, "Comments are not posted, and messages that were missed are not fetched.",
		"Copy the bot token (xoxb-…) anew from the app's page OAuth & Permissions into SLACK_BOT_TOKEN.")
}

// wayToSlack is what to do when it is not Slack that refuses.
const wayToSlack = "Look at the way out of this network (a proxy, a firewall) and at SLACK_API_URL; slack-status.com tells of outages."

// slackFailure tells a refusal from a Slack that cannot be reached, or has trouble.
func slackFailure(err error, means, fix string) Finding {
	if !slack.Refused(err) {
		fix = wayToSlack
	}
	return Finding{Status: Fail, Found: err.Error(), Means: means, Fix: fix}
}

func probeScopes(ctx context.Context, p *Patient) Finding {
	s, err := p.slackHistory().Standing(ctx)
	if err != nil {
		return skip("%v", err)
	}
	if len(s.Scopes) == 0 {
		return skip("Slack does not say what the app may do")
	}
	has := func(scope string) bool { return slices.Contains(s.Scopes, scope) }
	var missing, part []string
	if !has("chat:write") {
		missing = append(missing, "chat:write (post comments)")
	}
	switch public, private := has("channels:history"), has("groups:history"); {
	case !public && !private:
		missing = append(missing, "channels:history or groups:history (read messages)")
	case !private:
		part = append(part, "groups:history (messages of private channels)")
	case !public:
		part = append(part, "channels:history (messages of public channels)")
	}
	if !has("reactions:read") {
		part = append(part, "reactions:read (verdicts by reactions)")
	}
	if p.Config.FailureNotice == config.NoticeReaction && !has("reactions:write") {
		missing = append(missing, "reactions:write (FAILURE_NOTICE=reaction)")
	}
	f := Finding{
		Means: "What needs these scopes is refused by Slack, or never arrives.",
		Fix:   "Add them on the app's page OAuth & Permissions (deploy/slack/manifest.json has all), and install the app again.",
	}
	switch {
	case len(missing) > 0:
		f.Status, f.Found = Fail, "the app lacks "+joined(append(missing, part...))
	case len(part) > 0:
		f.Status, f.Found = Warn, "the app lacks "+joined(part)
	default:
		return ok("the app may %s", joined(s.Scopes))
	}
	return f
}

func probeChannels(ctx context.Context, p *Patient) Finding {
	if len(p.Config.Channels) == 0 {
		return skip("no channel is named: messages of any channel that the app is in are commented on")
	}
	var wrong, fixes []string
	const invite = "Invite the app to the channel (/invite @…), or correct TECHNOSHARE_CHANNEL_ID: the id is at the bottom of the channel's details."
	for _, id := range p.Config.Channels {
		if _, err := p.slackHistory().Page(ctx, slack.Range{Channel: id, Limit: 1}); err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %v", id, err))
			fix := invite
			if !slack.Refused(err) {
				fix = wayToSlack
			}
			if !slices.Contains(fixes, fix) {
				fixes = append(fixes, fix)
			}
		}
	}
	if len(wrong) > 0 {
		return Finding{
			Status: Fail, Found: strings.Join(wrong, "\n"),
			Means: "Links in these channels get no comment.",
			Fix:   strings.Join(fixes, " "),
		}
	}
	return ok("the app reads %s", joined(p.Config.Channels))
}

// socketsOfAWorker is how many connections a worker keeps. Slack renews each of them now and
// then, and for that time there is one more.
const socketsOfAWorker = 2

func probeSockets(ctx context.Context, p *Patient) Finding {
	if p.Config.PostsOnly() {
		return Finding{
			Status: Warn, Found: config.NothingReceived,
			Means: "Links that people share get no comment, unless another worker of the same database receives them.",
			Fix:   "Set SLACK_APP_TOKEN to the app-level token (xapp-…, scope connections:write) of the app's page Basic Information, or SLACK_SIGNING_SECRET to the secret there, and start the worker anew.",
		}
	}
	if p.Config.SlackAppToken == "" {
		return skip("there is no SLACK_APP_TOKEN: Socket Mode is not used")
	}
	others, err := slack.OtherSockets(ctx, slack.SocketsConfig{AppToken: p.Config.SlackAppToken, APIURL: p.Config.SlackAPIURL, Transport: p.Transport})
	if errors.Is(err, slack.ErrTooManySockets) {
		return Finding{
			Status: Fail, Found: err.Error(),
			Means: "No further one is taken, and events go to all of them by turns.", Fix: "End the programs that use the same app token, or give them an app of their own.",
		}
	}
	if err != nil {
		return slackFailure(err, "Nothing arrives from Slack.",
			"Make an app-level token (xapp-…) with the scope connections:write on the app's page Basic Information, set SLACK_APP_TOKEN to it, and switch Socket Mode on.")
	}
	n, err := p.workers(ctx)
	if err != nil {
		return skip("%d are open; whether a worker runs does not show: %v", others, err)
	}
	expected := n * socketsOfAWorker
	found := fmt.Sprintf("%d are open, and %s here", others, running(n))
	wrote := "a connection, closed at once"
	switch {
	case n > 0 && others == 0:
		return Finding{
			Status: Fail, Found: found, Wrote: wrote, Means: "Nothing arrives from Slack over Socket Mode.",
			Fix: "Look at the worker's log; if it was started without SLACK_APP_TOKEN, start it anew.",
		}
	case others > expected+n:
		return Finding{
			Status: Warn, Found: found, Wrote: wrote,
			Means: "Slack sends each event over one of them. What another program takes, such as the old deployment or a colleague's worker, gets no comment here.",
			Fix:   "End the other program, or give it an app of its own. Workers on other hosts have to share one PostgreSQL database.",
		}
	}
	return Finding{Status: OK, Found: found, Wrote: wrote}
}
