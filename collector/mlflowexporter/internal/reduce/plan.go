// Package reduce turns classified spans into a Plan: what MLflow should hold because
// of them. It is pure: no I/O, no clock, no randomness, and any order or repetition of
// the input leads to the same state in MLflow once the plans are applied.
package reduce

import (
	"cmp"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Plan is what MLflow should hold because of one batch of spans. It says nothing of
// what is there already: applying a Plan is idempotent.
type Plan struct {
	// Runs in an order in which parents come before their children. A run that is only
	// known as somebody's parent is there too, with Implied set.
	Runs []Run
	// Traces holds one entry per trace whose spans belong into MLflow's trace store.
	Traces []Trace
	// Scores are verdicts on jobs, in any number and order of jobs; a run is never made
	// because of one.
	Scores []Score
	// Repair says by trace id in hex what a repair message asks for, wire.RepairAgain or
	// wire.RepairRecreate; nil when the batch holds none.
	Repair map[string]string
	// Dropped lists what the batch holds and MLflow cannot take, for counting.
	Dropped []Drop
	// Unpriced lists the models without a price, each once for each run that used one, and once for
	// a trace that has calls of one that no run of the batch names.
	Unpriced []Unpriced
}

// Unpriced is a model without a price that a run, or a call, of a trace used.
type Unpriced struct {
	TraceID string // hex
	Model   string
}

// Drop is a piece of a batch that MLflow cannot take.
type Drop struct {
	TraceID string // hex
	Reason  string // one of the Drop… reasons
	Detail  string // name of the span or file, for the log
}

// Reasons of a Drop.
const (
	DropInvalidID       = "invalid_id"       // a span without trace id or span id, or a member whose run.trace_id is no trace id
	DropInvalidArtifact = "invalid_artifact" // an artifact event without content, with an unusable name or that of a later one, or on a span that is no run
	DropInvalidScore    = "invalid_score"    // an evaluation event without a name, or without a verdict
	DropNaN             = "nan_metric"       // a metric that is NaN or infinite
	DropParamConflict   = "param_conflict"   // a param that has, to MLflow, the name of another one with another value
)

// Run is one MLflow run, as far as one batch knows it.
type Run struct {
	Key       string // value of tag otel.key
	ParentKey string // empty for a job
	// OwnKey is set for a job without a parent: the key that it has when another one of its trace
	// has the key of the trace.
	OwnKey     string
	TraceID    string // hex
	Experiment string // experiment name; empty = the exporter's default
	Name       string
	StartTime  int64 // ms since 1970, as it must be given to runs/create
	// StartGuessed is set when nothing tells the start of a job, and StartTime is that of the
	// first stage in the batch, or 0.
	StartGuessed bool
	// Implied is set when the batch holds no span of this run, only a child or a message
	// of it: it is created RUNNING if it does not exist. Until its own span is known, params
	// and tags that it lacks are added; afterwards it is left alone.
	Implied bool
	// Final fields; Status is empty while the run is RUNNING.
	Status  string // FINISHED, FAILED or KILLED
	EndTime int64  // ms since 1970
	// Version orders two spans of one id: the later end wins, ties by hash.
	Version Version

	Params    []KeyValue // sorted by key
	Tags      []KeyValue // sorted by key; PlaceholderTag may hold placeholders
	Metrics   []Metric   // sorted by key
	Artifacts []Artifact
	// Prompts are those that were used, as far as the span tells.
	Prompts []Prompt
	// Datasets are the data that the run is about: one, when the span names it.
	Datasets []Dataset
	// Parts are what stages add in the flat layout, in the order of their ends.
	Parts []Part
	// Why names the rule behind "param x", "tag x", "metric x" and "trace_tag x", as far as there is one,
	// and why the run has not the name that the mapping gives by "name run"; nil unless the mapping
	// explains.
	Why map[string]string
}

// Placeholders in the value of PlaceholderTag, filled in when the ids are known.
const (
	PlaceholderTag          = tagNote
	PlaceholderRunID        = "{{run_id}}"
	PlaceholderExperimentID = "{{experiment_id}}"
	PlaceholderUI           = "{{ui}}" // address of the MLflow UI without trailing slash
)

// Version orders what is known of one run.
type Version struct {
	EndUnixNano uint64 `json:"end"`
	Hash        string `json:"hash"` // hex SHA-256 of the span's canonical form
}

// Before reports whether v is older than o.
func (v Version) Before(o Version) bool {
	if v.EndUnixNano != o.EndUnixNano {
		return v.EndUnixNano < o.EndUnixNano
	}
	return v.Hash < o.Hash
}

// KeyValue is a param or a tag.
type KeyValue struct{ Key, Value string }

// Metric is one point of a metric of a run.
type Metric struct {
	Key         string
	Value       float64
	TimestampMS int64
	Step        int64
}

// Artifact is a file of a run.
type Artifact struct {
	Path      string // relative to the run's artifact root
	MediaType string
	Content   []byte
	SHA256    string // hex, of Content
	Truncated bool   // the worker had to cut it
}

// Trace is what one batch adds to an MLflow trace.
type Trace struct {
	TraceID    string // hex
	RunKey     string // the job's run, which the trace links to
	Experiment string
	// Spans carry native mlflow.* attributes, no artifacts and no messages. Empty when the
	// batch only completes the trace's info.
	Spans ptrace.Traces
	// Info is set when the batch holds the root; it is the body of StartTraceV3.
	Info *TraceInfo
}

// Source is the span that an info is of.
type Source struct {
	Rank  int    `json:"rank,omitempty"` // one of the Rank… constants
	Start uint64 `json:"start"`          // ns since 1970
	Span  string `json:"span"`           // hex
}

// The ranks of a Source: the job that is the root of the trace speaks for it, then one below
// something else.
const (
	RankRoot = iota
	RankChild
	RankMember
)

// Replaces reports whether an info takes the place of one that another span, or another version of
// the same, gave: so in whatever order they come, the same one is there in the end.
func (i *TraceInfo) Replaces(s Source, v Version) bool {
	if s.Span == i.Source.Span || s.Span == "" { // "": of a ledger that did not note it
		return v.Before(i.Version)
	}
	return cmp.Or(cmp.Compare(i.Source.Rank, s.Rank), cmp.Compare(i.Source.Start, s.Start), cmp.Compare(i.Source.Span, s.Span)) < 0
}

// TraceInfo is what StartTraceV3 says of a trace.
type TraceInfo struct {
	Version         Version
	Source          Source
	Name            string
	RequestTimeMS   int64
	DurationMS      int64
	State           string // OK or ERROR
	RequestPreview  string
	ResponsePreview string
	Session         string
	User            string
	// TokenUsage has every key that any span of the trace may carry: MLflow before 3.15
	// adds what is missing here a second time.
	TokenUsage map[string]int64
	Cost       string     // JSON of MLflow's mlflow.trace.cost; empty: not known
	Prompts    []Prompt   // that its jobs and stages used, the root's first
	Metadata   []KeyValue // further trace metadata
	Tags       []KeyValue
}
