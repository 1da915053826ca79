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

// lifecycleSpan is a lifecycle or message span about to be made. It never exists open.
type lifecycleSpan struct {
	name       string
	kind       trace.SpanKind
	job        commentator.Job
	tier       string
	id         trace.SpanID // zero: a random one
	start, end time.Time
	attrs      []attribute.KeyValue
	texts      clean // job.input and job.output
	artifacts  []artifact
	verdict    clean  // attributes of an event gen_ai.evaluation.result; empty: no such event
	failure    string // status description; empty when nothing went wrong
	failed     bool
}

// emit starts and ends a lifecycle span. The root has no parent, the others have the root.
func (p *Provider) emit(l lifecycleSpan) (sdktrace.ReadOnlySpan, error) {
	traceID, rootID := jobIdentity(l.job)
	ctx := context.Background()
	if l.id != rootID {
		ctx = trace.ContextWithSpanContext(ctx, sampledContext(traceID, rootID))
	}
	if l.id.IsValid() {
		ctx = context.WithValue(ctx, chosenIDsKey{}, chosenIDs{trace: traceID, span: l.id})
	}
	if l.end.Before(l.start) { // the clock was set back in between
		l.end = l.start
		p.metrics.clockCorrected(ctx)
	}
	attrs := p.rec.attributes(
		attribute.String(wire.AttrJobID, jobID(l.job)),
		attribute.String(wire.AttrJobDetail, detailValue(l.job)),
		attribute.String(wire.AttrTier, l.tier),
		attribute.Int64(wire.AttrStartedAt, l.job.StartedAt.UnixMicro()),
	).and(p.rec.attributes(l.attrs...), l.texts)
	_, span := p.rec.start(ctx, l.name, l.kind, l.start, attrs.option())
	for _, a := range l.artifacts {
		p.rec.artifact(span, l.end, p.rec.artifactAttributes(a))
	}
	if len(l.verdict.list) > 0 {
		p.rec.verdict(span, l.end, l.verdict)
	}
	if l.failed {
		p.rec.fail(span, l.failure)
	}
	span.End(trace.WithTimestamp(l.end))
	read, ok := span.(sdktrace.ReadOnlySpan)
	if !ok {
		return nil, fmt.Errorf("make span %s of job %d: it was not recorded", l.name, l.job.ID)
	}
	return read, nil
}
