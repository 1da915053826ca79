package commentator

import (
	"encoding/json"
	"time"
)

// Stage names a step of a job. The names are frozen, see wire.StageNames.
type Stage string

// The stages in the order in which a job meets them.
const (
	StageRetrieval    Stage = "retrieval"
	StageA            Stage = "stage_a"
	StageB            Stage = "stage_b"
	StageQualityGates Stage = "quality_gates"
	StageSlackPost    Stage = "slack_post"
)

// Stages lists all stages in order.
var Stages = []Stage{StageRetrieval, StageA, StageB, StageQualityGates, StageSlackPost}

// JobState says where a job is in its life. A final job never reopens.
type JobState string

// The states of a job.
const (
	JobPending JobState = "pending"
	JobRunning JobState = "running" // started at least once, not final
	JobFinal   JobState = "final"
)

// Outcome is the result of a final job.
type Outcome string

// The outcomes.
const (
	OutcomeSuccess    Outcome = "success"
	OutcomeGateFailed Outcome = "gate_failed"
	OutcomeNoURLs     Outcome = "no_urls"
	OutcomeError      Outcome = "error"
	OutcomeCancelled  Outcome = "cancelled"
)

// Detail is how much of a job is recorded. It is decided once, when the job starts,
// and stored in its row.
type Detail string

// The levels of detail.
const (
	DetailOff      Detail = "off"
	DetailTracking Detail = "tracking" // lifecycle spans and artifacts: an MLflow run
	DetailFull     Detail = "full"     // and detail spans: an MLflow trace too
)

// Limits after which a job ends with OutcomeError whatever River's own limits say.
const (
	MaxFailures = 5  // attempts that returned an error
	MaxKills    = 10 // attempts that ended with the process
)

// Job is the work on one link of a message (or on a message without a link).
type Job struct {
	ID        int64
	StoreID   string // UUID of the database; part of the job's identity
	MessageID int64
	URL       string // empty: the message holds no link
	Domain    string // host of URL, without port
	RetryOf   int64  // 0, or the job that this one repeats

	State    JobState
	Outcome  Outcome // set when State is JobFinal
	Detail   Detail  // set when the job starts
	Attempt  int     // attempts started so far; the fence of every write
	Failures int
	Kills    int

	ErrorType    string // a code such as "http_404"; set with OutcomeError
	ErrorMessage string // a sentence for people

	CreatedAt  time.Time // whole microseconds, UTC; part of the job's identity
	StartedAt  time.Time // zero until the first attempt
	FinishedAt time.Time // zero until final
}

// Values of Decision.By when no rule of the sampling file decided.
const (
	BySettings = "settings"
	ByRemote   = "remote" // a strategy that an address told; Decision.Rule is the address and what it told; of older releases the address alone
)

// Decision says how much of a job is recorded, and why. It is taken once, when the job
// starts, and never changes.
type Decision struct {
	Detail   Detail  `json:"detail"`
	By       string  `json:"by,omitempty"`       // BySettings, ByRemote, or the id of a rule
	Rule     string  `json:"rule,omitempty"`     // the rule in words
	Ratio    float64 `json:"ratio,omitempty"`    // share of full jobs that was asked for
	Revision string  `json:"revision,omitempty"` // of the sampling file, or of the remote strategy
}

// StageRecord is a finished attempt at a stage, as the job database keeps it.
type StageRecord struct {
	ID        int64
	JobID     int64
	Stage     Stage
	Attempt   int
	SpanID    string // hex, empty when the job is off
	StartedAt time.Time
	EndedAt   time.Time

	// ErrorType and ErrorMessage are empty when the stage succeeded.
	ErrorType    string
	ErrorMessage string

	// Result is the stage's value as JSON (Evidence, FactsResult, CommentResult,
	// GateReport or Post); null when the stage failed without one.
	Result json.RawMessage
	// Analysis is what the stage spent on models; zero for stages without one.
	Analysis Analysis
}

// Failed reports whether the attempt ended in an error.
func (r StageRecord) Failed() bool { return r.ErrorType != "" }
