package telemetry

import (
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/technoshare/commentator/internal/wire"
)

const (
	// shortText is what remains of a text in a message that is too large.
	shortText = 4 << 10
	// artifactShare of a message is what an artifact keeps as long as detail spans can be
	// dropped instead.
	artifactShare = 8
)

// fit makes a message small enough and returns how many detail spans it had to drop and how
// many texts and artifacts it cut. It gives up what is cheapest to miss first: long texts of
// detail spans, then the ends of artifacts, the largest first, then detail spans from the last
// started backwards: a child starts after its parent, so no span that is left misses its parent.
// When that is not enough, more of the artifacts goes, and in the end the long texts of the
// lifecycle span.
func fit(request *collectorpb.ExportTraceServiceRequest, limit int) (dropped, cut int) {
	cut = shorten(request, true)
	over := proto.Size(request) - limit
	trimmed := map[*tracepb.Span_Event]bool{}
	trim := func(least int) {
		for over > 0 {
			largest, size := largestArtifact(request)
			if size <= least {
				return
			}
			over -= cutArtifact(largest, min(over, size-least))
			trimmed[largest] = true
		}
	}
	trim(limit / artifactShare)
	for _, rs := range request.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for over > 0 && len(ss.Spans) > 1 {
				over -= proto.Size(ss.Spans[len(ss.Spans)-1])
				ss.Spans = ss.Spans[:len(ss.Spans)-1]
				dropped++
			}
		}
	}
	trim(0)
	if over > 0 {
		cut += shorten(request, false)
	}
	return dropped, cut + len(trimmed)
}

// shorten cuts the long texts of all detail spans, or of all lifecycle spans, the first of their
// scope, and returns how many.
func shorten(request *collectorpb.ExportTraceServiceRequest, details bool) (n int) {
	for _, rs := range request.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for i, s := range ss.Spans {
				if details != (i > 0) {
					continue
				}
				for _, kv := range s.Attributes {
					text, ok := kv.Value.GetValue().(*commonpb.AnyValue_StringValue)
					if ok && len(text.StringValue) > shortText {
						text.StringValue = cutText(text.StringValue, shortText)
						n++
					}
				}
			}
		}
	}
	return n
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

// refit makes a stored message small enough for a receiver that takes less than maxMessage, and
// returns how many of its texts, artifacts and spans are cut or missing. It returns false when
// that cannot be done.
func refit(body []byte, limit int) (smaller []byte, missing int, ok bool) {
	var request collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		return nil, 0, false
	}
	dropped, cut := fit(&request, limit)
	smaller, err := proto.Marshal(&request)
	return smaller, dropped + cut, err == nil && len(smaller) <= limit
}
