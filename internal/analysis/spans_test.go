package analysis_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/analysis/openaitest"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

var started = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// record runs work as stage A of a job and returns the detail spans that left with it.
func record(t *testing.T, detail commentator.Detail, content bool, work func(context.Context)) []*tracepb.Span {
	t.Helper()
	p, err := telemetry.New(t.Context(), telemetry.Config{
		Mode: telemetry.ModeTracing, Endpoint: "http://127.0.0.1:1", Ratio: 1, CaptureContent: content,
		StoreID: "0c6c3d8e-3c3f-4a3e-9d6c-3d1f6f1f0a11",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = p.Shutdown(ctx) // nobody listens; metrics are lost, as they may be
	}()
	j := commentator.Job{ID: 1, StoreID: "0c6c3d8e-3c3f-4a3e-9d6c-3d1f6f1f0a11", Detail: detail, CreatedAt: started, StartedAt: started, Attempt: 1}
	ctx, stage := p.StartStage(p.JobContext(t.Context(), j), j, commentator.StageA)
	work(ctx)
	m, err := stage.End(telemetry.StageEnd{Record: commentator.StageRecord{
		JobID: 1, Stage: commentator.StageA, Attempt: 1, SpanID: stage.SpanID(), StartedAt: started, EndedAt: started.Add(time.Second),
	}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := s2.Decode(nil, m.Body)
	if err != nil {
		t.Fatal(err)
	}
	var request collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		t.Fatal(err)
	}
	var spans []*tracepb.Span
	for _, r := range request.ResourceSpans {
		for _, s := range r.ScopeSpans {
			for _, span := range s.Spans {
				if text(span, "job.tier") == "detail" {
					spans = append(spans, span)
				}
			}
		}
	}
	return spans
}

func attr(s *tracepb.Span, key string) *commonpb.AnyValue {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return nil
}

func text(s *tracepb.Span, key string) string  { return attr(s, key).GetStringValue() }
func number(s *tracepb.Span, key string) int64 { return attr(s, key).GetIntValue() }

func names(spans []*tracepb.Span) []string {
	var list []string
	for _, s := range spans {
		list = append(list, s.Name)
	}
	return list
}

// The offline analyser's search is a span with its arguments and result.
func TestOfflineSpans(t *testing.T) {
	o := analysis.NewOffline(data.Default())
	var found commentator.Facts
	spans := record(t, commentator.DetailFull, true, func(ctx context.Context) {
		var err error
		if found, _, err = o.ExtractFacts(ctx, evidence(t, "whentouse")); err != nil {
			t.Fatal(err)
		}
	})
	if diff := cmp.Diff([]string{"execute_tool search"}, names(spans)); diff != "" {
		t.Fatal(diff)
	}
	s := spans[0]
	if s.Kind != tracepb.Span_SPAN_KIND_INTERNAL || text(s, "gen_ai.operation.name") != "execute_tool" || text(s, "gen_ai.tool.name") != "search" {
		t.Errorf("span %v", s)
	}
	var arguments struct{ Query string }
	var result []data.Tech
	if err := json.Unmarshal([]byte(text(s, "gen_ai.tool.call.arguments")), &arguments); err != nil || arguments.Query == "" {
		t.Errorf("arguments %q: %v", text(s, "gen_ai.tool.call.arguments"), err)
	}
	if err := json.Unmarshal([]byte(text(s, "gen_ai.tool.call.result")), &result); err != nil || len(result) < len(found.Related) {
		t.Errorf("result %q: %v", text(s, "gen_ai.tool.call.result"), err)
	}
}

// Model calls are CLIENT spans in the conventions' words; their tokens add up to the
// stage's usage.
func TestOpenAISpans(t *testing.T) {
	_, o := server(t)
	var a commentator.Analysis
	spans := record(t, commentator.DetailFull, true, func(ctx context.Context) {
		var err error
		if _, a, err = o.ExtractFacts(ctx, evidence(t, "wal")); err != nil {
			t.Fatal(err)
		}
	})
	if diff := cmp.Diff([]string{"chat gpt-4o", "execute_tool search", "chat gpt-4o"}, names(spans)); diff != "" {
		t.Fatal(diff)
	}
	var sum commentator.Usage
	for _, i := range []int{0, 2} {
		s := spans[i]
		if s.Kind != tracepb.Span_SPAN_KIND_CLIENT || text(s, "gen_ai.operation.name") != "chat" || text(s, "gen_ai.provider.name") != "openai" ||
			text(s, "gen_ai.request.model") != "gpt-4o" || text(s, "gen_ai.response.model") != "gpt-4o-2024-08-06" ||
			text(s, "server.address") != "127.0.0.1" || number(s, "server.port") == 0 || text(s, "gen_ai.response.id") == "" {
			t.Errorf("span %v", s)
		}
		sum = sum.Add(commentator.Usage{
			Calls: 1, Input: number(s, "gen_ai.usage.input_tokens"), Output: number(s, "gen_ai.usage.output_tokens"),
			CacheRead: number(s, "gen_ai.usage.cache_read.input_tokens"), Reasoning: number(s, "gen_ai.usage.reasoning.output_tokens"),
		})
	}
	if diff := cmp.Diff(a.Usage, sum); diff != "" {
		t.Errorf("usage: %s", diff)
	}

	type part struct {
		Type, Content, ID, Name string
		Arguments, Response     json.RawMessage
	}
	var out []struct {
		Role         string
		FinishReason string `json:"finish_reason"`
		Parts        []part
	}
	if err := json.Unmarshal([]byte(text(spans[0], "gen_ai.output.messages")), &out); err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 || out[0].Role != "assistant" || out[0].FinishReason != "tool_call" || out[0].Parts[0].Type != "tool_call" || out[0].Parts[0].Name != "search" {
		t.Errorf("output %+v", out)
	}
	var in []struct {
		Role  string
		Parts []part
	}
	if err := json.Unmarshal([]byte(text(spans[2], "gen_ai.input.messages")), &in); err != nil {
		t.Fatal(err)
	}
	var roles []string
	for _, m := range in {
		roles = append(roles, m.Role+" "+m.Parts[0].Type)
	}
	if diff := cmp.Diff([]string{"system text", "user text", "assistant tool_call", "tool tool_call_response"}, roles); diff != "" {
		t.Error(diff)
	}
	var tools []struct {
		Type, Name, Description string
		Parameters              struct{ Required []string }
		Function                json.RawMessage
	}
	for _, i := range []int{0, 2} {
		if err := json.Unmarshal([]byte(text(spans[i], "gen_ai.tool.definitions")), &tools); err != nil {
			t.Fatal(err)
		}
		if len(tools) != 1 || tools[0].Type != "function" || tools[0].Name != "search" || tools[0].Description == "" ||
			!slices.Equal(tools[0].Parameters.Required, []string{"query"}) || tools[0].Function != nil {
			t.Errorf("tools %+v", tools)
		}
	}
	reasons := attr(spans[0], "gen_ai.response.finish_reasons").GetArrayValue().GetValues()
	if len(reasons) != 1 || reasons[0].GetStringValue() != "tool_calls" {
		t.Errorf("finish reasons %v", reasons)
	}
}

// A failed call is a span with its error, and what it spent is none.
func TestOpenAIFailedSpan(t *testing.T) {
	h, o := server(t)
	h.Fail(openaitest.Fault{Status: 429, Code: "rate_limit_exceeded"})
	spans := record(t, commentator.DetailFull, true, func(ctx context.Context) {
		if _, _, err := o.ExtractFacts(ctx, evidence(t, "wal")); err == nil {
			t.Fatal("no error")
		}
	})
	s := spans[0]
	if text(s, "error.type") != "model_rate_limited" || s.Status.Code != tracepb.Status_STATUS_CODE_ERROR || attr(s, "gen_ai.usage.input_tokens") != nil {
		t.Errorf("span %v", s)
	}
}

// Without content, spans carry names and numbers only.
func TestSpansWithoutContent(t *testing.T) {
	_, o := server(t)
	spans := record(t, commentator.DetailFull, false, func(ctx context.Context) {
		if _, _, err := o.ExtractFacts(ctx, evidence(t, "wal")); err != nil {
			t.Fatal(err)
		}
	})
	for _, s := range spans {
		for _, key := range []string{"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result"} {
			if attr(s, key) != nil {
				t.Errorf("%s carries %s", s.Name, key)
			}
		}
	}
	if len(spans) != 3 || number(spans[0], "gen_ai.usage.input_tokens") == 0 {
		t.Errorf("%d spans", len(spans))
	}
}

// A tracked job has no detail spans, and the comment is the same whatever is recorded.
func TestDetailChangesNothingButSpans(t *testing.T) {
	o := analysis.NewOffline(data.Default())
	e := evidence(t, "testing")
	plain := offline(t, o, e)
	for _, detail := range []commentator.Detail{commentator.DetailOff, commentator.DetailTracking, commentator.DetailFull} {
		var r result
		work := func(ctx context.Context) {
			var err error
			if r.Facts, r.FactsAnalysis, err = o.ExtractFacts(ctx, e); err != nil {
				t.Fatal(err)
			}
			if r.Comment, r.CommentAnalysis, err = o.Compose(ctx, e, r.Facts); err != nil {
				t.Fatal(err)
			}
		}
		if detail == commentator.DetailOff {
			work(t.Context())
		} else if spans := record(t, detail, true, work); detail == commentator.DetailTracking && len(spans) != 0 {
			t.Errorf("%d detail spans in tracking mode", len(spans))
		}
		if diff := cmp.Diff(plain, r); diff != "" {
			t.Errorf("%s: %s", detail, diff)
		}
	}
}
