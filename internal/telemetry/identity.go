package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// jobIdentity returns the trace id of a job and the id of its root span.
func jobIdentity(j commentator.Job) (trace.TraceID, trace.SpanID) {
	t, s := wire.JobIdentity(j.StoreID, j.ID, j.CreatedAt)
	return trace.TraceID(t), trace.SpanID(s)
}

// rootContext returns the span context that the root of a job will have once it is made.
func rootContext(j commentator.Job) trace.SpanContext {
	return sampledContext(jobIdentity(j))
}

func sampledContext(t trace.TraceID, s trace.SpanID) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: t, SpanID: s, TraceFlags: trace.FlagsSampled})
}

// chosenIDs carries the ids of one span to idGenerator. It may only be in a context that
// is given to that one Start call: in the context of a job every new root below it would
// get the same ids.
type chosenIDs struct {
	trace trace.TraceID
	span  trace.SpanID
}

type chosenIDsKey struct{}

// idGenerator gives a span the ids that its context carries, and random ones otherwise.
type idGenerator struct{}

func (idGenerator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if c, ok := ctx.Value(chosenIDsKey{}).(chosenIDs); ok {
		return c.trace, c.span
	}
	var t trace.TraceID
	binary.NativeEndian.PutUint64(t[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(t[8:], nonZero())
	return t, randomSpanID()
}

func (idGenerator) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if c, ok := ctx.Value(chosenIDsKey{}).(chosenIDs); ok {
		return c.span
	}
	return randomSpanID()
}

func randomSpanID() trace.SpanID {
	var s trace.SpanID
	binary.NativeEndian.PutUint64(s[:], nonZero())
	return s
}

// nonZero returns a random number that makes a valid id: all zero bits are not allowed.
func nonZero() uint64 {
	for {
		if n := rand.Uint64(); n != 0 {
			return n
		}
	}
}
