package slack

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/slack-go/slack"

	"github.com/technoshare/commentator/internal/commentator"
)

// EventsPath is where Slack posts events.
const EventsPath = "/slack/events"

// MaxEnvelope bounds an envelope, in bytes; Slack's own are below 100 KB.
const MaxEnvelope = 1 << 20

const deliverBudget = 2500 * time.Millisecond // Slack waits for three seconds

// Headers of Slack's requests and of the answers.
const (
	headerRetryNum = "X-Slack-Retry-Num"
	headerNoRetry  = "X-Slack-No-Retry"
)

// EventsConfig configures an Events.
type EventsConfig struct {
	// SigningSecret is the app's, with which Slack signs requests. Required.
	SigningSecret string
	// Sink takes the envelopes. Required.
	Sink Sink
	// Now is the time at which an envelope came. Default time.Now. The window of timestamps
	// is measured on the system's clock whatever it says.
	Now func() time.Time
	// Logger is told what could not be written. Required.
	Logger *slog.Logger
}

// Events answers Slack's requests to EventsPath:
//
//	200  what follows from the event is written, or nothing does
//	200  with the challenge, when Slack asks whether the address is ours
//	400  the body is no envelope; Slack is asked not to repeat it
//	401  the signature is wrong or absent, or older than five minutes
//	405  not POST
//	413  the body is larger than 1 MiB
//	503  it could not be written; Slack repeats it
type Events struct{ cfg EventsConfig }

var _ http.Handler = (*Events)(nil)

// NewEvents returns an Events.
func NewEvents(cfg EventsConfig) *Events {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Events{cfg}
}

// ServeHTTP answers a request.
func (h *Events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	retry := r.Header.Get(headerRetryNum) != ""
	refuse := func(status int, why Refusal, text string) {
		h.cfg.Sink.Refused(r.Context(), SourceHTTP, why, retry)
		w.Header().Set(headerNoRetry, "1")
		http.Error(w, text, status)
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(http.StatusMethodNotAllowed, RefusedMethod, "Slack posts events here.")
		return
	}
	verifier, err := slack.NewSecretsVerifier(r.Header, h.cfg.SigningSecret)
	switch {
	case errors.Is(err, slack.ErrExpiredTimestamp):
		refuse(http.StatusUnauthorized, RefusedTimestamp, "The request was signed more than five minutes ago; check the clock.")
		return
	case err != nil:
		refuse(http.StatusUnauthorized, RefusedSignature, "The request is not signed as Slack signs.")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxEnvelope))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refuse(http.StatusRequestEntityTooLarge, RefusedSize, "The event is larger than 1 MiB.")
		return
	case err != nil:
		return // nobody is there to be answered
	}
	if _, err := verifier.Write(body); err != nil || verifier.Ensure() != nil {
		refuse(http.StatusUnauthorized, RefusedSignature, "The signature is wrong; check SLACK_SIGNING_SECRET.")
		return
	}
	h.deliver(w, r, Delivery{Source: SourceHTTP, Raw: body, Retry: retry, ReceivedAt: h.cfg.Now()})
}

func (h *Events) deliver(w http.ResponseWriter, r *http.Request, d Delivery) {
	ctx, cancel := context.WithTimeout(r.Context(), deliverBudget)
	defer cancel()
	err := h.cfg.Sink.Deliver(ctx, d)
	switch {
	case commentator.ErrorCode(err) == CodeMalformedEvent:
		w.Header().Set(headerNoRetry, "1")
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case err != nil:
		h.cfg.Logger.ErrorContext(ctx, "an event of Slack could not be written; Slack sends it again", "err", err)
		http.Error(w, "The event could not be written; send it again.", http.StatusServiceUnavailable)
		return
	}
	if e, err := ParseEnvelope(d.Raw, d.ReceivedAt); err == nil && e.Kind == KindVerification {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, e.Challenge)
		return
	}
	w.WriteHeader(http.StatusOK)
}
