package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/wire"
)

// TraceIDs returns a handler that adds the trace id of its job to what is logged about a job
// that is recorded: what JobContext and StartStage put into the context.
func TraceIDs(next slog.Handler) slog.Handler { return traceIDs{next} }

type traceIDs struct{ slog.Handler }

// Handle implements slog.Handler.
func (h traceIDs) Handle(ctx context.Context, r slog.Record) error {
	if of := trace.SpanContextFromContext(ctx); of.HasTraceID() {
		r = r.Clone()
		r.AddAttrs(slog.String(wire.LogTraceID, of.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h traceIDs) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceIDs{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h traceIDs) WithGroup(name string) slog.Handler { return traceIDs{h.Handler.WithGroup(name)} }
