package reduce

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/pricing"
	"github.com/technoshare/commentator/internal/wire"
)

// A model call looks as MLflow's autologging of OpenAI writes it.
func TestModelCallIsNative(t *testing.T) {
	s := newSpan(t, Detail, "chat gpt-4o", 2, map[string]any{
		wire.AttrTier: "detail", wire.AttrGenAIOperation: "chat", wire.AttrGenAIProvider: "openai",
		wire.AttrGenAIRequestModel: "gpt-4o", wire.AttrGenAIResponseModel: "gpt-4o-2024-08-06",
		wire.AttrTemperature: 0.2, wire.AttrMaxTokens: 900,
		wire.AttrUsageInput: 100, wire.AttrUsageOutput: 20, wire.AttrUsageCacheRead: 64,
		"gen_ai.system_instructions": `[{"type":"text","content":"Be short."}]`,
		wire.AttrGenAIInput: `[{"role":"user","parts":[{"type":"text","content":"Facts <a> & b?"}]},` +
			`{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"search","arguments":{"q":"wal"}}]},` +
			`{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":"none"}]}]`,
		wire.AttrGenAIOutput: `[{"role":"assistant","parts":[{"type":"text","content":"Done."}],"finish_reason":"stop"}]`,
		wire.AttrGenAITools:  `[{"type":"function","name":"search","description":"Looks <a> up.","strict":true,"parameters":{"type":"object"}}]`,
	})
	const tools = `[{"type":"function","function":{"description":"Looks <a> up.","name":"search","parameters":{"type":"object"},"strict":true}}]`
	want := map[string]any{
		attrSpanType: "CHAT_MODEL", attrModel: "gpt-4o-2024-08-06", attrProvider: "openai", attrMessageFormat: "openai",
		AttrTokenUsage: `{"cache_creation_input_tokens":0,"cache_read_input_tokens":64,"input_tokens":100,"output_tokens":20,"total_tokens":120}`,
		AttrCost:       `{"input_cost":0.00017,"output_cost":0.0002,"total_cost":0.00037}`, // 36 × 2.50 + 64 × 1.25, 20 × 10 per million
		attrSpanInputs: `{"model":"gpt-4o","messages":[{"role":"system","content":"Be short."},{"role":"user","content":"Facts <a> & b?"},` +
			`{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"search","arguments":"{\"q\":\"wal\"}"}}]},` +
			`{"role":"tool","content":"none","tool_call_id":"c1"}],"temperature":0.2,"max_tokens":900,"tools":` + tools + `}`,
		attrChatTools:   tools,
		attrSpanOutputs: `{"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"Done."},"finish_reason":"stop"}]}`,

		wire.AttrGenAIOperation: "chat", wire.AttrGenAIProvider: "openai", wire.AttrGenAIRequestModel: "gpt-4o",
		wire.AttrGenAIResponseModel: "gpt-4o-2024-08-06", wire.AttrTemperature: 0.2, wire.AttrMaxTokens: int64(900),
		wire.AttrUsageInput: int64(100), wire.AttrUsageOutput: int64(20), wire.AttrUsageCacheRead: int64(64),
		wire.AttrTier: wire.TierDetail,
	}
	for _, key := range []string{attrSystemInstructions, wire.AttrGenAIInput, wire.AttrGenAIOutput, wire.AttrGenAITools} {
		v, _ := s.Span.Attributes().Get(key)
		want[key] = v.Str()
	}
	if diff := cmp.Diff(want, nativeAttrs(t, s)); diff != "" {
		t.Error(diff)
	}
}

// Who follows the conventions says why the model stopped beside the messages.
func TestFinishReasonsReachTheAnswer(t *testing.T) {
	got := nativeAttrs(t, newSpan(t, Detail, "chat gpt-4o", 2, map[string]any{
		wire.AttrGenAIOperation: "chat", wire.AttrGenAIFinishReasons: []any{"length"},
		wire.AttrGenAIOutput: `[{"role":"assistant","parts":[{"type":"text","content":"a"}]},{"role":"assistant","parts":[{"type":"text","content":"b"}]}]`,
	}))
	want := `{"choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"length"},{"index":1,"message":{"role":"assistant","content":"b"}}]}`
	if got[attrSpanOutputs] != want {
		t.Errorf("got  %v\nwant %s", got[attrSpanOutputs], want)
	}
}

func TestSpansThatEndedWithoutErrorAreOK(t *testing.T) {
	for code, want := range map[ptrace.StatusCode]ptrace.StatusCode{
		ptrace.StatusCodeUnset: ptrace.StatusCodeOk, ptrace.StatusCodeOk: ptrace.StatusCodeOk, ptrace.StatusCodeError: ptrace.StatusCodeError,
	} {
		s, dst := newSpan(t, Detail, "GET", 2, nil), ptrace.NewSpan()
		s.Span.Status().SetCode(code)
		native(s, s, Mapping{}, dst)
		if got := dst.Status().Code(); got != want {
			t.Errorf("%s becomes %s; want %s", code, got, want)
		}
	}
}

// Who looks for traces of jobs that went wrong filters by their state.
func TestTracesOfJobsThatDidNotEndWellAreErrors(t *testing.T) {
	for name, c := range map[string]struct {
		attrs map[string]any
		code  ptrace.StatusCode
		want  string
	}{
		"success":                 {map[string]any{wire.AttrJobOutcome: "success"}, ptrace.StatusCodeUnset, "OK"},
		"a gate is a result":      {map[string]any{wire.AttrJobOutcome: "gate_failed"}, ptrace.StatusCodeUnset, "OK"},
		"error":                   {map[string]any{wire.AttrJobOutcome: "error"}, ptrace.StatusCodeUnset, "ERROR"},
		"cancelled":               {map[string]any{wire.AttrJobOutcome: "cancelled"}, ptrace.StatusCodeUnset, "ERROR"},
		"no outcome":              {nil, ptrace.StatusCodeUnset, "OK"},
		"no outcome but a status": {nil, ptrace.StatusCodeError, "ERROR"},
		"no outcome but an error": {map[string]any{wire.AttrErrorType: "timeout"}, ptrace.StatusCodeUnset, "ERROR"},
	} {
		s := newSpan(t, Job, "job", 1, c.attrs)
		s.Span.Status().SetCode(c.code)
		if got := Reduce([]Span{s}, simple).Traces[0].Info.State; got != c.want {
			t.Errorf("%s: the trace is %s, want %s", name, got, c.want)
		}
	}
}

func TestMessagesOfAnotherShapeArePassedOn(t *testing.T) {
	for in, want := range map[string]string{
		"plain text":                       `"plain text"`,
		`{"a":1}`:                          `{"a":1}`,
		`[{"role":"user","content":"hi"}]`: `[{"role":"user","content":"hi"}]`,
		`[]`:                               `[]`,
	} {
		got := nativeAttrs(t, newSpan(t, Detail, "chat x", 2, map[string]any{wire.AttrGenAIOperation: "chat", wire.AttrGenAIInput: in}))
		if got[attrSpanInputs] != want || got[wire.AttrGenAIInput] != in || got[attrMessageFormat] != nil {
			t.Errorf("%s: %v", in, got)
		}
	}
}

// MLflow adds usage up itself: totals above the model calls would count twice.
func TestTotalsAreTakenOffStagesAndJob(t *testing.T) {
	for _, kind := range []Kind{Job, Stage} {
		got := nativeAttrs(t, newSpan(t, kind, "stage_a", 2, map[string]any{
			wire.AttrUsageInput: 5, wire.AttrUsageOutput: 5, AttrTokenUsage: `{"input_tokens":5}`, AttrCost: `{"total_cost":1}`,
		}))
		if diff := cmp.Diff(map[string]any{attrSpanType: "CHAIN"}, got); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
}

// A job, stage or member that is a model call itself is one for MLflow too, and what the job says of
// the whole stays that of the trace.
func TestModelCallsThatAreRuns(t *testing.T) {
	used := func(operation string, in int) map[string]any {
		return map[string]any{
			wire.AttrGenAIOperation: operation, wire.AttrGenAIProvider: "openai", wire.AttrGenAIRequestModel: "gpt-4o", wire.AttrUsageInput: in, wire.AttrUsageOutput: 0,
		}
	}
	for _, operation := range []string{"chat", "generate_content", "text_completion", "embeddings"} {
		for _, kind := range []Kind{Job, Stage, Member} {
			got := nativeAttrs(t, newSpan(t, kind, "ask", 2, used(operation, 100)))
			want := map[string]any{
				attrModel: "gpt-4o", attrProvider: "openai", wire.AttrUsageInput: int64(100), AttrCost: `{"input_cost":0.00025,"output_cost":0,"total_cost":0.00025}`,
				AttrTokenUsage: `{"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"input_tokens":100,"output_tokens":0,"total_tokens":100}`,
			}
			for key, value := range want {
				if got[key] != value {
					t.Errorf("%s that is %s: %s is %v, want %v", kind, operation, key, got[key], value)
				}
			}
		}
	}
	for _, operation := range []string{"invoke_agent", "create_agent", "invoke_workflow", "execute_tool", ""} {
		if got := nativeAttrs(t, newSpan(t, Stage, "sum", 2, used(operation, 100))); got[AttrTokenUsage] != nil || got[wire.AttrUsageInput] != nil || got[AttrCost] != nil {
			t.Errorf("a stage that is %q has %v", operation, got)
		}
	}

	// The job tells what all calls below it used, one of which is a stage.
	m := Mapping{Job: RunMapping{Name: "job"}, Stage: RunMapping{Name: "stage"}, Prices: pricing.Default()}
	rule := []Rule{{Attribute: wire.AttrUsageInput, Metric: "input_tokens"}}
	m.Job.Rules, m.Stage.Rules = rule, rule
	total := used("", 140)
	delete(total, wire.AttrGenAIOperation)
	plan := Reduce([]Span{newSpan(t, Job, "job", 1, total), newSpan(t, Stage, "ask", 2, used("chat", 100)), newSpan(t, Detail, "chat", 3, used("chat", 40))}, m)
	counts := map[string]any{}
	for _, s := range plan.Traces[0].Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		counts[s.Name()] = s.Attributes().AsRaw()[wire.AttrUsageInput]
	}
	if diff := cmp.Diff(map[string]any{"job": nil, "ask": int64(100), "chat": int64(40)}, counts); diff != "" {
		t.Errorf("tokens of the spans (-want +got)\n%s", diff)
	}
	if got := plan.Traces[0].Info.TokenUsage["input_tokens"]; got != 140 {
		t.Errorf("the trace has %d tokens, want 140", got)
	}
	for name, want := range map[string]float64{"job": 140, "stage": 100} {
		i := slices.IndexFunc(plan.Runs, func(r Run) bool { return r.Name == name })
		tokens, _ := metricOf(plan.Runs[i], "input_tokens")
		if cost, _ := metricOf(plan.Runs[i], metricCost); tokens != want || math.Abs(cost-want*2.5e-6) > 1e-12 {
			t.Errorf("the run %s has %v tokens for %v USD, want %v", name, tokens, cost, want)
		}
	}
}

// Content is shown where people look, and stays where the conventions have it.
func TestContentIsShown(t *testing.T) {
	for name, c := range map[string]struct {
		span Span
		want map[string]any
	}{
		"stage": {
			newSpan(t, Stage, "retrieval", 2, map[string]any{wire.AttrInput: `{"url":"u"}`, wire.AttrOutput: "text"}),
			map[string]any{attrSpanType: "RETRIEVER", attrSpanInputs: `{"url":"u"}`, attrSpanOutputs: `"text"`, wire.AttrInput: `{"url":"u"}`, wire.AttrOutput: "text"},
		},
		"tool": {
			newSpan(t, Detail, "execute_tool search", 2, map[string]any{
				wire.AttrGenAIOperation: "execute_tool", wire.AttrGenAIToolArguments: map[string]any{"q": "wal"}, wire.AttrGenAIToolResult: `[1]`,
			}),
			map[string]any{
				attrSpanType: "TOOL", attrSpanInputs: `{"q":"wal"}`, attrSpanOutputs: `[1]`, wire.AttrGenAIOperation: "execute_tool",
				wire.AttrGenAIToolArguments: map[string]any{"q": "wal"}, wire.AttrGenAIToolResult: `[1]`,
			},
		},
		"http": {
			newSpan(t, Detail, "GET", 2, map[string]any{wire.AttrHTTPMethod: "GET", wire.AttrURLFull: "https://e.org/?a=1&b=2", wire.AttrHTTPStatus: 200}),
			map[string]any{
				attrSpanType: "UNKNOWN", attrSpanInputs: `{"method":"GET","url":"https://e.org/?a=1&b=2"}`, attrSpanOutputs: `{"status_code":200}`,
				wire.AttrHTTPMethod: "GET", wire.AttrURLFull: "https://e.org/?a=1&b=2", wire.AttrHTTPStatus: int64(200),
			},
		},
		"own native attributes win": {
			newSpan(t, Detail, "x", 2, map[string]any{attrSpanType: "AGENT", attrSpanInputs: "mine", wire.AttrInput: "other"}),
			map[string]any{attrSpanType: "AGENT", attrSpanInputs: "mine", wire.AttrInput: "other"},
		},
	} {
		if diff := cmp.Diff(c.want, nativeAttrs(t, c.span)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What makes MLflow refuse a whole request is removed or cut.
func TestHarmfulAttributesAreSanitized(t *testing.T) {
	long := strings.Repeat("ä", 600)
	s := newSpan(t, Detail, "nul\x00", 2, map[string]any{
		AttrCost: "0.5", AttrTokenUsage: `{"input_tokens":"5"}`, attrSpanType: long,
		wire.AttrSessionID: long, wire.AttrUserID: long, "gen_ai.conversation.id": long,
		"mlflow.traceTag.mlflow.trace.spansLocation": "x", "mlflow.traceTag.team": "kept", "mlflow.traceRequestId": "tr-1", "mlflow.experimentId": "9",
		"nul": "a\x00b", "utf8": "a\xffb", "deep": map[string]any{"list": []any{"c\x00"}},
	})
	s.Span.SetEndTimestamp(0)
	s.Span.Status().SetMessage("m\x00")
	dst := ptrace.NewSpan()
	native(s, s, Mapping{}, dst)
	got := dst.Attributes().AsRaw()
	cut := strings.Repeat("ä", 249) + "…"
	want := map[string]any{
		attrSpanType:       strings.Repeat("ä", 499) + "…",
		wire.AttrSessionID: cut, wire.AttrUserID: cut, "gen_ai.conversation.id": cut,
		"mlflow.traceTag.team": "kept", "nul": "ab", "utf8": "a\uFFFDb", "deep": map[string]any{"list": []any{"c"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if dst.EndTimestamp() != dst.StartTimestamp() || dst.Name() != "nul" || dst.Status().Message() != "m" {
		t.Errorf("span is %q %v–%v %q", dst.Name(), dst.StartTimestamp(), dst.EndTimestamp(), dst.Status().Message())
	}
}

// A request with a text that is no UTF-8, or with a value that is nested too deep, is refused
// whole.
func TestAnySpanIsReadable(t *testing.T) {
	const bad, good = "a\xff", "a\uFFFD"
	s := newSpan(t, Detail, bad, 2, map[string]any{bad: "first", "\x00": 1, "deep": map[string]any{bad: []any{map[string]any{bad: bad}}}})
	s.Span.Attributes().PutStr("a\xfe", "second") // behind the first, which a map of Go would not say
	s.Span.TraceState().FromRaw(bad)
	event := s.Span.Events().AppendEmpty()
	event.SetName(bad)
	event.Attributes().PutStr(bad, bad)
	link := s.Span.Links().AppendEmpty()
	link.TraceState().FromRaw(bad)
	link.Attributes().PutStr(bad, bad)
	deepest := s.Span.Attributes().PutEmptyMap("maps")
	list := s.Span.Attributes().PutEmptySlice("lists")
	for range 120 {
		deepest = deepest.PutEmptyMap("m")
		list = list.AppendEmpty().SetEmptySlice()
	}
	deepest.PutStr(bad, bad)
	list.AppendEmpty().SetStr(bad)
	dst := ptrace.NewSpan()
	native(s, s, Mapping{}, dst)

	got := dst.Attributes().AsRaw()
	depth := 0
	var text string
	for v := got["maps"]; ; depth++ {
		m, ok := v.(map[string]any)
		if !ok {
			text, _ = v.(string)
			break
		}
		v = m["m"]
	}
	if depth != maxDepth-1 || !strings.HasPrefix(text, `{"m":{`) || !strings.Contains(text, `"a\ufffd"`) {
		t.Errorf("at depth %d of maps: %q", depth, text)
	}
	if _, ok := got["lists"].([]any); !ok || !utf8.ValidString(fmt.Sprint(got["lists"])) {
		t.Errorf("lists are %v", got["lists"])
	}
	delete(got, "maps")
	delete(got, "lists")
	want := map[string]any{good: "first", "deep": map[string]any{good: []any{map[string]any{good: good}}}, attrSpanType: typeUnknown}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	event, link = dst.Events().At(0), dst.Links().At(0)
	if diff := cmp.Diff([]any{map[string]any{good: good}, map[string]any{good: good}}, []any{event.Attributes().AsRaw(), link.Attributes().AsRaw()}); diff != "" || event.Name() != good {
		t.Errorf("event %q: %s", event.Name(), diff)
	}
	if all := []string{dst.Name(), dst.TraceState().AsRaw(), link.TraceState().AsRaw()}; !slices.Equal(all, []string{good, "", ""}) {
		t.Errorf("name and states are %q", all)
	}
}

// Counts that are none go nowhere, under MLflow's names and under those of the conventions,
// which MLflow reads too.
func TestTokensThatAreNoCounts(t *testing.T) {
	const most = math.MaxInt64
	for what, c := range map[string]struct {
		in, out any
		want    string // MLflow's counts
		kept    int    // how many attributes of the conventions stay
	}{
		"NaN":        {math.NaN(), 5, `{"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"input_tokens":0,"output_tokens":5,"total_tokens":5}`, 1},
		"infinity":   {math.Inf(1), math.Inf(-1), "", 0},
		"too many":   {1e300, "1e300", "", 0},
		"2^63":       {float64(most), 0, "", 1},
		"negative":   {-5, -1.5, "", 0},
		"the most":   {most, most, `{"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"input_tokens":9223372036854775807,"output_tokens":9223372036854775807,"total_tokens":9223372036854775807}`, 2},
		"no numbers": {"many", "", "", 0},
	} {
		got := nativeAttrs(t, newSpan(t, Detail, "chat", 2, map[string]any{wire.AttrUsageInput: c.in, wire.AttrUsageOutput: c.out}))
		kept := 0
		for _, name := range usageAttributes {
			if _, ok := got[name]; ok {
				kept++
			}
		}
		if text, _ := got[AttrTokenUsage].(string); text != c.want || kept != c.kept {
			t.Errorf("%s: %s, %d attributes kept", what, text, kept)
		}
	}
}

func TestNumbersOnly(t *testing.T) {
	for in, want := range map[string][2]bool{ // whole numbers, any numbers
		`{"input_tokens":5}`:       {true, true},
		`{"total_cost":0.5}`:       {false, true},
		`{"input_tokens":"5"}`:     {false, false},
		`{"input_tokens":null}`:    {false, false},
		`{}`:                       {false, false},
		`[1]`:                      {false, false},
		`0.5`:                      {false, false},
		`garbage`:                  {false, false},
		`{"total_cost":{"usd":1}}`: {false, false},
		`{"input_tokens":-5}`:      {false, true},
		`{"total_cost":1e999}`:     {false, false},
	} {
		if got := [2]bool{numbersOnly(in, true), numbersOnly(in, false)}; got != want {
			t.Errorf("%s: %v, want %v", in, got, want)
		}
	}
}

// Only what has a use goes along of the resource, for MLflow makes a tag of each.
func TestResourceIsStripped(t *testing.T) {
	s := newSpan(t, Job, "job", 1, map[string]any{"app.id": 1})
	_ = s.Resource.Attributes().FromRaw(map[string]any{wire.ResServiceName: "commentator", "host.name": "h", "process.pid": 7, wire.ResExperiment: "exp"})
	trace := Reduce([]Span{s}, simple).Traces[0]
	if diff := cmp.Diff(map[string]any{wire.ResServiceName: "commentator"}, trace.Spans.ResourceSpans().At(0).Resource().Attributes().AsRaw()); diff != "" {
		t.Error(diff)
	}
	if trace.Experiment != "exp" {
		t.Errorf("experiment is %q", trace.Experiment)
	}
}

// What is no text in a message is shown by its kind, without its bytes.
func TestPartsThatAreNoText(t *testing.T) {
	parts := `{"type":"text","content":"Look:"},{"type":"blob","mime_type":"image/png","modality":"image","content":"aGVsbG8="},{"type":"blob","content":"aGVsbG8="},` +
		`{"type":"uri","modality":"image","uri":"https://e.org/a.png"},{"type":"uri","uri":"data:image/png;base64,aGVsbG8="},{"type":"file","mime_type":null,"modality":7,"file_id":"f-1"}`
	s := newSpan(t, Detail, "chat", 2, map[string]any{wire.AttrGenAIOperation: "chat", wire.AttrGenAIInput: `[{"role":"user","parts":[` + parts + `]}]`})
	want := `{"messages":[{"role":"user","content":"Look:\n[image/png]\n[blob]\n[image https://e.org/a.png]\n[uri]\n[7 f-1]"}]}`
	if got := nativeAttrs(t, s)[attrSpanInputs]; got != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}
