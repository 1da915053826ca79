package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// TraceID and SpanID are the raw ids of OpenTelemetry, without depending on its packages.
type (
	TraceID [16]byte
	SpanID  [8]byte
)

func (t TraceID) String() string { return hex.EncodeToString(t[:]) }
func (s SpanID) String() string  { return hex.EncodeToString(s[:]) }

const jobIdentity = "technoshare/job/1"

// JobIdentity derives the trace id and the root span id of a job: the first 16 and
// the next 8 bytes of the SHA-256 of four lines without a trailing newline: the scheme,
// the store id (a UUID in lower case), the job id in decimal, and created_at in whole
// microseconds since 1970-01-01 UTC, in decimal.
//
// The same row always gives the same ids, whichever process asks, so that a retry or
// a crash continues a trace instead of starting one.
func JobIdentity(storeID string, jobID int64, createdAt time.Time) (TraceID, SpanID) {
	text := append(make([]byte, 0, 128), jobIdentity+"\n"...)
	text = append(append(text, storeID...), '\n')
	text = append(strconv.AppendInt(text, jobID, 10), '\n')
	return identityOf(strconv.AppendInt(text, createdAt.UnixMicro(), 10))
}

// JobKey is the identity of a job's run in MLflow (tag TagKey).
func JobKey(t TraceID) string { return t.String() }

// StageKey is the identity of a stage's run in MLflow (tag TagKey). It holds the trace
// id too, because eight random bytes alone may meet by chance in a large deployment.
func StageKey(t TraceID, s SpanID) string { return t.String() + "-" + s.String() }

// MLflowTraceID is the id under which MLflow stores an OTel trace.
func MLflowTraceID(t TraceID) string { return "tr-" + t.String() }

const evaluationIdentity = "technoshare/eval/1"

// EvaluationIdentity derives the trace id and the span id of an evaluation's suite: the first 16
// and the next 8 bytes of the SHA-256 of two lines without a trailing newline: the scheme and the
// evaluation's id, a UUID in lower case.
func EvaluationIdentity(evaluation string) (TraceID, SpanID) {
	return identityOf([]byte(evaluationIdentity + "\n" + evaluation))
}

// ExampleIdentity likewise derives the ids of one try at an example: two more lines hold the
// example's id and the repetition in decimal, of which the first is 1.
func ExampleIdentity(evaluation, example string, repetition int) (TraceID, SpanID) {
	return identityOf([]byte(evaluationIdentity + "\n" + evaluation + "\n" + example + "\n" + strconv.Itoa(repetition)))
}

func identityOf(text []byte) (t TraceID, s SpanID) {
	sum := sha256.Sum256(text)
	copy(t[:], sum[:16])
	copy(s[:], sum[16:24])
	return t, s
}
