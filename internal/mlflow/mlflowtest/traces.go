package mlflowtest

import (
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/technoshare/commentator/internal/mlflow"
)

type traceState struct {
	info  mlflow.TraceInfo
	told  bool // by StartTraceV3
	run   string
	spans map[pcommon.SpanID]ptrace.Span
	// prompts are those that link-prompts named.
	prompts []mlflow.PromptVersion
}

// BadAttribute on a span makes the server refuse the whole request with 422, as a cost
// that is no JSON object does.
const BadAttribute = "mlflow.llm.cost"

func (s *Server) traceRoutes() {
	s.mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.export(r); err != nil {
			answer(w, nil, err)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	})
	handle(s, "POST /api/3.0/mlflow/traces", s.startTrace)
	handle(s, "GET /api/3.0/mlflow/traces/{id}", func(_ struct{}, r *http.Request) (any, error) {
		t := s.traces[r.PathValue("id")]
		if t == nil {
			return nil, notFound("Trace with ID '%s' not found.", r.PathValue("id"))
		}
		return map[string]any{"trace": map[string]any{"trace_info": t.info}}, nil
	})
	handle(s, "PATCH /api/3.0/mlflow/traces/{id}/tags", func(in mlflow.KeyValue, r *http.Request) (any, error) {
		t := s.traces[r.PathValue("id")]
		if t == nil {
			return nil, notFound("Trace with ID '%s' not found.", r.PathValue("id"))
		}
		t.info.Tags[in.Key] = in.Value
		return nil, nil
	})
	handle(s, "GET /api/3.0/mlflow/traces/get", func(_ struct{}, r *http.Request) (any, error) {
		t := s.traces[r.URL.Query().Get("trace_id")]
		if t == nil {
			return nil, notFound("Trace with ID '%s' not found.", r.URL.Query().Get("trace_id"))
		}
		if len(t.spans) == 0 && t.info.Tags[mlflow.TagSpansLocation] != mlflow.SpansInStore {
			return nil, failure{http.StatusInternalServerError, "INTERNAL_ERROR", "Trace data not stored in tracking store"}
		}
		spans := []any{}
		for _, sp := range t.spans {
			spans = append(spans, spanJSON(sp))
		}
		return map[string]any{"trace": map[string]any{"trace_info": t.info, "spans": spans}}, nil
	})
	handle(s, "POST /api/3.0/mlflow/traces/search", func(in struct {
		Locations []mlflow.TraceLocation `json:"locations"`
		Filter    string                 `json:"filter"`
	}, _ *http.Request,
	) (any, error) {
		found := []mlflow.TraceInfo{}
		for _, id := range slices.Sorted(maps.Keys(s.traces)) {
			t := s.traces[id]
			if in.Filter != "" && !t.matches(in.Filter) {
				continue
			}
			if slices.ContainsFunc(in.Locations, func(l mlflow.TraceLocation) bool { return l == t.info.Location }) {
				found = append(found, t.info)
			}
		}
		return map[string]any{"traces": found}, nil
	})
}

// matches knows the filters that tests use: prompt = 'name/version', run_id = 'id' and that for
// the session.
func (t *traceState) matches(filter string) bool {
	if session, ok := strings.CutPrefix(filter, "metadata.`"+mlflow.MetaSession+"` = "); ok {
		return session == "'"+t.info.Metadata[mlflow.MetaSession]+"'"
	}
	if id, ok := strings.CutPrefix(filter, "run_id = "); ok {
		return id == "'"+t.run+"'" || id == "'"+t.info.Metadata[mlflow.MetaSourceRun]+"'"
	}
	return slices.ContainsFunc(t.prompts, func(p mlflow.PromptVersion) bool {
		return filter == "prompt = '"+p.Name+"/"+p.Version+"'"
	})
}

func unprocessable(message string) error {
	return failure{http.StatusUnprocessableEntity, "", message}
}

// export stores the spans of a request, all or none.
func (s *Server) export(r *http.Request) error {
	experiment := r.Header.Get("x-mlflow-experiment-id")
	if experiment == "" {
		return nil // 200, and the spans are gone
	}
	gz, err := gzip.NewReader(r.Body)
	if err != nil {
		return invalid("Failed to decompress gzip payload")
	}
	body, err := io.ReadAll(gz)
	if err != nil {
		return invalid("Failed to decompress gzip payload")
	}
	req := ptraceotlp.NewExportRequest()
	if err := req.UnmarshalProto(body); err != nil {
		return invalid("Invalid OpenTelemetry format")
	}
	var all []ptrace.Span
	for _, rs := range req.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				if v, ok := sp.Attributes().Get(BadAttribute); ok && json.Unmarshal([]byte(v.AsString()), &map[string]float64{}) != nil {
					return unprocessable("Failed to log OpenTelemetry spans")
				}
				if sp.SpanID().IsEmpty() || sp.TraceID().IsEmpty() {
					return unprocessable("Cannot convert OpenTelemetry span to MLflow span")
				}
				if max(sp.StartTimestamp(), sp.EndTimestamp()) > math.MaxInt64 {
					return failure{http.StatusInternalServerError, "INTERNAL_ERROR", "Python int too large to convert to SQLite INTEGER"}
				}
				all = append(all, sp)
			}
		}
	}
	if len(all) == 0 {
		return invalid("Invalid OpenTelemetry format - no spans found")
	}
	for _, sp := range all {
		if s.traces["tr-"+sp.TraceID().String()] == nil && !slices.ContainsFunc(s.experiments, func(e *experimentState) bool { return e.ID == experiment }) {
			return notFound("No Experiment with id=%s exists", experiment)
		}
	}
	ids := map[string]bool{}
	for _, sp := range all {
		s.addSpan(sp, experiment, r.Header.Get("x-mlflow-run-id"))
		ids["tr-"+sp.TraceID().String()] = true
	}
	for id := range ids {
		s.traces[id].addUp(s.OldTraces)
	}
	return nil
}

func (s *Server) addSpan(sp ptrace.Span, experiment, run string) {
	id := "tr-" + sp.TraceID().String()
	t := s.traces[id]
	if t == nil {
		t = &traceState{spans: map[pcommon.SpanID]ptrace.Span{}}
		t.info = mlflow.TraceInfo{TraceID: id, Location: mlflow.InExperiment(experiment), State: "IN_PROGRESS", Metadata: map[string]string{}, Tags: map[string]string{}}
		s.traces[id] = t
	}
	t.spans[sp.SpanID()] = sp
	if inputs, ok := sp.Attributes().Get("mlflow.spanInputs"); ok && sp.ParentSpanID().IsEmpty() && t.info.RequestPreview == "" {
		t.info.RequestPreview = inputs.AsString()
	}
	if sp.ParentSpanID().IsEmpty() && run != "" {
		t.run = run
	}
	if t.told {
		return
	}
	start, end := int64(1<<62), int64(0)
	for _, o := range t.spans {
		start, end = min(start, int64(o.StartTimestamp())), max(end, int64(o.EndTimestamp()))
		if o.ParentSpanID().IsEmpty() && t.info.State == "IN_PROGRESS" {
			t.info.State = "OK"
			if o.Status().Code() == ptrace.StatusCodeError {
				t.info.State = "ERROR"
			}
		}
	}
	t.info.RequestTime = time.Unix(0, start).UTC().Format(time.RFC3339Nano)
	t.info.Duration = fmt.Sprintf("%gs", float64(end-start)/1e9)
}

// addUp makes the totals of a trace, unless it was told of the trace and has one: then that stays, but
// for an older MLflow, which makes it of the first span here.
func (t *traceState) addUp(old bool) {
	for key, attribute := range map[string]string{mlflow.MetaTokenUsage: "mlflow.chat.tokenUsage", mlflow.MetaCost: BadAttribute} {
		if t.info.Metadata[key] != "" && (t.told || old) {
			continue
		}
		all := map[string]float64{}
		for _, sp := range t.spans {
			for k, n := range numbers(sp, attribute) {
				if !t.below(sp, attribute) {
					all[k] += n
				}
			}
		}
		if text, err := json.Marshal(all); err == nil && len(all) > 0 {
			t.info.Metadata[key] = string(text)
		}
	}
}

// below reports whether a span above this one has the attribute, and so speaks for this one.
func (t *traceState) below(sp ptrace.Span, attribute string) bool {
	for range len(t.spans) {
		var ok bool
		if sp, ok = t.spans[sp.ParentSpanID()]; !ok {
			return false
		}
		if len(numbers(sp, attribute)) > 0 {
			return true
		}
	}
	return false
}

func numbers(sp ptrace.Span, attribute string) (out map[string]float64) {
	if v, ok := sp.Attributes().Get(attribute); ok && json.Unmarshal([]byte(v.AsString()), &out) != nil {
		return nil
	}
	return out
}

func (s *Server) startTrace(in struct {
	Trace struct {
		Info mlflow.TraceInfo `json:"trace_info"`
	} `json:"trace"`
}, _ *http.Request,
) (any, error) {
	info := in.Trace.Info
	if _, err := s.activeExperiment(info.Location.Experiment.ID); err != nil {
		return nil, err
	}
	if len([]rune(info.Metadata[mlflow.MetaSession])) > mlflow.MaxSession {
		return nil, invalid("'Session ID' exceeds the maximum length of 250 characters")
	}
	t := s.traces[info.TraceID]
	if t == nil {
		t = &traceState{spans: map[pcommon.SpanID]ptrace.Span{}}
		s.traces[info.TraceID] = t
	}
	kept := func(a mlflow.Assessment) bool {
		return slices.ContainsFunc(info.Assessments, func(b mlflow.Assessment) bool { return a.ID == b.ID })
	}
	for _, a := range t.info.Assessments {
		if s.OldTraces && !kept(a) {
			return nil, failure{http.StatusBadRequest, "BAD_REQUEST", "(sqlite3.IntegrityError) NOT NULL constraint failed: assessments.trace_id\n[SQL: UPDATE assessments SET trace_id=? WHERE assessments.assessment_id = ?]"}
		}
	}
	if s.OldTraces && (lacks(info.Metadata, t.info.Metadata) > 0 || lacks(info.Tags, t.info.Tags) > 1) {
		return nil, failure{http.StatusInternalServerError, "INTERNAL_ERROR", "Dependency rule on column 'trace_info.request_id' tried to blank-out primary key column 'trace_request_metadata.request_id'"}
	}
	if !s.OldTraces {
		info.RequestPreview = cmp.Or(info.RequestPreview, t.info.RequestPreview)
	}
	metadata, tags := t.info.Metadata, t.info.Tags
	if metadata == nil {
		metadata, tags = map[string]string{}, map[string]string{}
	}
	maps.Copy(metadata, info.Metadata)
	maps.Copy(tags, info.Tags)
	if !s.OldTraces {
		metadata[mlflow.MetaFinalized] = "true"
	}
	info.Metadata, info.Tags = metadata, tags
	info.Assessments = t.info.Assessments
	t.info, t.told = info, true
	return map[string]any{"trace": map[string]any{"trace_info": info}}, nil
}

// lacks counts the keys that are not said.
func lacks(said, held map[string]string) (n int) {
	for key := range held {
		if _, ok := said[key]; !ok {
			n++
		}
	}
	return n
}

func spanJSON(sp ptrace.Span) map[string]any {
	id, parent := sp.SpanID(), sp.ParentSpanID()
	out := map[string]any{
		"span_id": base64.StdEncoding.EncodeToString(id[:]), "name": sp.Name(),
		"start_time_unix_nano": int64(sp.StartTimestamp()), "end_time_unix_nano": int64(sp.EndTimestamp()),
	}
	if !parent.IsEmpty() {
		out["parent_span_id"] = base64.StdEncoding.EncodeToString(parent[:])
	}
	switch sp.Status().Code() {
	case ptrace.StatusCodeOk:
		out["status"] = map[string]string{"code": "STATUS_CODE_OK"}
	case ptrace.StatusCodeError:
		out["status"] = map[string]string{"code": "STATUS_CODE_ERROR", "message": sp.Status().Message()}
	}
	attributes := []any{}
	for k, v := range sp.Attributes().All() {
		attributes = append(attributes, map[string]any{"key": k, "value": map[string]any{"string_value": v.AsString()}})
	}
	out["attributes"] = attributes
	return out
}
