package slack

import (
	"context"
	"time"
)

// Source is how something came from Slack.
type Source string

// The sources.
const (
	SourceHTTP    Source = "http"    // POST /slack/events
	SourceSocket  Source = "socket"  // Socket Mode
	SourceHistory Source = "history" // conversations.history
)

// Delivery is an envelope as it came.
type Delivery struct {
	Source     Source
	Raw        []byte // JSON, as ParseEnvelope reads it
	Retry      bool   // Slack says that it sent it before
	ReceivedAt time.Time
}

// Refusal is why something was turned away before anybody read what it says.
type Refusal string

// The refusals.
const (
	RefusedSignature Refusal = "bad_signature" // the signature is wrong or absent
	RefusedTimestamp Refusal = "old_timestamp" // it was signed more than five minutes ago, or ahead
	RefusedSize      Refusal = "too_large"
	RefusedMethod    Refusal = "wrong_method"
	RefusedKind      Refusal = "unknown" // an envelope that holds no event, such as of a slash command
)

// Sink takes what Slack sends.
type Sink interface {
	// Deliver takes a delivery. When it returns nil, whatever follows from it is written, and
	// Slack is told so. After an error with CodeMalformedEvent Slack need not send it again;
	// after any other it is to.
	Deliver(ctx context.Context, d Delivery) error
	// Refused is told of what was turned away.
	Refused(ctx context.Context, s Source, why Refusal, retry bool)
}
