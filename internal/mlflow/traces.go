package mlflow

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// Well-known metadata and tags of a trace.
const (
	MetaSourceRun = "mlflow.sourceRun"
	// MetaAssessedIn is on an assessment: the evaluation run that it was made in.
	MetaAssessedIn = "mlflow.assessment.sourceRunId"
	MetaSession    = "mlflow.trace.session"
	MetaUser       = "mlflow.trace.user"
	MetaTokenUsage = "mlflow.trace.tokenUsage"
	MetaCost       = "mlflow.trace.cost"
	// MetaFinalized is there once StartTraceV3 was called. MLflow 3.15 and newer set it themselves.
	MetaFinalized = "mlflow.trace.infoFinalized"
	TagTraceName  = "mlflow.traceName"
	// TagSpansLocation says where the spans of a trace are: SpansInStore is MLflow's database,
	// which MLflow itself notes when spans come. From mlflow/tracing/constant.py.
	TagSpansLocation = "mlflow.trace.spansLocation"
	SpansInStore     = "TRACKING_STORE"
	TagParentRun     = "mlflow.parentRunId"
	TagRunName       = "mlflow.runName"
	TagUser          = "mlflow.user"
	TagNote          = "mlflow.note.content"
	TagExperiment    = "mlflow.experimentKind"
	ExperimentGenAI  = "genai_development"
	// ExperimentCustom makes the UI show runs and their charts first.
	ExperimentCustom = "custom_model_development"
)

// MaxSession is the length of a session id that MLflow takes, in characters.
const MaxSession = 250

// tracesPath is where MLflow takes spans.
const tracesPath = "/v1/traces"

var gzips = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return w
}}

// ExportTraces sends an ExportTraceServiceRequest in protobuf. All its spans go to one
// experiment, and either all or none of them are stored. runID may be empty; otherwise
// the traces whose root is among the spans, at most 100, are linked to that run (3.14 and
// later).
func (c *Client) ExportTraces(ctx context.Context, experimentID, runID string, body []byte) error {
	if experimentID == "" {
		// MLflow would answer 200 and drop the spans.
		return errors.New("export traces: no experiment id")
	}
	var buf bytes.Buffer
	w := gzips.Get().(*gzip.Writer)
	w.Reset(&buf)
	_, err := w.Write(body)
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("compress spans: %w", err)
	}
	gzips.Put(w)
	h := http.Header{
		"Content-Type":           {"application/x-protobuf"},
		"Content-Encoding":       {"gzip"},
		"X-Mlflow-Experiment-Id": {experimentID},
	}
	if runID != "" {
		h["X-Mlflow-Run-Id"] = []string{runID}
	}
	return c.put(ctx, request{method: http.MethodPost, path: tracesPath, header: h, body: buf.Bytes()})
}

// TraceInfo is what MLflow knows of a trace apart from its spans.
type TraceInfo struct {
	TraceID         string            `json:"trace_id"` // "tr-" + 32 hex digits
	Location        TraceLocation     `json:"trace_location"`
	ClientRequestID string            `json:"client_request_id,omitempty"` // ≤ 50 characters
	RequestPreview  string            `json:"request_preview,omitempty"`
	ResponsePreview string            `json:"response_preview,omitempty"`
	RequestTime     string            `json:"request_time"`                 // RFC 3339, ms
	Duration        string            `json:"execution_duration,omitempty"` // "1.234s"
	State           string            `json:"state"`                        // OK, ERROR or IN_PROGRESS
	Metadata        map[string]string `json:"trace_metadata,omitempty"`
	Tags            map[string]string `json:"tags,omitempty"`
	Assessments     []Assessment      `json:"assessments,omitempty"`
}

// TraceLocation says where a trace is kept.
type TraceLocation struct {
	Type       string `json:"type"`
	Experiment struct {
		ID string `json:"experiment_id"`
	} `json:"mlflow_experiment"`
}

// InExperiment is the location of a trace in an experiment.
func InExperiment(id string) TraceLocation {
	l := TraceLocation{Type: "MLFLOW_EXPERIMENT"}
	l.Experiment.ID = id
	return l
}

type startTrace struct {
	Trace struct {
		Info json.RawMessage `json:"trace_info"`
	} `json:"trace"`
}

// StartTrace creates or replaces the info of a trace (StartTraceV3). What it says
// outweighs what MLflow derives from spans. It must not run at the same time as
// ExportTraces of the same trace.
func (c *Client) StartTrace(ctx context.Context, info TraceInfo) error {
	b, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("encode trace info: %w", err)
	}
	return c.StartTraceJSON(ctx, b)
}

// StartTraceJSON is StartTrace for an encoded TraceInfo.
func (c *Client) StartTraceJSON(ctx context.Context, info []byte) error {
	var in startTrace
	in.Trace.Info = info
	return c.call(ctx, http.MethodPost, api3+"/traces", nil, in, nil)
}

// InfoIncomplete reports whether MLflow refused the info of a trace because it holds more of the
// trace than the info says: older versions take an info for the whole trace, and then fail to cut
// off the rest, assessments before 3.13 and metadata and tags in 3.7. WithHeld makes one that they
// take.
func InfoIncomplete(err error) bool {
	var e *Error
	return errors.As(err, &e) &&
		(strings.Contains(e.Message, "UPDATE assessments SET trace_id") || strings.Contains(e.Message, "blank-out primary key"))
}

// WithHeld adds to the info of a trace what MLflow holds of it and the info does not say: previews,
// metadata, tags and assessments, as GetTraceInfo reads them.
func (c *Client) WithHeld(ctx context.Context, traceID string, info []byte) ([]byte, error) {
	var out struct {
		Trace struct {
			Info map[string]json.RawMessage `json:"trace_info"`
		} `json:"trace"`
	}
	if err := c.call(ctx, http.MethodGet, api3+"/traces/"+url.PathEscape(traceID), nil, nil, &out); err != nil {
		return nil, err
	}
	held := out.Trace.Info
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(info, &whole); err != nil {
		return nil, fmt.Errorf("decode trace info: %w", err)
	}
	for _, key := range []string{"request_preview", "response_preview", "assessments"} {
		if _, said := whole[key]; !said && held[key] != nil {
			whole[key] = held[key]
		}
	}
	for _, key := range []string{"trace_metadata", "tags"} {
		both := map[string]string{}
		for _, from := range []map[string]json.RawMessage{held, whole} {
			if from[key] == nil {
				continue
			}
			if err := json.Unmarshal(from[key], &both); err != nil {
				return nil, fmt.Errorf("decode %s of trace: %w", key, err)
			}
		}
		text, err := json.Marshal(both)
		if err != nil {
			return nil, fmt.Errorf("encode %s of trace: %w", key, err)
		}
		whole[key] = text
	}
	return json.Marshal(whole)
}

// GetTraceInfo reads what MLflow knows of a trace. Values of metadata are cut at 250
// characters there, those of tags at 4096.
func (c *Client) GetTraceInfo(ctx context.Context, traceID string) (TraceInfo, error) {
	var out struct {
		Trace struct {
			Info TraceInfo `json:"trace_info"`
		} `json:"trace"`
	}
	err := c.call(ctx, http.MethodGet, api3+"/traces/"+url.PathEscape(traceID), nil, nil, &out)
	return out.Trace.Info, err
}

// Trace is a trace with the spans that MLflow has so far.
type Trace struct {
	Info  TraceInfo `json:"trace_info"`
	Spans []Span    `json:"spans"`
}

// Span is a span as MLflow gives it back.
type Span struct {
	ID       SpanID `json:"span_id"`
	ParentID SpanID `json:"parent_span_id"`
	Name     string `json:"name"`
	Start    int64  `json:"start_time_unix_nano"`
	End      int64  `json:"end_time_unix_nano"`
	Status   struct {
		Code    string `json:"code"` // STATUS_CODE_OK, STATUS_CODE_ERROR or empty
		Message string `json:"message"`
	} `json:"status"`
	Attributes []Attribute `json:"attributes"`
}

// Attribute is an attribute of a span; Value is OTLP's JSON form of it.
type Attribute struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// Attribute gives the text of a string attribute, and "" when there is none.
func (s Span) Attribute(key string) string {
	for _, a := range s.Attributes {
		var v struct {
			Text string `json:"string_value"`
		}
		if a.Key == key && json.Unmarshal(a.Value, &v) == nil {
			return v.Text
		}
	}
	return ""
}

// Numbers gives an attribute that is an object of numbers, as MLflow has it or as text. It is empty when
// there is none.
func (s Span) Numbers(key string) map[string]float64 {
	out := map[string]float64{}
	for _, a := range s.Attributes {
		if a.Key != key {
			continue
		}
		var v struct {
			Text string `json:"string_value"`
			Map  struct {
				Values []struct {
					Key   string `json:"key"`
					Value struct {
						Int    json.RawMessage `json:"int_value"` // a number, or one as text
						Double *float64        `json:"double_value"`
					} `json:"value"`
				} `json:"values"`
			} `json:"kvlist_value"`
		}
		if json.Unmarshal(a.Value, &v) != nil {
			continue
		}
		if v.Text != "" {
			_ = json.Unmarshal([]byte(v.Text), &out) // another text has no numbers
		}
		for _, one := range v.Map.Values {
			if n, err := strconv.ParseFloat(strings.Trim(string(one.Value.Int), `"`), 64); err == nil {
				out[one.Key] = n
			} else if one.Value.Double != nil {
				out[one.Key] = *one.Value.Double
			}
		}
	}
	return out
}

// SpanID is a span id in hex; MLflow writes the bytes in base 64.
type SpanID string

// UnmarshalJSON implements json.Unmarshaler.
func (s *SpanID) UnmarshalJSON(text []byte) error {
	var b []byte
	if err := json.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("decode span id: %w", err)
	}
	*s = SpanID(hex.EncodeToString(b))
	return nil
}

// GetTrace reads a trace with its spans. It has none when MLflow's database has none of them:
// they did not come, or are in files.
func (c *Client) GetTrace(ctx context.Context, traceID string) (t Trace, err error) {
	text, err := c.GetTraceJSON(ctx, traceID)
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	return t, err
}

// GetTraceJSON is GetTrace as the server says it, with all that it knows of info, assessments
// and spans.
func (c *Client) GetTraceJSON(ctx context.Context, traceID string) (json.RawMessage, error) {
	var out struct {
		Trace json.RawMessage `json:"trace"`
	}
	q := url.Values{"trace_id": {traceID}, "allow_partial": {"true"}}
	err := c.call(ctx, http.MethodGet, api3+"/traces/get", q, nil, &out)
	var e *Error
	if errors.As(err, &e) && strings.Contains(e.Message, "not stored in tracking store") { // HTTP 500
		err = c.call(ctx, http.MethodGet, api3+"/traces/"+url.PathEscape(traceID), nil, nil, &out)
	}
	return out.Trace, err
}

// MaxDelete is the number of traces that one DeleteTraces may name.
const MaxDelete = 100

// DeleteTraces removes traces of an experiment for good, with their spans and assessments, and
// gives how many there were. What is not there, any more, is no error.
func (c *Client) DeleteTraces(ctx context.Context, experimentID string, traceIDs ...string) (int, error) {
	in := map[string]any{"experiment_id": experimentID, "request_ids": traceIDs}
	var out struct {
		Deleted int `json:"traces_deleted"`
	}
	err := c.call(ctx, http.MethodPost, api2+"/traces/delete-traces", nil, in, &out)
	return out.Deleted, err
}

// SearchTraces asks for one page of traces.
type SearchTraces struct {
	ExperimentIDs []string
	Filter        string
	MaxResults    int // 0 means 100; at most 500
	OrderBy       []string
	PageToken     string
}

// SearchTraces gives one page, and the token of the next, which is empty on the last one.
func (c *Client) SearchTraces(ctx context.Context, s SearchTraces) ([]TraceInfo, string, error) {
	in := struct {
		Locations  []TraceLocation `json:"locations"`
		Filter     string          `json:"filter,omitempty"`
		MaxResults int             `json:"max_results,omitempty"`
		OrderBy    []string        `json:"order_by,omitempty"`
		PageToken  string          `json:"page_token,omitempty"`
	}{Filter: s.Filter, MaxResults: s.MaxResults, OrderBy: s.OrderBy, PageToken: s.PageToken}
	for _, id := range s.ExperimentIDs {
		in.Locations = append(in.Locations, InExperiment(id))
	}
	var out struct {
		Traces []TraceInfo `json:"traces"`
		Next   string      `json:"next_page_token"`
	}
	err := c.call(ctx, http.MethodPost, api3+"/traces/search", nil, in, &out)
	return out.Traces, out.Next, err
}
