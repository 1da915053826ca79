package analysis_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/analysis/openaitest"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/gates"
)

const key = "sk-test-0123456789"

// server starts a recorded model server and returns an analyser that asks it.
func server(t *testing.T, change ...func(*analysis.OpenAIConfig)) (*openaitest.Handler, *analysis.OpenAI) {
	t.Helper()
	h := &openaitest.Handler{Key: key}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := analysis.OpenAIConfig{APIKey: key, BaseURL: s.URL + "/v1", ModelStageA: "gpt-4o", ModelStageB: "gpt-4o-mini", Transport: transport}
	for _, c := range change {
		c(&cfg)
	}
	o, err := analysis.NewOpenAI(cfg, data.Default())
	if err != nil {
		t.Fatal(err)
	}
	return h, o
}

// A page becomes a comment that passes the gates, with every token and tool call counted.
func TestOpenAI(t *testing.T) {
	temperature := 0.2
	h, o := server(t, func(c *analysis.OpenAIConfig) { c.Temperature, c.MaxTokens = &temperature, 4000 })
	d, e := data.Default(), evidence(t, "wal")

	f, a, err := o.ExtractFacts(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.KeyFacts) < 10 || len(f.Related) == 0 || f.CoverageAssessment == "" {
		t.Errorf("facts %+v", f)
	}
	if a.Provider != "openai" || a.Model != "gpt-4o" || a.PromptName != "stage_a_extract_facts" || a.PromptSHA != d.StageA.SHA256() || a.ToolCalls != 1 || *a.Temperature != 0.2 || a.MaxTokens != 4000 {
		t.Errorf("analysis %+v", a)
	}
	if a.Usage.Calls != 2 || a.Usage.Input == 0 || a.Usage.Output == 0 || a.Usage.CacheRead == 0 || a.Usage.CacheRead >= a.Usage.Input {
		t.Errorf("usage %+v", a.Usage)
	}
	if a.Sources[0] != "https://sqlite.org/wal.html" || len(a.Sources) != 1+len(f.Related) {
		t.Errorf("sources %q", a.Sources)
	}

	c, b, err := o.Compose(t.Context(), e, f)
	if err != nil {
		t.Fatal(err)
	}
	if r := gates.Check(c, d.ThemeNames(), gates.DefaultLimits); !r.Passed {
		t.Errorf("gates: %+v", r.Failures)
	}
	if b.Model != "gpt-4o-mini" || b.PromptSHA != d.StageB.SHA256() || b.ToolCalls != 0 || b.Usage.Calls != 1 {
		t.Errorf("analysis %+v", b)
	}

	requests := h.Requests()
	if len(requests) != 3 {
		t.Fatalf("%d requests", len(requests))
	}
	for i, r := range requests {
		if *r.Temperature != 0.2 || r.MaxCompletionTokens != 4000 || r.ResponseFormat.Type != "json_schema" {
			t.Errorf("request %d: %+v", i, r)
		}
		for _, header := range []string{"Traceparent", "Tracestate", "Baggage"} {
			if r.Header.Get(header) != "" {
				t.Errorf("request %d carries %s", i, header)
			}
		}
	}
	if len(requests[0].Tools) != 1 || len(requests[2].Tools) != 0 {
		t.Error("stage A has the tool, stage B none")
	}
}

// Settings that the environment has for OpenAI's own tools change nothing.
func TestOpenAIReadsNoEnvironment(t *testing.T) {
	t.Setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
	t.Setenv("OPENAI_API_KEY", "sk-other")
	t.Setenv("OPENAI_ORG_ID", "org-other")
	h, o := server(t)
	if _, _, err := o.ExtractFacts(t.Context(), evidence(t, "features")); err != nil {
		t.Fatal(err)
	}
	if got := h.Requests()[0].Header.Get("Openai-Organization"); got != "" {
		t.Errorf("organization %q", got)
	}
}

// Each failure of the server has a code, a remedy, and says whether trying again can help.
// What was spent until then is still told, and the key never.
func TestOpenAIFailures(t *testing.T) {
	valid := `{"key_facts":[],"unknowns":[],"coverage_assessment":"x"}`
	wrong := openaitest.Fault{Content: `{"facts": []}`}
	cases := map[string]struct {
		faults []openaitest.Fault
		change func(*analysis.OpenAIConfig)
		code   string
		final  bool
		says   string
		calls  int
	}{
		"key refused":    {change: func(c *analysis.OpenAIConfig) { c.APIKey = "sk-wrong" }, code: "model_unauthorized", final: true, says: "check OPENAI_API_KEY", calls: 1},
		"forbidden":      {faults: []openaitest.Fault{{Status: 403, Code: "no_access"}}, code: "model_forbidden", final: true, says: "MODEL_STAGE_A", calls: 1},
		"no such model":  {faults: []openaitest.Fault{{Status: 404, Code: "model_not_found"}}, code: "model_not_found", final: true, says: "knows no model gpt-4o", calls: 1},
		"rate limit":     {faults: []openaitest.Fault{{Status: 429, Code: "rate_limit_exceeded", Message: "Slow down."}}, code: "model_rate_limited", says: "Slow down.", calls: 1},
		"quota":          {faults: []openaitest.Fault{{Status: 429, Code: "insufficient_quota"}}, code: "model_quota_exceeded", says: "billing", calls: 1},
		"context length": {faults: []openaitest.Fault{{Status: 400, Code: "context_length_exceeded"}}, code: "model_context_length", final: true, says: "too long for model gpt-4o", calls: 1},
		"bad request":    {faults: []openaitest.Fault{{Status: 400, Code: "other", Message: "No."}}, code: "model_bad_request", final: true, says: "No.", calls: 1},
		"server error":   {faults: []openaitest.Fault{{Status: 500}}, code: "model_unavailable", says: "is in trouble", calls: 1},
		"after a search": {faults: []openaitest.Fault{{}, {Status: 503}}, code: "model_unavailable", says: "status 503", calls: 2},
		"no JSON":        {faults: []openaitest.Fault{{Raw: "<html>"}}, code: "model_unavailable", says: "can't be read", calls: 1},
		"no choice":      {faults: []openaitest.Fault{{Raw: `{"id":"x","choices":[]}`}}, code: "bad_model_output", says: "no choice", calls: 1},
		"refusal":        {faults: []openaitest.Fault{{Refusal: "I can't help with that."}}, code: "model_refused", final: true, says: "I can't help", calls: 1},
		"cut off":        {faults: []openaitest.Fault{{Content: `{"key`, Finish: "length"}}, code: "bad_model_output", says: "cut off", calls: 1},
		"wrong twice":    {faults: []openaitest.Fault{wrong, wrong}, code: "bad_model_output", says: "key_facts", calls: 2},
		"no JSON twice":  {faults: []openaitest.Fault{{Content: "Sure!"}, {Content: "Sure!"}}, code: "bad_model_output", says: "is no JSON", calls: 2},
		"made-up snippet": {
			faults: slices.Repeat([]openaitest.Fault{{Content: strings.Replace(valid, "[]", `[{"fact":"It is so.","supported_by_snippet_ids":["s999"]}]`, 1)}}, 2),
			code:   "bad_model_output", says: `no snippet "s999"`, calls: 2,
		},
		"unsupported fact": {
			faults: slices.Repeat([]openaitest.Fault{{Content: strings.Replace(valid, "[]", `[{"fact":"It is so.","supported_by_snippet_ids":[]}]`, 1)}}, 2),
			code:   "bad_model_output", says: "/key_facts/0/supported_by_snippet_ids", calls: 2,
		},
		"timeout":     {faults: []openaitest.Fault{{Hang: true}}, change: func(c *analysis.OpenAIConfig) { c.Timeout = 50 * time.Millisecond }, code: "model_timeout", says: "within 50ms", calls: 1},
		"unreachable": {change: func(c *analysis.OpenAIConfig) { c.BaseURL = "http://127.0.0.1:1/v1" }, code: "model_unreachable", says: "check OPENAI_BASE_URL", calls: 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			change := tc.change
			if change == nil {
				change = func(*analysis.OpenAIConfig) {}
			}
			h, o := server(t, change)
			h.Fail(tc.faults...)
			_, a, err := o.ExtractFacts(t.Context(), evidence(t, "wal"))
			if commentator.ErrorCode(err) != tc.code || commentator.IsFinal(err) != tc.final {
				t.Fatalf("error %v: code %s, final %v", err, commentator.ErrorCode(err), commentator.IsFinal(err))
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q doesn't say %q", err, tc.says)
			}
			if strings.Contains(err.Error(), "sk-") {
				t.Errorf("%q holds the key", err)
			}
			if a.Usage.Calls != tc.calls {
				t.Errorf("%d calls counted, want %d", a.Usage.Calls, tc.calls)
			}
		})
	}
}

// A wrong answer may be corrected once; the model is told what was wrong.
func TestOpenAIRepair(t *testing.T) {
	h, o := server(t)
	h.Fail(openaitest.Fault{}, openaitest.Fault{Content: `{"key_facts": "many"}`})
	f, a, err := o.ExtractFacts(t.Context(), evidence(t, "wal"))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.KeyFacts) < 10 || a.Usage.Calls != 3 {
		t.Errorf("%d facts, %d calls", len(f.KeyFacts), a.Usage.Calls)
	}
	last := h.Requests()[2].Messages
	if told := last[len(last)-1]; told.Role != "user" || !strings.Contains(told.Content, "/key_facts") || !strings.Contains(told.Content, "unknowns") {
		t.Errorf("the model was told %+v", told)
	}
}

// Too few sentences after the correction are for the gates to judge.
func TestOpenAICountsAreLeftToTheGates(t *testing.T) {
	h, o := server(t)
	short := openaitest.Fault{Content: `{"tldr":["One."],"summary":["Two."],"projects":[],"similar_tech":[]}`}
	h.Fail(short, short)
	c, a, err := o.Compose(t.Context(), evidence(t, "wal"), commentator.Facts{KeyFacts: []commentator.Fact{{Fact: "One."}}})
	if err != nil {
		t.Fatal(err)
	}
	want := commentator.Comment{TLDR: []string{"One."}, Summary: []string{"Two."}, Projects: []string{}, SimilarTech: []string{}}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if a.Usage.Calls != 2 {
		t.Errorf("%d calls, want the answer and its correction", a.Usage.Calls)
	}
}

// A model that only searches has to answer in the end.
func TestOpenAISearchesAreLimited(t *testing.T) {
	asks := func(name, arguments string) openaitest.Fault {
		body, err := json.Marshal(map[string]any{"choices": []any{map[string]any{
			"finish_reason": "tool_calls",
			"message": map[string]any{"role": "assistant", "content": nil, "tool_calls": []any{map[string]any{
				"id": "call_1", "type": "function", "function": map[string]any{"name": name, "arguments": arguments},
			}}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		return openaitest.Fault{Raw: string(body)}
	}
	h, o := server(t)
	h.Fail(asks("search", `{"query":"vector search"}`), asks("search", `{"q":1}`), asks("delete", `{}`), asks("search", `{"query":"vector"}`))
	f, a, err := o.ExtractFacts(t.Context(), evidence(t, "wal"))
	if err != nil {
		t.Fatal(err)
	}
	requests := h.Requests()
	if len(requests) != 5 || requests[4].ToolChoice != "none" || requests[3].ToolChoice != "" {
		t.Fatalf("%d requests", len(requests))
	}
	if a.ToolCalls != 2 {
		t.Errorf("%d searches counted, want the 2 that were carried out", a.ToolCalls)
	}
	if !slices.Contains(f.Related, "pgvector") {
		t.Errorf("related %q", f.Related)
	}
	var told []string
	for _, m := range requests[4].Messages {
		if m.Role == "tool" {
			told = append(told, m.Content)
		}
	}
	if len(told) != 4 || !strings.Contains(told[0], "pgvector") || !strings.Contains(told[1], "arguments must be") || !strings.Contains(told[2], "no tool delete") {
		t.Errorf("the model was told %q", told)
	}
}

// Nothing to read, nothing to ask.
func TestOpenAIWithoutText(t *testing.T) {
	h, o := server(t)
	f, a, err := o.ExtractFacts(t.Context(), commentator.Evidence{Coverage: commentator.CoverageFailed})
	if err != nil || len(f.KeyFacts) != 0 || a.Model != "gpt-4o" {
		t.Errorf("%+v, %+v, %v", f, a, err)
	}
	if _, _, err := o.Compose(t.Context(), commentator.Evidence{}, f); err != nil {
		t.Error(err)
	}
	if n := len(h.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// The end of the job's context is passed on as such, not as a fault of the server.
func TestOpenAICancelled(t *testing.T) {
	h, o := server(t)
	h.Fail(openaitest.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := o.ExtractFacts(ctx, evidence(t, "wal"))
	var e *commentator.Error
	if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &e) {
		t.Errorf("error %v", err)
	}
}

// Each wrong setting is named.
func TestOpenAIConfigValidate(t *testing.T) {
	hot := 3.0
	_, err := analysis.NewOpenAI(analysis.OpenAIConfig{BaseURL: "ftp://x", Temperature: &hot, MaxTokens: -1, Timeout: -1}, data.Default())
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"OPENAI_API_KEY", "MODEL_STAGE_A", "MODEL_STAGE_B", "OPENAI_BASE_URL", "temperature", "max tokens", "timeout"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q doesn't name %s", err, name)
		}
	}
}

// The recorded server gives the same answers to the same page.
func TestOpenAITestIsDeterministic(t *testing.T) {
	run := func() result {
		_, o := server(t)
		var r result
		var err error
		e := evidence(t, "testing")
		if r.Facts, r.FactsAnalysis, err = o.ExtractFacts(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if r.Comment, r.CommentAnalysis, err = o.Compose(t.Context(), e, r.Facts); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if diff := cmp.Diff(run(), run()); diff != "" {
		t.Error(diff)
	}
}

// Servers and proxies that don't keep to OpenAI's form of an error: the status has to do,
// a code that is a number is no reason to fail, and the key goes to no other server.
func TestOpenAIForeignAnswers(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request to another server, with Authorization %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	for name, tc := range map[string]struct {
		status     int
		body, code string
	}{
		"page of a proxy":  {http.StatusBadGateway, "<html>bad gateway</html>", "model_unavailable"},
		"code is a number": {http.StatusTooManyRequests, `{"error":{"code":429,"message":"slower"}}`, "model_rate_limited"},
		"error is text":    {http.StatusUnauthorized, `{"error":"no"}`, "model_unauthorized"},
		"redirect":         {http.StatusTemporaryRedirect, "", "model_bad_request"},
		"too large":        {http.StatusOK, strings.Repeat(" ", 17<<20), "model_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere.URL)
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body)) // the client may hang up before the end
			}))
			defer s.Close()
			_, o := server(t, func(c *analysis.OpenAIConfig) { c.BaseURL = s.URL + "/v1/" })
			_, _, err := o.ExtractFacts(t.Context(), evidence(t, "wal"))
			if commentator.ErrorCode(err) != tc.code {
				t.Errorf("error %v: code %s, want %s", err, commentator.ErrorCode(err), tc.code)
			}
		})
	}
}
