package telemetry

import (
	"context"
	"log/slog"
	"sync"
)

// onceHandler lets a record pass once as long as the same message comes again and again, as
// from something that is polled and away.
type onceHandler struct {
	next slog.Handler

	mu   sync.Mutex
	last string
}

// Enabled implements slog.Handler.
func (h *onceHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// Handle implements slog.Handler.
func (h *onceHandler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	again := r.Message == h.last
	h.last = r.Message
	h.mu.Unlock()
	if again {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *onceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &onceHandler{next: h.next.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *onceHandler) WithGroup(name string) slog.Handler {
	return &onceHandler{next: h.next.WithGroup(name)}
}
