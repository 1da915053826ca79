package telemetry

import (
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/technoshare/commentator/internal/wire"
)

const (
	// shortText is what remains of the texts of detail spans in a message that is too large.
	shortText = 4 << 10
	// leastArtifact is what an artifact keeps as long as detail spans can be dropped instead.
	leastArtifact = 1 << 20
)

// fit makes a message small enough and returns how many detail spans it had to drop. It
// gives up what is cheapest to miss first: long texts of detail spans, then the ends of
// artifacts, the largest first, then detail spans from the last started backwards: a child
// starts after its parent, so no span that is left misses its parent.
func fit(request *collectorpb.ExportTraceServiceRequest, limit int) (dropped int) {
	for _, rs := range request.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			shorten(ss.Spans)
		}
	}
	over := proto.Size(request) - limit
	for over > 0 {
		largest, size := largestArtifact(request)
		if size <= leastArtifact {
			break
		}
		over -= cutArtifact(largest, min(over, size-leastArtifact))
	}
	for _, rs := range request.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for over > 0 && len(ss.Spans) > 1 {
				over -= proto.Size(ss.Spans[len(ss.Spans)-1])
				ss.Spans = ss.Spans[:len(ss.Spans)-1]
				dropped++
			}
		}
	}
	return dropped
}

// shorten cuts the texts of all detail spans; the first span is the lifecycle span.
func shorten(spans []*tracepb.Span) {
	for i, s := range spans {
		if i == 0 {
			continue
		}
		for _, kv := range s.Attributes {
			if text, ok := kv.Value.GetValue().(*commonpb.AnyValue_StringValue); ok {
				text.StringValue = cutText(text.StringValue, shortText)
			}
		}
	}
}

// largestArtifact returns the artifact event with the most content and its size.
func largestArtifact(request *collectorpb.ExportTraceServiceRequest) (largest *tracepb.Span_Event, size int) {
	for _, rs := range request.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				for _, e := range s.Events {
					if n := len(attributeOf(e, wire.AttrArtifactContent).GetStringValue()); n > size {
						largest, size = e, n
					}
				}
			}
		}
	}
	return largest, size
}

// cutArtifact takes at least n bytes off an artifact and returns how many it took.
func cutArtifact(e *tracepb.Span_Event, n int) int {
	content := attributeOf(e, wire.AttrArtifactContent)
	before := content.GetStringValue()
	head, _ := cut(before, len(before)-n)
	content.Value = &commonpb.AnyValue_StringValue{StringValue: head}
	attributeOf(e, wire.AttrArtifactTruncated).Value = &commonpb.AnyValue_BoolValue{BoolValue: true}
	return len(before) - len(head)
}

func attributeOf(e *tracepb.Span_Event, key string) *commonpb.AnyValue {
	for _, kv := range e.Attributes {
		if kv.Key == key {
			return kv.Value
		}
	}
	return nil
}
