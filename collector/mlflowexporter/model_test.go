package mlflowexporter

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	scores map[string]reduce.Score // by id
}

type modelRun struct {
	Parent, Experiment, Name, Status string
	Start, End                       int64
	Params, Tags                     map[string]string
	Metrics                          map[string]float64
	Artifacts                        map[string]string
	Prompts                          []reduce.Prompt
	Datasets                         []reduce.Dataset
	version                          reduce.Version
}

type modelTrace struct {
	Run, Experiment string
	Info            *reduce.TraceInfo
	Spans           map[string]ptrace.Span
}

func newState() *state {
	return &state{runs: map[string]*modelRun{}, traces: map[string]*modelTrace{}, scores: map[string]reduce.Score{}}
}

func (m *state) apply(p reduce.Plan) {
	for _, r := range p.Runs {
		m.applyRun(r)
	}
	for _, t := range p.Traces {
		m.applyTrace(t)
	}
	for _, s := range p.Scores {
		if known, ok := m.scores[s.ID]; !ok || known.Version.Before(s.Version) {
			m.scores[s.ID] = s
		}
	}
}

// judged adds what the verdicts come to to the runs that there are.
func (m *state) judged() *state {
	type key struct{ run, name string }
	sums := map[key][]reduce.Score{}
	for _, id := range slices.Sorted(maps.Keys(m.scores)) {
		k := key{m.scores[id].RunKey, m.scores[id].Name}
		sums[k] = append(sums[k], m.scores[id])
	}
	for k, scores := range sums {
		run := m.runs[k.run]
		if run == nil {
			continue
		}
		said, n, total := map[string]int{}, 0, 0.0
		for _, s := range scores {
			if !s.Retracted {
				n, total = n+1, total+*s.Number
				said[cmp.Or(s.Label, string(s.Value))]++
			}
		}
		run.Metrics[wire.FeedbackCount(k.name)], run.Metrics[wire.FeedbackMean(k.name)] = float64(n), total/float64(max(n, 1))
		var words []string
		for _, word := range slices.Sorted(maps.Keys(said)) {
			if n > 1 {
				word += " " + strconv.Itoa(said[word])
			}
			words = append(words, word)
		}
		if n > 0 {
			run.Tags[wire.TagFeedbackPrefix+k.name] = strings.Join(words, ", ")
		}
	}
	return m
}

// assessments are the verdicts on a trace, as the table of expectations spells them.
func (m *state) assessments(traceID string) (all []string) {
	for _, s := range m.scores {
		if s.TraceID == traceID && s.InTrace && !s.Retracted {
			all = append(all, fmt.Sprintf("%s=%s by %s: %s", s.Name, s.Value, s.SourceID, s.Why))
		}
	}
	slices.Sort(all)
	return all
}

// promptTexts are prompts as the table of expectations spells them.
func promptTexts(used []reduce.Prompt) (all []string) {
	for _, p := range used {
		all = append(all, p.Name+"@"+p.SHA256)
	}
	return all
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
		run.Parent, run.Name, run.version, run.Prompts, run.Datasets = r.ParentKey, r.Name, r.Version, r.Prompts, r.Datasets
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
