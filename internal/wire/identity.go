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
	text := jobIdentity + "\n" + storeID + "\n" +
		strconv.FormatInt(jobID, 10) + "\n" + strconv.FormatInt(createdAt.UnixMicro(), 10)
	sum := sha256.Sum256([]byte(text))
	var t TraceID
	var s SpanID
	copy(t[:], sum[:16])
	copy(s[:], sum[16:24])
	return t, s
}

// JobKey is the identity of a job's run in MLflow (tag TagKey).
func JobKey(t TraceID) string { return t.String() }

// StageKey is the identity of a stage's run in MLflow (tag TagKey). It holds the trace
// id too, because eight random bytes alone may meet by chance in a large deployment.
func StageKey(t TraceID, s SpanID) string { return t.String() + "-" + s.String() }

// MLflowTraceID is the id under which MLflow stores an OTel trace.
func MLflowTraceID(t TraceID) string { return "tr-" + t.String() }
