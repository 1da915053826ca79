package telemetry

import (
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/wire"
)

// tieredSampler carries the decisions out, span by span: lifecycle spans and messages of
// every job that is not off; detail spans only below a running stage of a full job. A
// detail span outside any stage has no message to leave with and is dropped.
//
// Samplers see no scope and no parent's attributes, so the tier and the detail of
// lifecycle spans are among their start attributes, and detail spans are judged by the
// stage in their context.
type tieredSampler struct{}

func (tieredSampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	var tier, detail string
	for _, a := range p.Attributes {
		switch a.Key {
		case wire.AttrTier:
			tier = a.Value.AsString()
		case wire.AttrJobDetail:
			detail = a.Value.AsString()
		}
	}
	result := sdktrace.SamplingResult{
		Decision:   sdktrace.Drop,
		Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState(),
	}
	switch tier {
	case wire.TierEvaluation: // in full whenever anything is recorded
		result.Decision = sdktrace.RecordAndSample
	case wire.TierLifecycle, wire.TierMessage:
		if detail == wire.DetailFull || detail == wire.DetailLifecycle {
			result.Decision = sdktrace.RecordAndSample
		}
	default:
		if st := stageFrom(p.ParentContext); st != nil && st.recordsDetail() {
			result.Decision = sdktrace.RecordAndSample
		}
	}
	return result
}

func (tieredSampler) Description() string { return "TechnoShareTiered" }
