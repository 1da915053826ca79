package slack

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/technoshare/commentator/internal/commentator"
)

// Standing is what Slack says of a bot token.
type Standing struct {
	Team, User string
	Scopes     []string  // what the app may do; nil when Slack does not say
	At         time.Time // when Slack answered, by its own clock, in whole seconds; zero when it does not say
}

// Standing asks who the app is. It changes nothing.
func (h *History) Standing(ctx context.Context) (Standing, error) {
	var answer struct {
		Team string `json:"team"`
		User string `json:"user"`
	}
	header, err := h.ask(ctx, "auth.test", "", url.Values{}, &answer)
	if err != nil {
		return Standing{}, err
	}
	s := Standing{Team: answer.Team, User: answer.User, At: answeredAt(header)}
	for scope := range strings.SplitSeq(header.Get("X-OAuth-Scopes"), ",") {
		if scope = strings.TrimSpace(scope); scope != "" {
			s.Scopes = append(s.Scopes, scope)
		}
	}
	return s, nil
}

// ErrTooManySockets is Slack's answer to a connection of Socket Mode beyond the tenth.
var ErrTooManySockets = errors.New("the app has as many connections of Socket Mode as Slack allows")

// OtherSockets is how many connections of Socket Mode the app has, by Slack's greeting on one
// that is opened for that, is not counted, and is closed at once. An event that Slack sends over
// it in that moment is not acknowledged: Slack sends it again over another one.
func OtherSockets(ctx context.Context, cfg SocketsConfig) (int, error) {
	options := []slack.Option{
		slack.OptionAppLevelToken(cfg.AppToken),
		slack.OptionHTTPClient(&http.Client{Transport: cfg.Transport, Timeout: 20 * time.Second}),
	}
	if cfg.APIURL != "" {
		options = append(options, slack.OptionAPIURL(cfg.APIURL))
	}
	ctx, cancel := context.WithCancel(ctx)
	client := socketmode.New(slack.New("", options...), socketmode.OptionReadLimit(socketReadLimit))
	ended := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { ended <- client.RunContext(ctx) })
	n, err := greeted(ctx, client, ended)
	cancel()
	running.Wait()
	return n, err
}

var errEnded = errors.New("the connection ended before Slack greeted")

func greeted(ctx context.Context, client *socketmode.Client, ended <-chan error) (int, error) {
	opened := 0
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case err := <-ended:
			if err == nil {
				err = errEnded
			}
			return 0, errors.Join(errEnded, appTokenError(err))
		case event := <-client.Events:
			switch event.Type {
			case socketmode.EventTypeHello:
				return max(0, event.Request.NumConnections-1), nil
			case socketmode.EventTypeConnecting:
				if opened++; opened > 1 { // it was open, and ended without a greeting
					return 0, ErrTooManySockets
				}
			case socketmode.EventTypeConnectionError:
				if failed, ok := event.Data.(*slack.ConnectionErrorEvent); ok {
					return 0, appTokenError(failed.ErrorObj)
				}
			case socketmode.EventTypeInvalidAuth:
				return 0, appTokenError(slack.SlackErrorResponse{Err: "invalid_auth"})
			}
		}
	}
}

func appTokenError(err error) error {
	if refusedToken(err) {
		return &commentator.Error{Code: "slack_app_token", Final: true, Err: err, Message: "Slack refuses SLACK_APP_TOKEN"}
	}
	return withoutURL(err)
}
