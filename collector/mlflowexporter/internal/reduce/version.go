package reduce

import (
	"crypto/sha256"
	"encoding/hex"

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

// end is the end of a span, which is never before its start: MLflow would show a
// negative duration.
func end(s ptrace.Span) uint64 {
	return uint64(max(s.StartTimestamp(), s.EndTimestamp()))
}

const nanosPerMilli = 1_000_000

func startMS(s ptrace.Span) int64 { return int64(s.StartTimestamp()) / nanosPerMilli } //nolint:gosec // ns since 1970 fit until 2262
func endMS(s ptrace.Span) int64   { return int64(end(s)) / nanosPerMilli }             //nolint:gosec // as above

// seconds is how long a span lasted.
func seconds(s ptrace.Span) float64 {
	return float64(end(s)-uint64(s.StartTimestamp())) / 1e9
}
