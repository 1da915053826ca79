package telemetry

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// closedSpan is a lifecycle, message or evaluation span about to be made. It never exists open.
type closedSpan struct {
	name       string
	kind       trace.SpanKind // zero: internal
	start, end time.Time
	attrs      []attribute.KeyValue
	texts      clean // job.input and job.output
	artifacts  []artifact
	verdicts   []clean // attributes of the events gen_ai.evaluation.result
	failed     bool
	failure    string                   // status description; empty when nothing went wrong
	details    []sdktrace.ReadWriteSpan // that leave with it
}

// emitOfJob returns the message with a span of a job. The root has no parent, the others have the
// root. The id is a random one when it is zero.
func (p *Provider) emitOfJob(j commentator.Job, tier string, id trace.SpanID, s closedSpan) (Message, error) {
	traceID, rootID := jobIdentity(j)
	ctx := context.Background()
	if id != rootID {
		ctx = trace.ContextWithSpanContext(ctx, sampledContext(traceID, rootID))
	}
	if id.IsValid() {
		ctx = context.WithValue(ctx, chosenIDsKey{}, chosenIDs{trace: traceID, span: id})
	}
	if s.end.Before(s.start) {
		p.metrics.clockCorrected(ctx)
	}
	msg, err := p.emit(ctx, s,
		attribute.String(wire.AttrJobID, jobID(j)),
		attribute.String(wire.AttrJobDetail, detailValue(j)),
		attribute.String(wire.AttrTier, tier),
		attribute.Int64(wire.AttrStartedAt, j.StartedAt.UnixMicro()),
	)
	if err != nil {
		return Message{}, fmt.Errorf("record job %d: %w", j.ID, err)
	}
	return msg, nil
}

// emit starts and ends a span and returns the message with it and with its detail spans. Own are
// the attributes before those of the span.
func (p *Provider) emit(ctx context.Context, s closedSpan, own ...attribute.KeyValue) (Message, error) {
	if s.end.Before(s.start) { // the clock was set back in between
		s.end = s.start
	}
	if s.kind == trace.SpanKindUnspecified {
		s.kind = trace.SpanKindInternal
	}
	attrs := p.rec.attributes(own...).and(p.rec.attributes(s.attrs...), s.texts)
	_, span := p.rec.start(ctx, s.name, s.kind, s.start, attrs.option())
	for _, a := range s.artifacts {
		p.rec.artifact(span, s.end, p.rec.artifactAttributes(a))
	}
	for _, v := range s.verdicts {
		p.rec.verdict(span, s.end, v)
	}
	if s.failed {
		p.rec.fail(span, s.failure)
	}
	span.End(trace.WithTimestamp(s.end))
	read, ok := span.(sdktrace.ReadOnlySpan)
	if !ok {
		return Message{}, fmt.Errorf("make span %s: it was not recorded", s.name)
	}
	spans := make([]sdktrace.ReadOnlySpan, 0, len(s.details)+1)
	spans = append(spans, read)
	for _, d := range s.details {
		spans = append(spans, d)
	}
	return p.encode(s.name, spans)
}
