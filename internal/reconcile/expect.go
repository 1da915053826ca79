package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/wire"
)

// What MLflow's own SDK sets on every run and trace, by the names of docs/WIRE.md.
const (
	tagRunName    = "mlflow.runName"
	tagParentRun  = "mlflow.parentRunId"
	tagNote       = "mlflow.note.content"
	tagUser       = "mlflow.user"
	tagSourceName = "mlflow.source.name"
	tagSourceType = "mlflow.source.type"
	tagGitCommit  = "mlflow.source.git.commit"

	metaSourceRun  = "mlflow.sourceRun"
	metaSession    = "mlflow.trace.session"
	metaUser       = "mlflow.trace.user"
	metaTokenUsage = "mlflow.trace.tokenUsage"

	metricLatency = "latency_seconds"
	metricCost    = "cost_usd"
)

// wantRun is a run that MLflow must hold.
type wantRun struct {
	key, parent  string // parent is the key of the run above it, or ""
	name, status string
	// whole is set when the run's own span is there; without it only what is above counts.
	whole      bool
	experiment string // "": the default one
	start, end int64  // ms since 1970
	params     map[string]string
	tags       map[string]string // all but MLflow's own
	system     map[string]string // those of MLflow's own that are known
	metrics    map[string]float64
	said       map[string]float64 // metrics that verdicts make
	files      map[string]string  // SHA-256 by path
	spent      bool               // tokens were used, so a price is due
	note       []string           // texts that the note holds
}

// runs are the runs that MLflow must hold of a job, its own first.
func (j Job) runs() []wantRun {
	if !j.Recorded() {
		return nil
	}
	own := wantRun{key: j.TraceID, name: fmt.Sprintf("job_%d", j.ID), status: "RUNNING"}
	if j.Final() {
		own.status = statusOf(j.Outcome)
	}
	out := []wantRun{own}
	for _, s := range j.Stages {
		status := "FINISHED"
		if s.Failed {
			status = "FAILED"
		}
		out = append(out, wantRun{key: j.TraceID + "-" + s.SpanID, parent: j.TraceID, name: s.Name, status: status})
	}
	for _, s := range j.spans {
		if !s.root() && s.stage() == "" {
			continue
		}
		i := slices.IndexFunc(out, func(w wantRun) bool { return w.key == s.key() })
		if i < 0 {
			i, out = len(out), append(out, wantRun{key: s.key(), parent: j.TraceID, name: s.stage()})
		}
		out[i].describe(s)
	}
	if out[0].whole {
		j.judgeRun(&out[0])
	}
	return out
}

func statusOf(outcome string) string {
	switch outcome {
	case "error":
		return "FAILED"
	case "cancelled":
		return "KILLED"
	}
	return "FINISHED"
}

// describe adds what the run's own span says.
func (w *wantRun) describe(s span) {
	scope := wire.OnStage
	w.whole, w.experiment = true, s.text(wire.ResExperiment)
	w.start, w.end = s.startMS(), s.endMS()
	w.status = "FINISHED"
	if s.root() {
		scope = wire.OnJob
		w.status = statusOf(s.text(wire.AttrJobOutcome))
		w.note = notes(s)
	} else if s.failed || s.text(wire.AttrErrorType) != "" {
		w.status = "FAILED"
	}
	w.params = carried(s, wire.KindParam, scope)
	w.tags = carried(s, wire.KindTag, scope)
	w.tags[wire.TagKey], w.tags[wire.TagTraceID] = w.key, s.trace
	if s.root() {
		w.tags["component"] = "pipeline"
	}
	w.system = map[string]string{tagSourceType: "LOCAL"}
	for tag, attributes := range map[string][]string{
		tagUser: {wire.ResProcessOwner}, tagSourceName: {wire.ResExecutableName, wire.ResServiceName}, tagGitCommit: {wire.ResRevision},
	} {
		for _, a := range slices.Backward(attributes) {
			if v := s.text(a); v != "" {
				w.system[tag] = v
			}
		}
	}
	w.metrics = measured(s, scope)
	w.spent = w.metrics["input_tokens"]+w.metrics["output_tokens"] > 0
	w.files = map[string]string{}
	var truncated, altered []string
	for path, f := range s.files {
		w.files[path] = f.sum
		if f.truncated {
			truncated = append(truncated, path)
		}
		if f.altered {
			altered = append(altered, path)
		}
	}
	for tag, names := range map[string][]string{wire.TagTruncated: truncated, wire.TagAltered: altered} {
		if slices.Sort(names); len(names) > 0 {
			w.tags[tag] = strings.Join(names, ", ")
		}
	}
}

// notes are texts that the note of a job must hold.
func notes(root span) []string {
	var out []string
	if first, _, _ := strings.Cut(root.text(wire.AttrCommentText), "\n"); first != "" {
		out = append(out, first)
	}
	if link := root.text(wire.AttrSlackPermalink); link != "" {
		out = append(out, link)
	}
	return out
}

// carried are the params or tags of the catalog that are made from one attribute.
func carried(s span, kind wire.Kind, scope wire.Scope) map[string]string {
	out := map[string]string{}
	for e := range made(kind, scope) {
		if v := printable(s.text(e.From)); v != "" && !strings.HasPrefix(e.Name, "mlflow.") {
			out[e.Name] = v
		}
	}
	return out
}

// made lists the names of the catalog that runs of a scope have.
func made(kind wire.Kind, scope wire.Scope) func(func(wire.Entry) bool) {
	return func(yield func(wire.Entry) bool) {
		for _, e := range wire.Catalog() {
			on := wire.Scope(e.Type) == scope || wire.Scope(e.Type) == wire.OnBoth && scope != wire.OnTrace
			// What is made of files is not an attribute of the span.
			if e.Kind == kind && on && !e.Later && !strings.HasPrefix(e.From, wire.EventArtifact+".") && !yield(e) {
				return
			}
		}
	}
}

// measured are the metrics of a run but for its cost.
func measured(s span, scope wire.Scope) map[string]float64 {
	out := map[string]float64{metricLatency: float64(s.end-s.start) / 1e9}
	for e := range made(wire.KindRunValue, scope) {
		v, ok := s.number(e.From)
		if ok && (v != 0 || !strings.HasSuffix(e.Name, "_tokens")) { // a kind of token that was not used has none
			out[e.Name] = v
		}
	}
	return out
}

// printable is a text as databases take it.
func printable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// wantTrace is a trace that MLflow must hold.
type wantTrace struct {
	id, experiment  string
	spans           []Span
	whole           bool // the root is there; without it only spans count
	state, run      string
	name            string
	start, duration int64 // ms
	session, user   string
	tags            map[string]string
	tokens          map[string]int64 // of all model calls, by MLflow's names
}

// trace is the trace that MLflow must hold of a job; false when it has none.
func (j Job) trace() (w wantTrace, ok bool) {
	w = wantTrace{id: "tr-" + j.TraceID, tokens: map[string]int64{}}
	for _, s := range j.spans {
		if s.text(wire.AttrJobDetail) != wire.DetailFull || s.is(wire.TierMessage) {
			continue
		}
		status := "OK"
		if s.failed {
			status = "ERROR"
		}
		w.experiment = s.text(wire.ResExperiment)
		w.spans = append(w.spans, Span{ID: s.id, Parent: s.parent, Name: s.name, Status: status})
		switch {
		case s.root():
			w.describe(s)
		case s.is(wire.TierDetail):
			w.addTokens(s)
		}
	}
	return w, len(w.spans) > 0
}

func (w *wantTrace) describe(root span) {
	w.whole, w.run = true, root.trace
	w.state = "OK"
	if statusOf(root.text(wire.AttrJobOutcome)) != "FINISHED" {
		w.state = "ERROR"
	}
	w.name = "job_" + root.text(wire.AttrJobID)
	w.start, w.duration = root.startMS(), int64(root.end-root.start)/perMilli
	w.session, w.user = root.text(wire.AttrSessionID), root.text(wire.AttrUserID)
	w.tags = carried(root, wire.KindTraceTag, wire.OnTrace)
}

func (w *wantTrace) addTokens(call span) {
	for name, attributes := range map[string][]string{
		"input_tokens":                {wire.AttrUsageInput},
		"output_tokens":               {wire.AttrUsageOutput},
		"total_tokens":                {wire.AttrUsageInput, wire.AttrUsageOutput},
		"cache_read_input_tokens":     {wire.AttrUsageCacheRead},
		"cache_creation_input_tokens": {wire.AttrUsageCacheCreation},
	} {
		for _, a := range attributes {
			if n, ok := call.number(a); ok && n != 0 {
				w.tokens[name] += int64(n)
			}
		}
	}
}
