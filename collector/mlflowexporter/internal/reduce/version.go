package reduce

import (
	"crypto/sha256"
	"encoding/hex"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// versionOf orders the versions of one span: by end, then by the hash of its protobuf form.
func versionOf(s ptrace.Span) Version {
	td := ptrace.NewTraces()
	s.CopyTo(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
	body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		// The protobuf marshaler has no failing path for data that is in memory.
		body = []byte(s.Name())
	}
	sum := sha256.Sum256(body)
	return Version{EndUnixNano: end(s), Hash: hex.EncodeToString(sum[:])}
}

// clamped is a time that databases behind MLflow take, which count in 64 bits with a sign. OTLP has
// one bit more, and a span that did not end may say so with all of them.
func clamped(t pcommon.Timestamp) pcommon.Timestamp { return min(t, math.MaxInt64) }

func start(s ptrace.Span) uint64 { return uint64(clamped(s.StartTimestamp())) }

// end is the end of a span, which is never before its start: MLflow would show a
// negative duration.
func end(s ptrace.Span) uint64 {
	return uint64(clamped(max(s.StartTimestamp(), s.EndTimestamp())))
}

// clampTimes gives a copy of a span the times that MLflow gets.
func clampTimes(s ptrace.Span) {
	s.SetEndTimestamp(pcommon.Timestamp(end(s)))
	s.SetStartTimestamp(pcommon.Timestamp(start(s)))
	for _, e := range s.Events().All() {
		e.SetTimestamp(clamped(e.Timestamp()))
	}
}

const nanosPerMilli = 1_000_000

func startMS(s ptrace.Span) int64 { return int64(start(s)) / nanosPerMilli } // clamped
func endMS(s ptrace.Span) int64   { return int64(end(s)) / nanosPerMilli }   // clamped

// seconds is how long a span lasted.
func seconds(s ptrace.Span) float64 {
	return float64(end(s)-start(s)) / 1e9
}
