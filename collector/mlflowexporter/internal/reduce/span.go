package reduce

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Kind says what a span means to MLflow.
type Kind int

// The kinds of spans.
const (
	// Detail spans belong into the trace store at most.
	Detail Kind = iota
	// Job spans are runs of their own, and the roots of MLflow traces.
	Job
	// Stage spans are runs nested under a job.
	Stage
	// Started messages make a job's run visible before the job ends. They are no run
	// of their own and no part of a trace.
	Started
	// Feedback messages carry an assessment of a job. They are no run, create no run
	// and are no part of a trace.
	Feedback
	// Member spans are roots of traces that belong to the run of another trace: examples of an
	// evaluation. They are no runs.
	Member
)

// String returns the name of the kind as the documentation spells it.
func (k Kind) String() string {
	switch k {
	case Job:
		return "job"
	case Stage:
		return "stage"
	case Started:
		return "started"
	case Feedback:
		return "feedback"
	case Member:
		return "member"
	default:
		return "detail"
	}
}

// Span is a span together with what it means. It refers to the received data, which
// Reduce reads and never changes.
type Span struct {
	Kind Kind
	// Other is set for jobs and stages that Mapping.OtherJob and OtherStage describe.
	Other bool
	// InTrace is set when the span belongs into MLflow's trace store. It is ignored for
	// messages.
	InTrace  bool
	Resource pcommon.Resource
	Scope    pcommon.InstrumentationScope
	Span     ptrace.Span
}
