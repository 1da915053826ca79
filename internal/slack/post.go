package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/slack-go/slack"

	"github.com/technoshare/commentator/internal/commentator"
)

// Deliveries: what became of a comment.
const (
	DeliverySlack = "slack" // a reply in the thread
	DeliveryStore = "store" // kept in the job database, as the result of the last stage
	DeliveryPrint = "print" // printed by replay
)

// payload is the request body of chat.postMessage.
type payload struct {
	Channel     string `json:"channel"`
	ThreadTS    string `json:"thread_ts"`
	Text        string `json:"text"`
	Mrkdwn      bool   `json:"mrkdwn"`
	UnfurlLinks bool   `json:"unfurl_links"`
	UnfurlMedia bool   `json:"unfurl_media"`
}

func newPost(delivery string, m commentator.Message, text string) (commentator.Post, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(payload{Channel: m.Channel, ThreadTS: m.Thread(), Text: text, Mrkdwn: true}); err != nil {
		return commentator.Post{}, fmt.Errorf("encode payload: %w", err)
	}
	return commentator.Post{
		Delivery: delivery, Channel: m.Channel, ThreadTS: m.Thread(), Text: text, Payload: body.Bytes(),
	}, nil
}

// Keeper delivers nothing: the comment stays in the result of the stage, for replay to
// print or for the database to keep. Its value is the delivery that it reports.
type Keeper string

var _ commentator.Poster = Keeper(DeliveryStore)

// Post returns what would have been sent.
func (k Keeper) Post(_ context.Context, _ commentator.Job, m commentator.Message, text string) (commentator.Post, error) {
	return newPost(string(k), m, text)
}

// PosterConfig configures a Poster.
type PosterConfig struct {
	// Token is the bot token, xoxb-….
	Token string
	// APIURL is Slack's Web API, ending in a slash. Default: Slack's own.
	APIURL string
	// Transport carries the requests. Default: http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout bounds one request. Default 20 s.
	Timeout time.Duration
}

// Poster replies in the message's thread. A message that did not come from Slack (`replay
// --enqueue URL`) is kept as by Keeper(DeliveryStore).
type Poster struct {
	client  *slack.Client
	timeout time.Duration
}

var _ commentator.Poster = (*Poster)(nil)

// NewPoster returns a Poster.
func NewPoster(cfg PosterConfig) *Poster {
	if cfg.Timeout == 0 {
		cfg.Timeout = 20 * time.Second
	}
	// No retry option: slack-go would repeat a post whose answer was lost.
	options := []slack.Option{slack.OptionHTTPClient(&http.Client{Transport: cfg.Transport})}
	if cfg.APIURL != "" {
		options = append(options, slack.OptionAPIURL(cfg.APIURL))
	}
	return &Poster{client: slack.New(cfg.Token, options...), timeout: cfg.Timeout}
}

// channelID matches ids of Slack channels, private groups and direct messages.
var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{6,}$`)

// Post sends the comment once. An error is final unless Slack is known not to have taken it:
// repeating a post whose answer was lost could put the comment into the thread twice.
func (p *Poster) Post(ctx context.Context, j commentator.Job, m commentator.Message, text string) (commentator.Post, error) {
	if !channelID.MatchString(m.Channel) {
		return Keeper(DeliveryStore).Post(ctx, j, m, text)
	}
	post, err := newPost(DeliverySlack, m, text)
	if err != nil {
		return commentator.Post{}, err
	}
	// A Client.Timeout would take a goroutine and a timer of its own with a wrapped transport.
	limited, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	_, ts, err := p.client.PostMessageContext(limited, m.Channel,
		slack.MsgOptionTS(m.Thread()),
		slack.MsgOptionText(text, false),
		slack.MsgOptionDisableLinkUnfurl(), // mrkdwn is Slack's default for text
		slack.MsgOptionDisableMediaUnfurl(),
	)
	if err != nil {
		return commentator.Post{}, postError(m, err)
	}
	post.ReplyTS = ts
	return post, nil
}

// passing are the errors of Slack that a later attempt may not meet.
var passing = map[string]bool{"ratelimited": true, "rate_limited": true, "internal_error": true, "service_unavailable": true, "fatal_error": true, "request_timeout": true}

func postError(m commentator.Message, err error) error {
	var answer slack.SlackErrorResponse
	var limited *slack.RateLimitedError
	var status slack.StatusCodeError
	var dial *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &limited):
		return &commentator.Error{Code: "slack_ratelimited", Message: "Slack asks to post later", Err: err}
	case errors.As(err, &answer):
		return &commentator.Error{
			Code: "slack_" + answer.Err, Final: !passing[answer.Err],
			Message: fmt.Sprintf("Slack refused the comment for channel %s; see https://docs.slack.dev/reference/methods/chat.postMessage#errors", m.Channel), Err: err,
		}
	case errors.As(err, &dns), errors.As(err, &dial) && dial.Op == "dial":
		return &commentator.Error{Code: "slack_unreachable", Message: "Slack cannot be reached", Err: withoutURL(err)}
	case errors.As(err, &status) && status.Code < 500:
		return &commentator.Error{Code: fmt.Sprintf("slack_http_%d", status.Code), Final: true, Message: "Slack refused the request", Err: err}
	}
	return &commentator.Error{
		Code: "slack_answer_lost", Final: true, Err: withoutURL(err),
		Message: fmt.Sprintf("Slack's answer was lost, the comment may or may not be in channel %s; look there before you repeat the job", m.Channel),
	}
}

// withoutURL keeps the address, whose query may hold a token, out of messages.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
