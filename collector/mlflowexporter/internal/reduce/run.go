package reduce

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/wire"
)

// The tags that MLflow's own SDK sets on every run.
const (
	tagNote       = "mlflow.note.content"
	tagUser       = "mlflow.user"
	tagSourceName = "mlflow.source.name"
	tagSourceType = "mlflow.source.type"
	tagGitCommit  = "mlflow.source.git.commit"

	sourceTypeLocal = "LOCAL"
)

// Run states of MLflow.
const (
	statusFinished = "FINISHED"
	statusFailed   = "FAILED"
	statusKilled   = "KILLED"
)

const metricLatency = "latency_seconds"

// jobRun is the run of a job whose span is there.
func jobRun(s Span, key, parent string, m Mapping, plan *Plan) Run {
	b := newBuilder(s, m.job(s))
	b.otherwise(metricLatency, seconds(s.Span))
	b.cost(m.job(s), m.Prices, plan)
	b.artifacts(m.Artifacts, "", plan)
	if note := noteOf(b.span); note != "" {
		b.tags[tagNote] = note
	} else if b.tags[tagNote] == "" { // an application may give its own
		b.tagIf(tagNote, noteOfEvaluation(b.span))
	}
	run := b.run(key, parent)
	plan.Dropped = append(plan.Dropped, b.dropped...)
	run.Experiment = m.experiment(s)
	run.Prompts = s.prompts(m.job(s).Prompts)
	run.Datasets = datasets(b.span)
	run.Status = jobStatus(s)
	run.EndTime = endMS(s.Span)
	run.Version = versionOf(s.Span)
	return run
}

// jobStatus follows the outcome; jobs of applications that know no outcome follow the
// status of their span, as stages do.
func jobStatus(s Span) string {
	switch s.text(wire.AttrJobOutcome) {
	case "success", "no_urls", "gate_failed":
		return statusFinished
	case "error":
		return statusFailed
	case "cancelled":
		return statusKilled
	}
	return spanStatus(s)
}

// spanStatus is FAILED when the span says so, or names an error.
func spanStatus(s Span) string {
	if s.Span.Status().Code() == ptrace.StatusCodeError || s.text(wire.AttrErrorType) != "" {
		return statusFailed
	}
	return statusFinished
}

// stageRun is the run of one attempt at a stage. Gates that fail are a result, not a
// failure of the stage. Folder is that of its files in the flat layout.
func stageRun(s Span, key, parent, folder string, m Mapping, plan *Plan) Run {
	b := newBuilder(s, m.stage(s))
	b.otherwise(metricLatency, seconds(s.Span))
	b.cost(m.stage(s), m.Prices, plan)
	b.artifacts(m.Artifacts, folder, plan)
	run := b.run(key, parent)
	plan.Dropped = append(plan.Dropped, b.dropped...)
	run.Experiment = m.experiment(s)
	run.Prompts = s.prompts(m.stage(s).Prompts)
	run.Datasets = datasets(b.span)
	run.Status = spanStatus(s)
	run.EndTime = endMS(s.Span)
	run.Version = versionOf(s.Span)
	return run
}

// impliedRun is the run of a job of which only messages and stages are known. It reports
// false when they don't say enough to make one that the job's own span would not change.
func impliedRun(key string, spans []Span, m Mapping) (Run, bool) {
	var merged *builder
	start, told := int64(0), false
	for _, s := range spans {
		// A stage carries its own counts under the names that the job's roll-ups have, so
		// only a message, which speaks of nothing but the job, gives more than its identity.
		rules := m.job(s)
		if s.Kind != Started {
			rules.Rules = slices.DeleteFunc(slices.Clone(rules.Rules), func(r Rule) bool { return !r.Drop && !identifies(r, rules.Name) })
		}
		b := newBuilder(s, rules)
		clear(b.metrics)
		switch {
		case s.Other: // what names a stage does not name its job
			b.name, b.named = values.Clean(cmp.Or(b.span.resourceText(wire.ResServiceName), key), maxName), false
		case !b.named:
			b.name = key // this span's own name would be wrong for its job
		}
		if us, ok := s.integer(wire.AttrStartedAt); ok {
			start, told = us/1000, true
		} else if ms := startMS(s.Span); start == 0 || ms < start {
			start = ms // another application's job: the best there is until its span comes
		}
		if merged == nil {
			merged = b
			continue
		}
		merged.merge(b)
	}
	if merged == nil {
		return Run{}, false
	}
	run := merged.run(key, "")
	run.Experiment = m.experiment(merged.span)
	run.StartTime, run.StartGuessed = start, !told
	run.Implied = true
	return run, true
}

// builder collects what one span says of a run.
type builder struct {
	span    Span // without what is dropped
	raw     Span // as it came
	name    string
	named   bool // every attribute of the name's template was there
	params  map[string]string
	tags    map[string]string
	metrics map[string]float64
	files   []Artifact
	dropped []Drop            // metrics that are no numbers for MLflow
	why     map[string]string // see Run.Why
}

func newBuilder(s Span, m RunMapping) *builder {
	raw := s
	s = m.without(s)
	b := &builder{span: s, raw: raw, params: map[string]string{}, tags: maps.Clone(m.Tags), metrics: map[string]float64{}}
	if b.tags == nil {
		b.tags = map[string]string{}
	}
	maps.DeleteFunc(b.tags, func(_, value string) bool { return value == "" })
	b.name, b.named = m.nameOf(s)
	if m.Explain != "" {
		b.why = map[string]string{}
		for key := range b.tags {
			b.because("tag", key, "mapping::"+m.Explain+"::tags")
		}
		if !b.named {
			b.because("name", "run", "not mapping::"+m.Explain+"::name, which needs an attribute that the span does not have: the name of the span")
		}
	}
	b.source()
	for _, a := range m.apply(s) {
		b.apply(a.Rule, a.value)
		if b.why == nil {
			continue
		}
		for kind, name := range map[string]string{"param": a.Param, "tag": a.Tag, "metric": a.Metric, "trace_tag": a.TraceTag} {
			b.because(kind, name, fmt.Sprintf("mapping::%s::rules[%d] %s", m.Explain, a.index, a.Attribute))
		}
	}
	return b
}

// source sets the tags that tell who made the run, as MLflow's SDK does.
func (b *builder) source() {
	s := b.span
	b.tags[wire.TagTraceID] = s.Span.TraceID().String()
	b.tags[tagSourceType] = sourceTypeLocal
	b.tagIf(tagUser, s.resourceText(wire.ResProcessOwner))
	b.tagIf(tagSourceName, cmp.Or(s.resourceText(wire.ResExecutableName), s.resourceText(wire.ResServiceName)))
	b.tagIf(tagGitCommit, s.resourceText(wire.ResRevision))
}

// because notes the rule behind something, when that is asked for.
func (b *builder) because(kind, name, rule string) {
	if b.why != nil && name != "" {
		b.why[kind+" "+name] = rule
	}
}

func (b *builder) tagIf(key, value string) {
	if value != "" {
		b.tags[key] = value
	}
}

func (b *builder) apply(r Rule, v pcommon.Value) {
	if text := v.AsString(); text != "" {
		if r.Param != "" {
			b.params[r.Param] = text
		}
		if r.Tag != "" {
			b.tags[r.Tag] = text
		}
	}
	if r.Metric != "" {
		switch f, ok := number(v); {
		case ok && (f != 0 || !r.OmitZero):
			b.metric(r.Metric, f)
		case math.IsNaN(f) || math.IsInf(f, 0):
			b.dropped = append(b.dropped, Drop{
				TraceID: b.span.Span.TraceID().String(), Reason: DropNaN, Detail: b.span.Span.Name() + ": metric " + r.Metric + " is " + strconv.FormatFloat(f, 'g', -1, 64),
			})
		}
	}
}

func (b *builder) metric(key string, value float64) { b.metrics[key] = value }

// otherwise sets a metric unless a rule has.
func (b *builder) otherwise(key string, value float64) {
	if _, ok := b.metrics[key]; !ok {
		b.metric(key, value)
	}
}

// merge adds what another span says of the same run and keeps what is there.
func (b *builder) merge(o *builder) {
	if !b.named && o.named {
		b.name, b.named = o.name, true
	}
	for key, value := range o.params {
		if _, ok := b.params[key]; !ok {
			b.params[key] = value
		}
	}
	for name, rule := range o.why {
		if _, ok := b.why[name]; !ok {
			b.why[name] = rule
		}
	}
	for key, value := range o.tags {
		if _, ok := b.tags[key]; !ok {
			b.tags[key] = value
		}
	}
}

// artifacts reads the files that the span's events carry. A file whose hash is not what
// the worker wrote was changed on the way, for instance by a redaction processor; it is
// delivered as it is and named in a tag, as is one that the configuration leaves out.
func (b *builder) artifacts(filter *ArtifactFilter, folder string, plan *Plan) {
	var truncated, altered, skipped []string
	for _, e := range b.span.Span.Events().All() {
		if e.Name() != wire.EventArtifact {
			continue
		}
		a, sum, wrong := artifactOf(e)
		if wrong != "" {
			plan.Dropped = append(plan.Dropped, Drop{
				TraceID: b.span.Span.TraceID().String(), Reason: DropInvalidArtifact, Detail: b.span.Span.Name() + ": " + wrong,
			})
			continue
		}
		if !filter.keeps(a, folder) {
			skipped = append(skipped, a.Path)
			continue
		}
		switch {
		case a.Truncated:
			truncated = append(truncated, a.Path)
		case sum != "" && sum != a.SHA256:
			altered = append(altered, a.Path)
		}
		i := slices.IndexFunc(b.files, func(o Artifact) bool { return o.Path == a.Path })
		if i < 0 {
			b.files = append(b.files, a)
			continue
		}
		if b.files[i].SHA256 != a.SHA256 {
			plan.Dropped = append(plan.Dropped, Drop{
				TraceID: b.span.Span.TraceID().String(), Reason: DropInvalidArtifact, Detail: b.span.Span.Name() + ": " + a.Path + ", which a later event of the span holds otherwise",
			})
		}
		b.files[i] = a
	}
	slices.SortFunc(b.files, func(x, y Artifact) int { return cmp.Compare(x.Path, y.Path) })
	b.tagIf(wire.TagTruncated, joinSorted(truncated))
	b.tagIf(wire.TagAltered, joinSorted(altered))
	b.tagIf(wire.TagSkipped, joinSorted(skipped))
}

// misplaced drops artifacts on spans that are no run and so have no place for files. Of traces that
// nobody asked for nothing is said.
func (t *trace) misplaced(plan *Plan) {
	asked := slices.ContainsFunc(t.spans, func(s Span) bool { return s.Kind != Detail })
	for _, s := range t.spans {
		if s.Kind == Job || s.Kind == Stage || (!asked && !s.InTrace) {
			continue
		}
		for _, e := range s.Span.Events().All() {
			if e.Name() == wire.EventArtifact {
				plan.Dropped = append(plan.Dropped, Drop{
					TraceID: t.id.String(), Reason: DropInvalidArtifact, Detail: s.Span.Name() + ": " + cmp.Or(eventText(e, wire.AttrArtifactName), "an artifact") + ", on a span that is no run",
				})
			}
		}
	}
}

func joinSorted(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

func (b *builder) run(key, parent string) Run {
	if blank(b.name) {
		b.name = key // MLflow makes up a name for a run without one
	}
	run := Run{
		Key: key, ParentKey: parent,
		TraceID:   b.span.Span.TraceID().String(),
		Name:      b.name,
		StartTime: startMS(b.span.Span),
		Artifacts: b.files,
		Why:       b.why,
	}
	kept, others := alike(b.params)
	b.conflicts(kept, others)
	for _, key := range append(kept, others...) {
		run.Params = append(run.Params, KeyValue{key, values.Clean(b.params[key], maxParam)})
	}
	for _, key := range slices.Sorted(maps.Keys(b.tags)) {
		run.Tags = append(run.Tags, KeyValue{key, values.Clean(b.tags[key], maxTag)})
	}
	at := endMS(b.span.Span)
	for _, key := range slices.Sorted(maps.Keys(b.metrics)) {
		run.Metrics = append(run.Metrics, Metric{Key: key, Value: b.metrics[key], TimestampMS: at})
	}
	return run
}
