package reduce

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/pricing"
	"github.com/technoshare/commentator/internal/wire"
)

// Span attributes that MLflow reads. They win over its translation of other conventions.
const (
	attrSpanType      = "mlflow.spanType"
	attrSpanInputs    = "mlflow.spanInputs"
	attrSpanOutputs   = "mlflow.spanOutputs"
	attrModel         = "mlflow.llm.model"
	attrProvider      = "mlflow.llm.provider"
	attrMessageFormat = "mlflow.message.format"
	attrChatTools     = "mlflow.chat.tools"

	// Server-side bookkeeping that a span must not overwrite.
	prefixTraceTag     = "mlflow.traceTag.mlflow."
	attrTraceRequestID = "mlflow.traceRequestId"
	attrExperimentID   = "mlflow.experimentId"

	attrConversationID = "gen_ai.conversation.id"
	attrSystem         = "gen_ai.system" // name of gen_ai.provider.name before semconv 1.37
)

// AttrTokenUsage has the tokens of a span, as JSON; spans without any do not have it.
const AttrTokenUsage = "mlflow.chat.tokenUsage"

// AttrCost has what a span cost, as JSON; spans that cost nothing, or nobody knows what, do not have it.
const AttrCost = "mlflow.llm.cost"

const (
	stateOK    = "OK"
	stateError = "ERROR"
)

// keptResource are the resource attributes that go along. Everything that MLflow gets
// here becomes a tag of the trace, so the many that describe host and SDK stay out.
var keptResource = []string{wire.ResServiceName, wire.ResServiceVersion, wire.ResEnvironment}

// stripped are attributes by which MLflow knows a trace; it sets them itself.
var stripped = []string{attrTraceRequestID, attrExperimentID}

// usageAttributes are the token counts of one model call.
var usageAttributes = []string{
	wire.AttrUsageInput, wire.AttrUsageOutput, wire.AttrUsageCacheRead, wire.AttrUsageCacheCreation, wire.AttrUsageReasoning,
}

// translate makes the part of the MLflow trace that the batch holds, and adds to the plan the models
// without a price that no run named. It reports false when none of its spans belongs there.
func (t *trace) translate(jobs []Span, m Mapping, plan *Plan) (Trace, bool) {
	var unpriced []string
	out := Trace{TraceID: pcommon.TraceID(t.id).String(), RunKey: wire.JobKey(t.id), Spans: ptrace.NewTraces()}
	byResource := map[string]ptrace.SpanSlice{}
	for _, s := range t.ordered() {
		if !s.InTrace || s.Kind == Started || s.Kind == Feedback {
			continue
		}
		shown := m.shown(s)
		unpriced = append(unpriced, native(s, shown, m, target(out.Spans, byResource, shown))...)
	}
	if out.Spans.SpanCount() == 0 {
		return Trace{}, false
	}
	if root, ok := rootOf(jobs); ok {
		out.RunKey = t.jobKey(root)
		out.Info, unpriced = infoOf(root, m, unpriced)
		out.Info.Source.Rank = RankChild
		if root.Span.ParentSpanID().IsEmpty() {
			out.Info.Source.Rank = RankRoot
		}
	} else if root, ok := t.member(); ok {
		if owner, ok := root.owner(); ok {
			out.RunKey = owner
		}
		out.Info, unpriced = infoOf(root, m, unpriced)
		out.Info.Source.Rank = RankMember
	}
	if out.Info != nil {
		for _, s := range jobs {
			out.Info.Prompts = united(out.Info.Prompts, s.prompts(m.job(s).Prompts))
		}
		for _, s := range t.of(Stage) {
			out.Info.Prompts = united(out.Info.Prompts, s.prompts(m.stage(s).Prompts))
		}
	}
	for _, model := range slices.Compact(slices.Sorted(slices.Values(unpriced))) {
		if one := (Unpriced{TraceID: out.TraceID, Model: model}); !slices.Contains(plan.Unpriced, one) {
			plan.Unpriced = append(plan.Unpriced, one)
		}
	}
	return out, true
}

// ordered returns the spans by start, so that equal batches give equal requests.
func (t *trace) ordered() []Span {
	return slices.SortedStableFunc(slices.Values(t.spans), func(a, b Span) int {
		return cmp.Or(
			cmp.Compare(a.Span.StartTimestamp(), b.Span.StartTimestamp()),
			cmp.Compare(a.Span.SpanID().String(), b.Span.SpanID().String()))
	})
}

// rootOf is the job that stands for the whole trace: the one without a parent, or else
// the one that started first.
func rootOf(jobs []Span) (Span, bool) {
	jobs = slices.DeleteFunc(slices.Clone(jobs), func(s Span) bool { return !s.InTrace })
	for _, s := range jobs {
		if s.Span.ParentSpanID().IsEmpty() {
			return s, true
		}
	}
	if len(jobs) == 0 {
		return Span{}, false
	}
	return jobs[0], true
}

// target appends an empty span under a resource that holds what is kept of the span's own.
func target(td ptrace.Traces, byResource map[string]ptrace.SpanSlice, s Span) ptrace.Span {
	var key strings.Builder
	for _, name := range keptResource {
		key.WriteString(s.resourceText(name) + "\x00")
	}
	slice, ok := byResource[key.String()]
	if !ok {
		rs := td.ResourceSpans().AppendEmpty()
		for _, name := range keptResource {
			if v := values.Clean(s.resourceText(name), maxTag); v != "" {
				rs.Resource().Attributes().PutStr(name, v)
			}
		}
		scope := rs.ScopeSpans().AppendEmpty()
		scope.Scope().SetName(values.Clean(s.Scope.Name(), maxName))
		slice = scope.Spans()
		byResource[key.String()] = slice
	}
	return slice.AppendEmpty()
}

// native copies a span, without what is dropped, into the form in which MLflow's own SDK would have
// written it. It gives the models without a price that the span as it came says were called.
func native(raw, s Span, m Mapping, dst ptrace.Span) (unpriced []string) {
	s.Span.CopyTo(dst)
	dst.SetName(values.Clean(dst.Name(), maxName))
	clampTimes(dst)
	dst.Status().SetMessage(values.Clean(dst.Status().Message(), maxTag))
	if dst.Status().Code() == ptrace.StatusCodeUnset { // the SDK says OK of what ended without an error
		dst.Status().SetCode(ptrace.StatusCodeOk)
	}
	dst.TraceState().FromRaw("")
	dst.Events().RemoveIf(func(e ptrace.SpanEvent) bool { return e.Name() == wire.EventArtifact })
	for _, e := range dst.Events().All() {
		e.SetName(values.Clean(e.Name(), 0))
		cleanMap(e.Attributes())
	}
	for _, l := range dst.Links().All() {
		l.TraceState().FromRaw("")
		cleanMap(l.Attributes())
	}
	attrs := dst.Attributes()
	cleanMap(attrs)
	// The order matters: usage and content are read before what they come from is removed.
	spanType := typeOf(s, m)
	unpriced = usage(raw, s, attrs, m.Prices)
	content(s, attrs)
	attrs.PutStr(attrSpanType, values.Clean(spanType, maxSpanType))
	sanitize(attrs)
	failure(s, dst)
	return unpriced
}

// usage writes model, provider and tokens of a model call, whatever its kind, and takes the
// totals off the spans above it: MLflow adds them up itself, before 3.15 without noticing that it counts
// twice. It gives the models without a price. What is dropped costs as much as it did.
func usage(raw, s Span, attrs pcommon.Map, prices *pricing.Table) (unpriced []string) {
	if s.sumsUp() {
		for _, name := range usageAttributes {
			attrs.Remove(name)
		}
		attrs.Remove(AttrTokenUsage)
		attrs.Remove(AttrCost)
		return nil
	}
	for _, name := range usageAttributes { // MLflow would read what we do not
		if v, ok := attrs.Get(name); ok {
			if _, ok := count(v); !ok {
				attrs.Remove(name)
			}
		}
	}
	if model := cmp.Or(s.text(wire.AttrGenAIResponseModel), s.text(wire.AttrGenAIRequestModel)); model != "" {
		putNew(attrs, attrModel, values.Clean(model, maxName))
	}
	if provider := s.provider(); provider != "" {
		putNew(attrs, attrProvider, values.Clean(provider, maxName))
	}
	if counts := tokenUsage(s); counts != nil {
		body, _ := json.Marshal(counts) // a map of whole numbers cannot fail
		putNew(attrs, AttrTokenUsage, string(body))
	}
	// Without a cost of ours MLflow computes one itself: without regard to the cache, and the
	// first time for seconds, while it tries to fetch prices.
	if own, ok := attrs.Get(AttrCost); ok && wholeCost(own.AsString()) {
		return nil
	}
	spent := raw.spend(nil, prices)
	if spent.known {
		attrs.PutStr(AttrCost, costJSON(spent.cost))
	}
	return spent.unknown
}

// tokenUsage gives the five counts that MLflow knows, or nil when no token was used. The
// input includes what came from the cache.
func tokenUsage(s Span) map[string]int64 {
	in, _ := s.integer(wire.AttrUsageInput)
	out, _ := s.integer(wire.AttrUsageOutput)
	read, _ := s.integer(wire.AttrUsageCacheRead)
	created, _ := s.integer(wire.AttrUsageCacheCreation)
	if in == 0 && out == 0 && read == 0 && created == 0 {
		return nil
	}
	return map[string]int64{
		"input_tokens": in, "output_tokens": out, "total_tokens": plus(in, out),
		"cache_read_input_tokens": read, "cache_creation_input_tokens": created,
	}
}

func putNew(attrs pcommon.Map, key, value string) {
	if _, ok := attrs.Get(key); !ok {
		attrs.PutStr(key, value)
	}
}

// sanitize removes and shortens what makes MLflow refuse a whole request, measured on
// 3.17.2 with SQLite and Postgres.
func sanitize(attrs pcommon.Map) {
	attrs.RemoveIf(func(key string, v pcommon.Value) bool {
		switch {
		case slices.Contains(stripped, key), strings.HasPrefix(key, prefixTraceTag), key == "":
			return true
		case key == AttrTokenUsage:
			return !numbersOnly(v.AsString(), true)
		case key == AttrCost:
			return !numbersOnly(v.AsString(), false)
		}
		return false
	})
	for _, key := range []string{wire.AttrSessionID, wire.AttrUserID, attrConversationID} {
		if v, ok := attrs.Get(key); ok {
			v.SetStr(values.Clean(v.AsString(), maxTraceValue))
		}
	}
}

// sourceTags are the tags of a run that are metadata of its trace too, sorted.
var sourceTags = []string{tagGitCommit, tagSourceName, tagSourceType, tagUser}

// infoOf is what the root says of its trace. To the models without a price that were called below it
// those are added that it speaks of itself, and a tag names all.
func infoOf(root Span, m Mapping, unpriced []string) (*TraceInfo, []string) {
	b := newBuilder(root, m.job(root))
	said := b.span // without what is dropped
	info := &TraceInfo{
		Version:         versionOf(root.Span),
		Source:          Source{Start: start(root.Span), Span: root.Span.SpanID().String()},
		Name:            b.name,
		RequestTimeMS:   startMS(root.Span),
		DurationMS:      int64(end(root.Span)-start(root.Span)) / nanosPerMilli,
		State:           stateOK,
		RequestPreview:  values.Clean(said.text(wire.AttrInput), maxPreview),
		ResponsePreview: values.Clean(said.text(wire.AttrOutput), maxPreview),
		Session:         values.Clean(cmp.Or(said.text(wire.AttrSessionID), said.text(attrConversationID)), maxTraceValue),
		User:            values.Clean(said.text(wire.AttrUserID), maxTraceValue),
		TokenUsage:      tokenUsage(said),
		Prompts:         root.prompts(m.job(root).Prompts),
	}
	spent := root.spend(m.job(root).Costs, m.Prices)
	if spent.known {
		info.Cost = costJSON(spent.cost)
	}
	if _, told := b.metrics[metricCost]; !told {
		unpriced = append(unpriced, spent.unknown...)
	}
	unpriced = slices.Compact(slices.Sorted(slices.Values(unpriced)))
	if jobStatus(root) != statusFinished {
		info.State = stateError
	}
	for _, key := range sourceTags {
		if v, ok := b.tags[key]; ok {
			info.Metadata = append(info.Metadata, KeyValue{key, values.Clean(v, maxMetadata)})
		}
	}
	tags := map[string]string{wire.TagUnknownModel: strings.Join(unpriced, ", ")}
	for _, a := range m.job(root).apply(said) {
		if a.TraceTag != "" {
			tags[a.TraceTag] = a.value.AsString()
		}
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if tags[key] != "" {
			info.Tags = append(info.Tags, KeyValue{key, values.Clean(tags[key], maxTag)})
		}
	}
	return info, unpriced
}
