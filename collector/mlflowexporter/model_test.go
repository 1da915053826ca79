package mlflowexporter

import (
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/wire"
)

// state is a model of MLflow: what is there after plans were applied the way
// internal/apply does it. It makes the properties of plans testable without a server.
type state struct {
	runs   map[string]*modelRun
	traces map[string]*modelTrace
}

type modelRun struct {
	Parent, Experiment, Name, Status string
	Start, End                       int64
	Params, Tags                     map[string]string
	Metrics                          map[string]float64
	Artifacts                        map[string]string
	version                          reduce.Version
}

type modelTrace struct {
	Run, Experiment string
	Info            *reduce.TraceInfo
	Spans           map[string]ptrace.Span
}

func newState() *state {
	return &state{runs: map[string]*modelRun{}, traces: map[string]*modelTrace{}}
}

func (m *state) apply(p reduce.Plan) {
	for _, r := range p.Runs {
		m.applyRun(r)
	}
	for _, t := range p.Traces {
		m.applyTrace(t)
	}
}

func (m *state) applyRun(r reduce.Run) {
	run, known := m.runs[r.Key]
	if known && r.Version.Before(run.version) {
		return
	}
	if !known {
		run = &modelRun{
			Experiment: r.Experiment, Start: r.StartTime, Status: "RUNNING",
			Params: map[string]string{}, Tags: map[string]string{}, Metrics: map[string]float64{}, Artifacts: map[string]string{},
		}
		run.Tags[wire.TagKey] = r.Key
		m.runs[r.Key] = run
	}
	if !known || !r.Implied {
		run.Parent, run.Name, run.version = r.ParentKey, r.Name, r.Version
	}
	if r.Status != "" {
		run.Status, run.End = r.Status, r.EndTime
	}
	for _, kv := range r.Params {
		run.Params[kv.Key] = kv.Value
	}
	for _, kv := range r.Tags {
		run.Tags[kv.Key] = kv.Value
	}
	for _, x := range r.Metrics {
		run.Metrics[x.Key] = x.Value
	}
	for _, a := range r.Artifacts {
		run.Artifacts[a.Path] = a.SHA256
	}
}

func (m *state) applyTrace(t reduce.Trace) {
	trace, known := m.traces[t.TraceID]
	if !known {
		trace = &modelTrace{Experiment: t.Experiment, Spans: map[string]ptrace.Span{}}
		m.traces[t.TraceID] = trace
	}
	if t.Info != nil && (trace.Info == nil || !t.Info.Version.Before(trace.Info.Version)) {
		trace.Info, trace.Run = t.Info, t.RunKey
	}
	for _, rs := range t.Spans.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				trace.Spans[s.SpanID().String()] = s
			}
		}
	}
}

// ownTags are the tags of a run that are not MLflow's own.
func (r *modelRun) ownTags() map[string]string {
	own := maps.Clone(r.Tags)
	maps.DeleteFunc(own, func(key, _ string) bool { return strings.HasPrefix(key, "mlflow.") })
	return own
}

// bySpan splits a request into requests of one span each.
func bySpan(td ptrace.Traces) []ptrace.Traces {
	var parts []ptrace.Traces
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				part := ptrace.NewTraces()
				to := part.ResourceSpans().AppendEmpty()
				rs.Resource().CopyTo(to.Resource())
				scope := to.ScopeSpans().AppendEmpty()
				ss.Scope().CopyTo(scope.Scope())
				s.CopyTo(scope.Spans().AppendEmpty())
				parts = append(parts, part)
			}
		}
	}
	return parts
}

func splitAll(requests []ptrace.Traces) []ptrace.Traces {
	var parts []ptrace.Traces
	for _, td := range requests {
		parts = append(parts, bySpan(td)...)
	}
	return parts
}

func joined(requests []ptrace.Traces) ptrace.Traces {
	all := ptrace.NewTraces()
	for _, td := range requests {
		part := ptrace.NewTraces()
		td.CopyTo(part)
		part.ResourceSpans().MoveAndAppendTo(all.ResourceSpans())
	}
	return all
}

func reversed(requests []ptrace.Traces) []ptrace.Traces {
	back := slices.Clone(requests)
	slices.Reverse(back)
	return back
}
