package telemetry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// lifecycleSpan is a lifecycle or message span about to be made. It never exists open.
type lifecycleSpan struct {
	name       string
	kind       trace.SpanKind
	job        commentator.Job
	tier       string
	id         trace.SpanID // zero: a random one
	start, end time.Time
	attrs      []attribute.KeyValue
	texts      []attribute.KeyValue // job.input and job.output, clean already
	artifacts  []artifact
	failure    string // status description; empty when nothing went wrong
	failed     bool
}

// emit starts and ends a lifecycle span. The root has no parent, the others have the root.
func (p *Provider) emit(l lifecycleSpan) (sdktrace.ReadOnlySpan, error) {
	traceID, rootID := jobIdentity(l.job)
	ctx := context.Background()
	if l.id != rootID {
		ctx = trace.ContextWithSpanContext(ctx, rootContext(l.job))
	}
	if l.id.IsValid() {
		ctx = context.WithValue(ctx, chosenIDsKey{}, chosenIDs{trace: traceID, span: l.id})
	}
	if l.end.Before(l.start) { // the clock was set back in between
		l.end = l.start
		p.metrics.clockCorrected(ctx)
	}
	attrs := slices.Concat([]attribute.KeyValue{
		attribute.String(wire.AttrJobID, jobID(l.job)),
		attribute.String(wire.AttrJobDetail, detailValue(l.job)),
		attribute.String(wire.AttrTier, l.tier),
		attribute.Int64(wire.AttrStartedAt, l.job.StartedAt.UnixMicro()),
	}, clean(l.attrs), l.texts)
	_, span := p.tracer.Start(ctx, l.name, trace.WithSpanKind(l.kind),
		trace.WithTimestamp(l.start), trace.WithAttributes(attrs...))
	for _, a := range l.artifacts {
		span.AddEvent(wire.EventArtifact, trace.WithTimestamp(l.end), trace.WithAttributes(a.attributes()...))
	}
	if l.failed {
		span.SetStatus(codes.Error, cleanText(l.failure))
	}
	span.End(trace.WithTimestamp(l.end))
	read, ok := span.(sdktrace.ReadOnlySpan)
	if !ok {
		return nil, fmt.Errorf("make span %s of job %d: it was not recorded", l.name, l.job.ID)
	}
	return read, nil
}
