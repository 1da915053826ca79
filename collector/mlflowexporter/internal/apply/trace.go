package apply

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// Limits of trace info, in characters. What a reader parses (session, usage) is cut at
// 250 when MLflow gives it back.
const (
	maxTraceName = 4096
	maxPreview   = 1000
	// maxVerdictRounds is how often what a trace's judges said is read again because another
	// one spoke in between.
	maxVerdictRounds = 3
)

// trace is one trace of a plan while it is being applied.
type trace struct {
	reduce.Trace
	job   *job
	owner *run // the run that the trace belongs to, when that is one of another trace of the plan
	exp   experiment
	rec   *ledger.Trace
	spans []span // that MLflow has to get
	first bool   // MLflow is told of it before it gets the spans
	late  bool   // MLflow may have been told of it before it gets the spans; until the record is there: MLflow has it
	sums  int    // how often its totals were told
	skip  bool
	used  []mlflow.PromptVersion // nil: not asked for, or none
}

// prepare finds out which spans of a trace MLflow lacks.
func (a *Applier) prepare(ctx context.Context, t *trace) error {
	j := t.job
	if !a.takesTraces() {
		t.off()
		return nil
	}
	if j.entry.Job.Trace == nil {
		home, err := a.home(ctx, t)
		if err != nil {
			if permanent(err) {
				t.skip = true
				t.bury(err)
			}
			return fmt.Errorf("find the trace: %w", err)
		}
		j.entry.Job.Trace = &ledger.Trace{Experiment: cmp.Or(home, t.exp.ref), Spans: ledger.Spans{}, Elsewhere: t.late}
	}
	t.rec = j.entry.Job.Trace
	if t.rec.Experiment != t.exp.ref {
		id, _, _ := strings.Cut(t.rec.Experiment, "@")
		replaced := id == t.exp.id
		if replaced {
			a.missed(t.rec.Experiment)
		} else {
			var err error
			if replaced, err = a.replaced(ctx, t.rec.Experiment); err != nil {
				return err
			}
		}
		if !replaced {
			// MLflow would move the whole trace.
			t.skip = true
			j.count(EventForeignTrace)
			err := finalError{fmt.Errorf("the trace lives in experiment %s, not %s: foreign_trace", id, t.exp.id)}
			t.bury(err)
			return err
		}
		*t.rec = ledger.Trace{Experiment: t.exp.ref} // the same id in a new database
	}
	if t.rec.Spans == nil {
		t.rec.Spans = ledger.Spans{}
	}
	t.spans = missing(t.Spans, t.rec.Spans)
	if err := a.leaveDeleted(ctx, t); err != nil || t.skip {
		return err
	}
	t.late = a.isLate(t)
	known := len(t.rec.Spans) > 0 || len(t.rec.Info) > 0 || t.rec.Elsewhere
	t.first = len(t.spans) > 0 && !known && a.toldFirst() && t.tellable()
	return nil
}

// off leaves out a trace that the server does not take.
func (t *trace) off() {
	if !t.skip {
		t.skip = true
		t.job.count(EventTracesOff)
	}
}

// tellable reports whether spans leave what info says as it is. MLflow 3.15 and newer look
// whether they were told of a trace only when its spans say what they cost, and make tags of the
// attributes of a resource. Spans of several requests come first: all but those of the first would be
// missing from the totals.
func (t *trace) tellable() bool {
	size := 0
	for _, s := range t.spans {
		size += s.size
	}
	if t.Info == nil || size > maxRequest {
		return false
	}
	for _, rs := range t.Spans.ResourceSpans().All() {
		for _, kv := range t.Info.Tags {
			if _, ok := rs.Resource().Attributes().Get(kv.Key); ok {
				return false
			}
		}
	}
	return slices.ContainsFunc(t.spans, func(s span) bool {
		_, ok := s.span.Attributes().Get(reduce.AttrTokenUsage)
		return ok
	})
}

// home asks MLflow for the experiment of a trace that may be older than the ledger.
func (a *Applier) home(ctx context.Context, t *trace) (ref string, err error) {
	known := len(t.job.runs) > 0 || a.ledger.Complete(t.start())
	for _, r := range t.job.runs {
		known = known && a.known(r)
	}
	if known && !a.cfg.Shared {
		return "", nil
	}
	info, err := a.readTrace(ctx, t.TraceID)
	if mlflow.IsCode(err, mlflow.CodeNotFound) {
		return "", nil
	}
	t.late = err == nil
	if id := info.Location.Experiment.ID; err == nil && id != t.exp.id {
		return id, nil
	}
	return "", err
}

// start is when the first of the spans that came began, in ms since 1970.
func (t *trace) start() int64 {
	first := int64(math.MaxInt64)
	if !hasSpans(t.Spans) {
		return first
	}
	for _, rs := range t.Spans.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				first = min(first, s.StartTimestamp().AsTime().UnixMilli())
			}
		}
	}
	return first
}

// tellTraces tells MLflow what it must know of the traces of a job, of those that want it before
// their spans, or of the others after them.
func (a *Applier) tellTraces(ctx context.Context, j *job, first bool) {
	for _, t := range j.traces {
		if t.first != first && (first || t.rec == nil || !t.rec.Recount) {
			continue
		}
		id := t.runID() // a job whose run could not be made is tried again, whole
		if t.owner != nil {
			if t.owner.job.stopped() && !j.fail(fmt.Errorf("the run of the trace is not made: %w", errRetry)) {
				return
			}
			if t.rec != nil {
				t.rec.Run = id
			}
		}
		if j.stopped() {
			return
		}
		if err := a.tell(ctx, t); err != nil {
			err = fmt.Errorf("write info of trace: %w", err)
			if j.fail(err) {
				a.bury(j, "trace_info", t.TraceID, err)
			}
		}
	}
}

// complete finishes the job's own run, last of all, and gives it its scores.
func (a *Applier) complete(ctx context.Context, j *job) {
	if j.stopped() {
		return
	}
	for _, r := range j.tops() {
		if err := a.finish(ctx, r); err != nil {
			j.fail(fmt.Errorf("finish run %s: %w", r.Name, err))
		}
	}
	if !j.stopped() {
		a.applyScores(ctx, j)
	}
}

// tell sends the info of a trace if its root is known, and anything of the trace changed
// since MLflow was told last: spans that arrive later would otherwise count their tokens
// twice on servers before 3.15.
func (a *Applier) tell(ctx context.Context, t *trace) error {
	if t.skip || t.rec == nil {
		return nil
	}
	if t.Info != nil && (len(t.rec.Info) == 0 || t.Info.Replaces(t.rec.Source, t.rec.Version)) {
		used, err := a.versions(ctx, t.Info.Prompts)
		if err != nil {
			return err
		}
		body, err := json.Marshal(a.info(t, used))
		if err != nil {
			return finalError{fmt.Errorf("encode trace info: %w", err)}
		}
		t.used = used
		t.rec.Version, t.rec.Source, t.rec.Info, t.rec.Told, t.rec.Prompts = t.Info.Version, t.Info.Source, body, false, used
	}
	info, added := t.rec.Info, false
	if t.rec.Recount {
		var err error
		if info, added, err = a.withTotals(ctx, t); err != nil {
			return err
		}
	}
	t.rec.Recount = added
	if len(info) == 0 {
		return nil
	}
	if t.rec.Told && !added {
		return a.linkTrace(ctx, t)
	}
	err := a.failed.result("trace", t.TraceID, a.startTrace(ctx, "tr-"+t.TraceID, info))
	var e *mlflow.Error
	if errors.As(err, &e) && (e.Inactive() || mlflow.IsCode(err, mlflow.CodeNotFound)) && a.moved(ctx, t) {
		return fmt.Errorf("the experiment changed: %w", errRetry)
	}
	t.rec.Told = err == nil || permanent(err)
	t.rec.Refused = err != nil && t.rec.Told
	t.sums++
	t.rec.Recount = added && (!t.rec.Told || (err == nil && a.cfg.Shared && t.sums < maxCounts))
	if err != nil {
		return err
	}
	if t.rec.Recount { // another Collector may have told others at the same time
		return a.tell(ctx, t)
	}
	return a.linkTrace(ctx, t)
}

// startTrace writes the info of a trace, with what MLflow derived from its spans, and what people
// and judges said of it meanwhile, where MLflow takes it for the whole trace.
func (a *Applier) startTrace(ctx context.Context, traceID string, info []byte) error {
	whole := info
	held := func() error {
		return a.call(ctx, func() (err error) { whole, err = a.client.WithHeld(ctx, traceID, info); return err })
	}
	if a.replacesPreviews() && !hasPreviews(info) {
		if err := held(); mlflow.IsCode(err, mlflow.CodeNotFound) {
			whole = info
		} else if err != nil {
			return err
		}
	}
	err := a.callAhead(ctx, func() error { return a.client.StartTraceJSON(ctx, whole) })
	for range maxVerdictRounds {
		if !mlflow.InfoIncomplete(err) {
			break
		}
		if err = held(); err == nil {
			err = a.call(ctx, func() error { return a.client.StartTraceJSON(ctx, whole) })
		}
	}
	return err
}

// hasPreviews reports whether an encoded info says what went in and came out.
func hasPreviews(info []byte) bool {
	var said struct {
		Request  string `json:"request_preview"`
		Response string `json:"response_preview"`
	}
	return json.Unmarshal(info, &said) == nil && said.Request != "" && said.Response != ""
}

// info is the body of StartTraceV3.
func (a *Applier) info(t *trace, used []mlflow.PromptVersion) mlflow.TraceInfo {
	in := t.Info
	out := mlflow.TraceInfo{
		TraceID:         "tr-" + t.TraceID,
		Location:        mlflow.InExperiment(t.exp.id),
		RequestPreview:  values.Clean(in.RequestPreview, maxPreview),
		ResponsePreview: values.Clean(in.ResponsePreview, maxPreview),
		RequestTime:     time.UnixMilli(in.RequestTimeMS).UTC().Format("2006-01-02T15:04:05.000Z"),
		Duration:        strconv.FormatFloat(float64(max(in.DurationMS, 0))/1000, 'f', 3, 64) + "s",
		State:           cmp.Or(in.State, "OK"),
		Metadata:        map[string]string{},
		Tags:            map[string]string{},
	}
	for _, kv := range in.Metadata {
		out.Metadata[keys.Clean(kv.Key)] = values.Clean(kv.Value, mlflow.MaxTagValue)
	}
	for _, kv := range keyValues(in.Tags, func(_, v string) string { return values.Clean(v, mlflow.MaxTagValue) }) {
		out.Tags[kv.Key] = kv.Value
	}
	if len(used) > 0 {
		out.Tags[wire.TagPrompts] = promptsJSON(used)
	}
	if t.first {
		// Else MLflow answers 500 to who opens the trace before the spans are there.
		out.Tags[mlflow.TagSpansLocation] = mlflow.SpansInStore
	}
	if in.Name != "" {
		out.Tags[mlflow.TagTraceName] = values.Clean(in.Name, maxTraceName)
	}
	if id := t.runID(); id != "" {
		out.Metadata[mlflow.MetaSourceRun] = id
	}
	if in.Session != "" {
		out.Metadata[mlflow.MetaSession] = values.Clean(in.Session, mlflow.MaxSession)
	}
	if in.User != "" {
		out.Metadata[mlflow.MetaUser] = values.Clean(in.User, mlflow.MaxSession)
	}
	if len(in.TokenUsage) > 0 {
		usage, _ := json.Marshal(in.TokenUsage) // integers: always possible
		out.Metadata[mlflow.MetaTokenUsage] = string(usage)
	}
	if in.Cost != "" {
		out.Metadata[mlflow.MetaCost] = in.Cost
	}
	return out
}

// runID is the run that a trace links to, "" while it has none. It waits until that is settled.
func (t *trace) runID() string {
	if t.owner != nil {
		<-t.owner.known
		return t.owner.id
	}
	for _, r := range t.job.runs {
		if r.Key == t.RunKey {
			<-r.known
			return r.id
		}
	}
	if r := t.job.entry.Job.Runs[t.RunKey]; r != nil {
		return r.ID
	}
	return ""
}

// hasSpans reports whether a batch gave any.
func hasSpans(t ptrace.Traces) bool { return t != (ptrace.Traces{}) && t.SpanCount() > 0 }
