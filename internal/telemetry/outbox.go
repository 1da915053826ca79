package telemetry

import (
	"context"
	"time"
)

// Message is one OTLP request on its way into the outbox. The zero Message means that
// there is nothing to store.
type Message struct {
	Kind string // the name of the lifecycle or message span that it is about
	Body []byte // ExportTraceServiceRequest, s2-compressed
	Size int    // bytes before compression
}

// Empty reports whether there is nothing to store.
func (m Message) Empty() bool { return len(m.Body) == 0 }

// OutboxRow is a stored message.
type OutboxRow struct {
	ID   int64
	Kind string
	Body []byte // as in Message
	Size int    // as in Message
}

// Link says whether the Collector takes messages, as the relay saw it last.
type Link struct {
	Endpoint string    `json:"endpoint,omitempty"`
	Since    time.Time `json:"since,omitzero"`    // zero: nothing was sent yet, or it answers and has taken nothing since it does
	Problem  string    `json:"problem,omitempty"` // why it takes none; empty: it does
}

// Claim is rows that one relay has to itself. What is marked is kept for good when the claim is
// released.
type Claim interface {
	Rows() []OutboxRow
	// MarkSent records that the Collector took the rows.
	MarkSent(ctx context.Context, ids []int64, at time.Time) error
	// Refuse sets a row aside that the Collector will never take.
	Refuse(ctx context.Context, id int64, reason string, at time.Time) error
	// Release gives the rest back. It is called once.
	Release() error
}

// Outbox is the table that the relay empties.
type Outbox interface {
	// Claim returns rows that are neither sent nor refused and whose id is above afterID, in
	// the order of their ids: as many as fit into maxBytes by their Size, but at least one if
	// there is any. No other relay gets them before the claim is released or its process ends.
	Claim(ctx context.Context, afterID int64, maxBytes int) (Claim, error)
	// Depth returns the number of unsent rows, the bytes of their stored bodies and the
	// time when the oldest was created; the zero time when there is none.
	Depth(ctx context.Context) (rows int, bytes int64, oldest time.Time, err error)
	// NoteRejected counts spans that the Collector rejected of messages that it took.
	NoteRejected(spans int64)
	// NoteLink keeps what the relay says of the Collector, for people who ask. That it answers, with
	// neither a time nor a problem, ends a problem, and leaves that it takes messages.
	NoteLink(ctx context.Context, l Link) error
}
