package slack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/technoshare/commentator/internal/commentator"
)

// The methods of Slack's Web API that are called here.
const (
	methodPost    = "chat.postMessage"
	methodReplies = "conversations.replies"
	methodDelete  = "chat.delete"
	methodReact   = "reactions.add"
)

// Codes of errors that Slack did not name itself; its own have slack_ before them.
const (
	CodeRateLimited = "slack_ratelimited"
	CodeUnreachable = "slack_unreachable"
	CodeAnswerLost  = "slack_answer_lost"

	codeNoJSON       = "slack_answer"
	codeNotTakenBack = "slack_not_taken_back"
)

// APIConfig configures an API.
type APIConfig struct {
	// Token is the bot token, xoxb-….
	Token string
	// APIURL is Slack's Web API, ending in a slash. Default: Slack's own.
	APIURL string
	// Transport carries the requests. Default: http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout bounds one request. Default 10 s. After a crash, it is also how long somebody else
	// waits before he believes that a request is not on its way any more.
	Timeout time.Duration
}

// API calls Slack's Web API, within its rate limits. It is safe for concurrent use; everybody
// who uses a token shares one.
type API struct {
	client  *slack.Client
	timeout time.Duration

	mu    sync.Mutex
	gates map[gateKey]*gate
}

// NewAPI returns an API.
func NewAPI(cfg APIConfig) *API {
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	// No retry option: slack-go would repeat a post whose answer was lost.
	options := []slack.Option{slack.OptionHTTPClient(&http.Client{Transport: cfg.Transport})}
	if cfg.APIURL != "" {
		options = append(options, slack.OptionAPIURL(cfg.APIURL))
	}
	return &API{client: slack.New(cfg.Token, options...), timeout: cfg.Timeout, gates: map[gateKey]*gate{}}
}

// channelID matches ids of Slack channels, private groups and direct messages.
var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{6,}$`)

// maxLimited is how often one call is repeated because Slack asked to wait.
const maxLimited = 5

// call makes one call within Slack's limits: it waits for its turn, and when Slack says 429 for
// as long as Slack says, then do runs again. A wait of more than maxPause ends it with
// CodeRateLimited. Errors of do that do not come from Slack or the network are returned as
// they are.
func (a *API) call(ctx context.Context, method, channel string, do func(ctx context.Context) error) error {
	g := a.gate(method, channel)
	for n := 1; ; n++ {
		if err := g.wait(ctx); err != nil {
			return err
		}
		err := a.once(ctx, do)
		pause, limited := retryAfter(err)
		if !limited {
			return callError(method, channel, err)
		}
		g.pause(pause)
		if n == maxLimited {
			return callError(method, channel, err)
		}
	}
}

func (a *API) once(ctx context.Context, do func(ctx context.Context) error) error {
	// A Client.Timeout would take a goroutine and a timer of its own with a wrapped transport.
	limited, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return do(limited)
}

// defaultPause is kept when Slack does not say how long to wait.
const defaultPause = time.Second

// retryAfter reports whether Slack asks to come back later, and when.
func retryAfter(err error) (time.Duration, bool) {
	var limited *slack.RateLimitedError
	var answer slack.SlackErrorResponse
	var status slack.StatusCodeError
	switch {
	case errors.As(err, &limited):
		return max(limited.RetryAfter, defaultPause), true
	case errors.As(err, &answer) && (answer.Err == "ratelimited" || answer.Err == "rate_limited"),
		errors.As(err, &status) && status.Code == http.StatusTooManyRequests:
		return defaultPause, true
	}
	return 0, false
}

// passing are the errors of Slack that a later attempt may not meet.
var passing = map[string]bool{"internal_error": true, "service_unavailable": true, "fatal_error": true, "request_timeout": true}

// NotTaken reports whether an error with a code says that Slack has taken nothing: it refused, or
// was not asked. After any other, or none, a message may be there.
func NotTaken(code string) bool {
	own, ok := strings.CutPrefix(code, "slack_")
	return ok && code != CodeAnswerLost && code != codeNotTakenBack && !passing[own]
}

// Refused reports whether an error is Slack's own word on what was asked, its token for instance,
// which it gives as JSON. Other errors come from the network, a proxy, or a Slack that has trouble.
func Refused(err error) bool {
	code := commentator.ErrorCode(err)
	own, ok := strings.CutPrefix(code, "slack_")
	switch {
	case !ok, passing[own], strings.HasPrefix(own, "http_"):
		return false
	}
	return code != codeNoJSON && code != CodeRateLimited && code != CodeUnreachable && code != CodeAnswerLost
}

// errNoAnswer is an answer of Slack that says nothing.
var errNoAnswer = errors.New("the answer is neither a success nor an error")

// callError says what a failed call means. It is final when a repetition cannot help.
func callError(method, channel string, err error) error {
	var own ours
	var known *commentator.Error
	var answer slack.SlackErrorResponse
	var status slack.StatusCodeError
	var dial *net.OpError
	var dns *net.DNSError
	if after, limited := retryAfter(err); limited {
		return &commentator.Error{Code: CodeRateLimited, Later: true, After: after, Message: fmt.Sprintf("Slack asks to call %s later", method), Err: err}
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own.error
	case errors.As(err, &known):
		return err
	case errors.As(err, &answer):
		return &commentator.Error{
			Code: "slack_" + answer.Err, Final: !passing[answer.Err], Err: err,
			Message: fmt.Sprintf("Slack refused %s for channel %s%s; see https://docs.slack.dev/reference/methods/%s#errors",
				method, channel, missing(answer), method),
		}
	case errors.As(err, &dns), errors.As(err, &dial) && dial.Op == "dial":
		return &commentator.Error{Code: CodeUnreachable, Message: "Slack cannot be reached", Err: withoutURL(err)}
	case errors.As(err, &status) && status.Code < 500:
		return &commentator.Error{Code: fmt.Sprintf("slack_http_%d", status.Code), Final: true, Message: "Slack refused the request", Err: err}
	}
	return &commentator.Error{
		Code: CodeAnswerLost, Err: withoutURL(err),
		Message: fmt.Sprintf("Slack's answer to %s for channel %s was lost", method, channel),
	}
}

// missing names the scopes that Slack asks for.
func missing(answer slack.SlackErrorResponse) string {
	if answer.Needed == "" {
		return ""
	}
	return " because the app lacks a scope (needed: " + answer.Needed + ")"
}

// ours marks an error of our own that came up during a call, the job database's above all.
type ours struct{ error }

func (o ours) Unwrap() error { return o.error }

// withoutURL keeps the address, whose query may hold a token, out of messages.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// slackCode is Slack's own code of an error, such as message_not_found; empty: not Slack's.
func slackCode(err error) string {
	code, _ := strings.CutPrefix(commentator.ErrorCode(err), "slack_")
	return code
}
