package reduce

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/pricing"
)

// Times and ids of test spans.
var (
	began   = time.Date(2026, 11, 23, 9, 0, 0, 123_456_000, time.UTC)
	traceID = pcommon.TraceID{0xab, 15: 0x01}
	rootID  = pcommon.SpanID{7: 0x01}
)

// newSpan makes a span that starts at began and lasts 12.345 s.
func newSpan(t testing.TB, kind Kind, name string, id byte, attrs map[string]any) Span {
	t.Helper()
	s := ptrace.NewSpan()
	s.SetName(name)
	s.SetTraceID(traceID)
	s.SetSpanID(pcommon.SpanID{7: id})
	if kind != Job {
		s.SetParentSpanID(rootID)
	}
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(began))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(began.Add(12345 * time.Millisecond)))
	if err := s.Attributes().FromRaw(attrs); err != nil {
		t.Fatal(err)
	}
	return Span{Kind: kind, InTrace: true, Resource: pcommon.NewResource(), Scope: pcommon.NewInstrumentationScope(), Span: s}
}

func nativeAttrs(t testing.TB, s Span) map[string]any {
	t.Helper()
	dst := ptrace.NewSpan()
	native(s, s, Mapping{SpanTypes: map[string]string{"retrieval": "RETRIEVER"}, Prices: pricing.Default()}, dst)
	return dst.Attributes().AsRaw()
}

func tagOf(r Run, key string) string {
	for _, kv := range r.Tags {
		if kv.Key == key {
			return kv.Value
		}
	}
	return ""
}
