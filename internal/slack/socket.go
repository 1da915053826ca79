package slack

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/pause"
)

const (
	socketRetry     = time.Second // before a connection whose client gave up begins anew
	socketReadLimit = 4 << 20     // bytes of one message
	acknowledgeWait = 5 * time.Second

	// socketBudget is for how long an envelope may be handed over. Slack sends it again after three
	// seconds, and takes a late acknowledgement for one all the same; but all that comes over the
	// connection waits meanwhile.
	socketBudget = 30 * time.Second
)

// SocketsConfig configures a Sockets.
type SocketsConfig struct {
	// AppToken is the app-level token, xapp-…, with the scope connections:write. Required.
	AppToken string
	// APIURL is Slack's Web API, ending in a slash. Default: Slack's own.
	APIURL string
	// Transport carries the requests for addresses of connections. Default:
	// http.DefaultTransport.
	Transport http.RoundTripper
	// Connections is how many are open at a time. Slack closes each of them after some hours,
	// or minutes; the others take over until it is open again. Default 2, at most 10.
	Connections int
	// PingInterval is after how long without a ping of Slack a connection is believed dead.
	// Default 30 s.
	PingInterval time.Duration
	// Sink takes the envelopes. Required.
	Sink Sink
	// Reconnected is called when none was open for a while and one is again: Slack may have
	// given up on what it had to deliver then. Default: nothing.
	Reconnected func()
	// Now is the time at which an envelope came. Default time.Now.
	Now func() time.Time
	// Logger is told of connections. Required.
	Logger *slog.Logger
}

// Sockets receives events over Socket Mode. Slack delivers each event over one of the
// connections; one that it repeats may come over another.
type Sockets struct {
	cfg  SocketsConfig
	api  *slack.Client
	open atomic.Int32
	was  atomic.Bool // one was open before

	mu   sync.Mutex
	down bool // it was said that no connection is open
}

// NewSockets returns a Sockets.
func NewSockets(cfg SocketsConfig) *Sockets {
	if cfg.Connections == 0 {
		cfg.Connections = 2
	}
	if cfg.PingInterval == 0 {
		cfg.PingInterval = 30 * time.Second
	}
	if cfg.Reconnected == nil {
		cfg.Reconnected = func() {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	options := []slack.Option{
		slack.OptionAppLevelToken(cfg.AppToken),
		slack.OptionHTTPClient(&http.Client{Transport: cfg.Transport, Timeout: 20 * time.Second}),
	}
	if cfg.APIURL != "" {
		options = append(options, slack.OptionAPIURL(cfg.APIURL))
	}
	return &Sockets{cfg: cfg, api: slack.New("", options...)}
}

// Open is how many connections are open.
func (s *Sockets) Open() int { return int(s.open.Load()) }

// Run keeps the connections open until ctx ends, and then returns nil. It returns an error
// when Slack refuses the token.
func (s *Sockets) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for range s.cfg.Connections {
		all.Go(func() {
			if err := s.keep(ctx); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// keep keeps one connection open.
func (s *Sockets) keep(ctx context.Context) error {
	for ctx.Err() == nil {
		c := connection{Sockets: s, client: socketmode.New(s.api,
			socketmode.OptionPingInterval(s.cfg.PingInterval), socketmode.OptionReadLimit(socketReadLimit))}
		err := c.run(ctx)
		if refusedToken(err) {
			return &commentator.Error{
				Code: "slack_app_token", Final: true, Err: err,
				Message: "Slack refuses SLACK_APP_TOKEN; make an app-level token with the scope connections:write and switch Socket Mode on",
			}
		}
		if ctx.Err() == nil {
			s.cfg.Logger.WarnContext(ctx, "Socket Mode connection ended", "err", withoutURL(err))
		}
		_ = pause.For(ctx, socketRetry) // the loop asks ctx
	}
	return nil
}

func refusedToken(err error) bool {
	var status slack.StatusCodeError
	if errors.As(err, &status) {
		return status.Code == http.StatusNotFound
	}
	var answer slack.SlackErrorResponse
	return errors.As(err, &answer) && !passing[answer.Err]
}

// connection is one connection. slack-go opens it again when Slack closes it.
type connection struct {
	*Sockets
	client    *socketmode.Client
	giveUp    context.CancelCauseFunc
	connected bool
}

func (c *connection) run(ctx context.Context) error {
	ctx, c.giveUp = context.WithCancelCause(ctx)
	defer c.giveUp(nil)
	ended := make(chan error, 1)
	go func() { ended <- c.client.RunContext(ctx) }()
	defer c.setConnected(ctx, false)
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		case event := <-c.client.Events:
			c.handle(ctx, event)
		}
	}
}

func (c *connection) handle(ctx context.Context, event socketmode.Event) {
	switch event.Type {
	case socketmode.EventTypeConnecting:
		c.setConnected(ctx, false)
	case socketmode.EventTypeConnected:
		c.setConnected(ctx, true)
	case socketmode.EventTypeEventsAPI:
		c.deliver(ctx, event.Request.EnvelopeID, event.Request.Payload, event.Request.RetryAttempt)
	case socketmode.EventTypeInteractive, socketmode.EventTypeSlashCommand:
		c.cfg.Sink.Refused(ctx, SourceSocket, RefusedKind, event.Request.RetryAttempt > 0)
		c.acknowledge(ctx, event.Request.EnvelopeID)
	case socketmode.EventTypeErrorBadMessage:
		if bad, ok := event.Data.(*socketmode.ErrorBadMessage); ok {
			c.handleUnread(ctx, bad.Message)
		}
	case socketmode.EventTypeConnectionError:
		if failed, ok := event.Data.(*slack.ConnectionErrorEvent); ok {
			c.cannotConnect(ctx, failed)
		}
	}
}

// cannotConnect says why a connection cannot be opened. slack-go tries again, with pauses of
// up to five minutes, also after answers that will stay the same; those end the connection.
func (c *connection) cannotConnect(ctx context.Context, failed *slack.ConnectionErrorEvent) {
	if refusedToken(failed.ErrorObj) {
		c.giveUp(failed.ErrorObj)
		return
	}
	level := slog.LevelDebug
	if failed.Attempt <= 1 {
		level = slog.LevelWarn
	}
	c.cfg.Logger.Log(ctx, level, "Socket Mode cannot connect", "err", withoutURL(failed.ErrorObj), "again_in", failed.Backoff.String())
}

// handleUnread takes what slack-go could not read: an event that is newer than it, or a
// block that it finds malformed. It would come again and again if nobody acknowledged it.
func (c *connection) handleUnread(ctx context.Context, raw json.RawMessage) {
	var envelope struct {
		Type         string          `json:"type"`
		EnvelopeID   string          `json:"envelope_id"`
		Payload      json.RawMessage `json:"payload"`
		RetryAttempt int             `json:"retry_attempt"`
	}
	if err := json.Unmarshal(raw, &envelope); err != nil || envelope.EnvelopeID == "" {
		c.cfg.Logger.DebugContext(ctx, "Socket Mode sent what cannot be read", "bytes", len(raw))
		return
	}
	if envelope.Type == socketmode.RequestTypeEventsAPI {
		c.deliver(ctx, envelope.EnvelopeID, envelope.Payload, envelope.RetryAttempt)
		return
	}
	c.cfg.Sink.Refused(ctx, SourceSocket, RefusedKind, envelope.RetryAttempt > 0)
	c.acknowledge(ctx, envelope.EnvelopeID)
}

// deliver hands an envelope over and acknowledges it after that.
func (c *connection) deliver(ctx context.Context, envelopeID string, payload json.RawMessage, retry int) {
	limited, cancel := context.WithTimeout(ctx, socketBudget)
	defer cancel()
	err := c.cfg.Sink.Deliver(limited, Delivery{Source: SourceSocket, Raw: payload, Retry: retry > 0, ReceivedAt: c.cfg.Now()})
	if err != nil && commentator.ErrorCode(err) != CodeMalformedEvent {
		if ctx.Err() == nil {
			c.cfg.Logger.ErrorContext(ctx, "an event of Slack could not be written; Slack sends it again", "err", err)
		}
		return
	}
	c.acknowledge(ctx, envelopeID)
}

func (c *connection) acknowledge(ctx context.Context, envelopeID string) {
	// While no connection is open, few acknowledgements can wait, and slack-go may wait for
	// its events to be taken.
	ctx, cancel := context.WithTimeout(ctx, acknowledgeWait)
	defer cancel()
	if err := c.client.AckCtx(ctx, envelopeID, nil); err != nil && ctx.Err() == nil {
		c.cfg.Logger.WarnContext(ctx, "an event of Slack was not acknowledged; Slack sends it again", "err", err)
	}
}

// setConnected counts the connections that are open, and says when none is and when one is
// again.
func (c *connection) setConnected(ctx context.Context, connected bool) {
	if c.connected == connected {
		return
	}
	c.connected = connected
	c.mu.Lock()
	defer c.mu.Unlock()
	if connected {
		c.open.Add(1)
	} else if c.open.Add(-1) > 0 {
		return
	}
	switch {
	case ctx.Err() != nil:
	case !connected:
		c.down = true
		c.cfg.Logger.WarnContext(ctx, "no Socket Mode connection is open")
	case c.down:
		c.down = false
		c.cfg.Logger.InfoContext(ctx, "Socket Mode connection is open again")
		c.cfg.Reconnected()
	case c.was.CompareAndSwap(false, true):
		c.cfg.Logger.InfoContext(ctx, "Socket Mode connection is open")
	}
}
