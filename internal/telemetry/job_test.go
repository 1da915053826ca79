package telemetry

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// play runs a job and returns its messages in order.
func play(t testing.TB, p *Provider, j commentator.Job, ends []StageEnd, outcome commentator.Outcome) []Message {
	t.Helper()
	var messages []Message
	keep := func(m Message, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if !m.Empty() {
			messages = append(messages, m)
		}
	}
	keep(p.JobStarted(j, testMessage()))
	ctx := p.JobContext(context.Background(), j)
	var records []commentator.StageRecord
	for _, end := range ends {
		sctx, st := p.StartStage(ctx, j, end.Record.Stage)
		outer, chat := StartDetail(sctx, wire.SpanChatPrefix+"gpt-4o", trace.SpanKindClient)
		chat.Set(attribute.String(wire.AttrGenAIRequestModel, "gpt-4o"))
		_, tool := StartDetail(outer, wire.SpanToolSearch, trace.SpanKindInternal)
		tool.End(nil)
		chat.End(nil)
		end.Record.SpanID = st.SpanID()
		keep(st.End(end))
		p.StageEnded(end.Record)
		records = append(records, end.Record)
	}
	keep(p.JobEnded(finish(j, outcome), testMessage(), records))
	return messages
}

func allSpans(t testing.TB, messages []Message) (all []*tracepb.Span) {
	for _, m := range messages {
		all = append(all, decode(t, m)...)
	}
	return all
}

func TestFullJobIsOneTraceWithEveryParentPresent(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	j := testJob(p, 7)
	messages := play(t, p, j, testStages(500), commentator.OutcomeSuccess)
	var kinds []string
	for _, m := range messages {
		kinds = append(kinds, m.Kind)
	}
	want := append(append([]string{wire.SpanJobStarted}, wire.StageNames...), wire.SpanJob)
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	traceID, rootID := wire.JobIdentity(j.StoreID, j.ID, j.CreatedAt)
	spans := allSpans(t, messages)
	ids := map[string]bool{}
	for _, s := range spans {
		ids[string(s.SpanId)] = true
	}
	if len(spans) != 17 || len(ids) != 17 {
		t.Errorf("%d spans with %d ids, want 17", len(spans), len(ids))
	}
	for _, s := range spans {
		if hex.EncodeToString(s.TraceId) != traceID.String() {
			t.Errorf("span %s is in trace %x", s.Name, s.TraceId)
		}
		if s.Name == wire.SpanJob {
			if hex.EncodeToString(s.SpanId) != rootID.String() || len(s.ParentSpanId) != 0 {
				t.Errorf("the root has id %x and parent %x", s.SpanId, s.ParentSpanId)
			}
			continue
		}
		if !ids[string(s.ParentSpanId)] {
			t.Errorf("the parent of span %s is missing", s.Name)
		}
		if len(s.Links) > 0 || s.TraceState != "" {
			t.Errorf("span %s has links or a trace state", s.Name)
		}
		a := values(s.Attributes)
		if a[wire.AttrJobID] != "7" || a[wire.AttrJobDetail] != wire.DetailFull || a[wire.AttrTier] == nil {
			t.Errorf("span %s lacks its job: %v", s.Name, a)
		}
		if a[wire.AttrTier] != wire.TierDetail && a[wire.AttrStartedAt] != j.StartedAt.UnixMicro() {
			t.Errorf("span %s lacks the start of its job", s.Name)
		}
	}
}

func TestTrackedJobHasLifecycleSpansOnly(t *testing.T) {
	p, _ := newTestProvider(t, func(c *Config) { c.Mode = ModeTracking })
	spans := allSpans(t, play(t, p, testJob(p, 7), testStages(500), commentator.OutcomeSuccess))
	if len(spans) != 7 {
		t.Errorf("%d spans, want 7", len(spans))
	}
	for _, s := range spans {
		a := values(s.Attributes)
		if a[wire.AttrJobDetail] != wire.DetailLifecycle || a[wire.AttrInput] != nil || a[wire.AttrOutput] != nil {
			t.Errorf("span %s: %v", s.Name, a)
		}
	}
}

func TestTwoProcessesGiveTheSameIdentity(t *testing.T) {
	a, _ := newTestProvider(t, nil)
	b, _ := newTestProvider(t, nil)
	j := testJob(a, 7)
	first := allSpans(t, play(t, a, j, testStages(100), commentator.OutcomeSuccess))
	second := allSpans(t, play(t, b, j, testStages(100), commentator.OutcomeSuccess))
	last := len(first) - 1
	if string(first[last].SpanId) != string(second[last].SpanId) || string(first[0].TraceId) != string(second[0].TraceId) {
		t.Error("the same row gave two identities")
	}
	// A stage that is repeated after a crash is another span of the same trace.
	if string(first[1].SpanId) == string(second[1].SpanId) {
		t.Error("two attempts at a stage share a span id")
	}
	if diff := cmp.Diff(values(first[last].Attributes), values(second[last].Attributes)); diff != "" {
		t.Errorf("two roots of the same row differ:\n%s", diff)
	}
}

func TestRootIdsDoNotLeakIntoOtherRoots(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	j := testJob(p, 7)
	ctx, _ := p.StartStage(p.JobContext(context.Background(), j), j, commentator.StageA)
	_, root := jobIdentity(j)
	_, library := p.rec.tracer.Start(ctx, "a library's own root", trace.WithNewRoot())
	if library.SpanContext().SpanID() == root {
		t.Error("a new root below the job got the job's ids")
	}
}

func TestRootDoesNotDependOnWhichProcessRanTheStages(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	j := testJob(p, 7)
	ends := testStages(300)
	var records []commentator.StageRecord
	for _, end := range ends {
		_, st := p.StartStage(context.Background(), j, end.Record.Stage)
		end.Record.SpanID = st.SpanID()
		if _, err := st.End(end); err != nil {
			t.Fatal(err)
		}
		records = append(records, end.Record)
	}
	root := func() map[string]any {
		m, err := p.JobEnded(finish(j, commentator.OutcomeSuccess), testMessage(), records)
		if err != nil {
			t.Fatal(err)
		}
		return values(decode(t, m)[0].Attributes)
	}
	remembered := root()
	resumed := root() // the first call emptied the memory
	if diff := cmp.Diff(remembered, resumed); diff != "" {
		t.Errorf("a resumed job has another root (-remembered +resumed):\n%s", diff)
	}
}

func TestRootRollsUp(t *testing.T) {
	p, _ := newTestProvider(t, func(c *Config) { c.SlackURL = "https://team.slack.com/" })
	ends := testStages(300)
	failed := ends[1]
	failed.Facts, failed.Record.Result = nil, nil
	failed.Record.ErrorType, failed.Record.ErrorMessage = "timeout", "The model did not answer within 30 s."
	ends[1].Record.Attempt, ends[2].Record.Attempt = 2, 2
	j := testJob(p, 7)
	j.Attempt, j.RetryOf = 2, 5
	messages := play(t, p, j, []StageEnd{ends[0], failed, ends[1], ends[2], ends[3], ends[4]}, commentator.OutcomeSuccess)
	root := decode(t, messages[len(messages)-1])[0]
	if root.Kind != tracepb.Span_SPAN_KIND_CONSUMER || root.Status.GetCode() != tracepb.Status_STATUS_CODE_UNSET {
		t.Errorf("the root has kind %v and status %v", root.Kind, root.Status)
	}
	got := values(root.Attributes)
	for key, want := range map[string]any{
		wire.AttrJobOutcome:                      "success",
		wire.AttrJobAttempts:                     int64(2),
		wire.AttrJobRetryOf:                      "5",
		wire.AttrSlackChannelID:                  "C123",
		wire.AttrSlackMessageTS:                  "1700000000.000100",
		wire.AttrSlackPermalink:                  "https://team.slack.com/archives/C123/p1700000000000100",
		wire.AttrSessionID:                       "C123:1700000000.000100",
		wire.AttrUserID:                          userID(testKey, "U42"),
		wire.AttrURLFull:                         "https://example.org/page?a=1",
		wire.AttrURLDomain:                       "example.org",
		wire.AttrRetrievalAdapter:                "GenericAdapter",
		wire.AttrRetrievalCoverage:               "full",
		wire.AttrSourceCount:                     int64(1),
		wire.AttrSnippetCount:                    int64(12),
		wire.AttrErrorCount:                      int64(0),
		wire.AttrFactCount:                       int64(12),
		wire.AttrToolCallCount:                   int64(6),    // of all three attempts
		wire.AttrUsageInput:                      int64(3000), // of all three attempts
		wire.AttrUsageOutput:                     int64(600),
		wire.AttrUsageCacheCreation:              int64(0),
		wire.AttrGateTotal:                       int64(7),
		wire.AttrGateFailures:                    int64(0),
		wire.AttrGatePassed:                      true,
		wire.AttrGateSummaryMin:                  int64(10),
		wire.AttrStageAModel:                     "gpt-4o",
		wire.AttrStageBPromptName:                "stage_a_extract_facts",
		wire.AttrTemperature:                     0.2,
		wire.AttrMaxTokens:                       int64(800),
		wire.AttrStageAttemptsPrefix + "stage_a": int64(2),
		wire.AttrDurationStageA:                  0.9,
		wire.AttrStageStatusPrefix + "stage_a":   "ok",
		wire.AttrStageStatusPrefix + "retrieval": "ok",
		wire.AttrCommentText:                     p.rec.text(ends[4].Post.Text),
	} {
		if diff := cmp.Diff(want, got[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	if a := decode(t, messages[2])[0]; a.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR ||
		values(a.Attributes)[wire.AttrErrorType] != "timeout" || len(a.Events) != 0 {
		t.Errorf("the failed attempt is %v", a)
	}
	for _, key := range []string{wire.AttrInput, wire.AttrOutput} {
		if text, _ := got[key].(string); !json.Valid([]byte(text)) {
			t.Errorf("%s is no JSON: %q", key, text)
		}
	}
}

func TestJobWithoutLinkAndJobWithErrorHaveTheirRoots(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	j := testJob(p, 7)
	j.URL, j.Domain = "", ""
	spans := allSpans(t, play(t, p, j, nil, commentator.OutcomeNoURLs))
	if len(spans) != 2 || values(spans[1].Attributes)[wire.AttrURLFull] != nil {
		t.Errorf("no_urls gives %v", spans)
	}
	j = testJob(p, 8)
	j.ErrorType, j.ErrorMessage = "http_404", "https://u:secret@example.org answered 404."
	end := StageEnd{
		Evidence: &commentator.Evidence{Adapter: "GenericAdapter", Coverage: commentator.CoverageFailed, Errors: []string{"404"}},
		Record: commentator.StageRecord{
			Stage: commentator.StageRetrieval, Attempt: 1, ErrorType: j.ErrorType,
			ErrorMessage: j.ErrorMessage, StartedAt: testStart, EndedAt: testStart.Add(time.Second),
		},
	}
	messages := play(t, p, j, []StageEnd{end}, commentator.OutcomeError)
	stage, root := decode(t, messages[1])[0], decode(t, messages[2])[0]
	const message = "https://REDACTED:REDACTED@example.org answered 404."
	if root.Status.GetMessage() != message || values(root.Attributes)[wire.AttrErrorMessage] != message {
		t.Errorf("the root's error is %v", root.Status)
	}
	if len(stage.Events) != 1 || values(stage.Attributes)[wire.AttrErrorCount] != int64(1) {
		t.Errorf("the failed retrieval is %v", stage)
	}
}

func TestClockSetBackKeepsSpansInOrder(t *testing.T) {
	p, reader := newTestProvider(t, nil)
	j := testJob(p, 7)
	end := testStages(10)[0]
	end.Record.EndedAt = end.Record.StartedAt.Add(-time.Hour)
	ctx, st := p.StartStage(context.Background(), j, commentator.StageRetrieval)
	_, open := StartDetail(ctx, "GET", trace.SpanKindClient)
	message, err := st.End(end)
	if err != nil {
		t.Fatal(err)
	}
	open.End(nil)
	j = finish(j, commentator.OutcomeSuccess)
	j.FinishedAt = j.StartedAt.Add(-time.Second)
	root, err := p.JobEnded(j, testMessage(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append(decode(t, message), decode(t, root)...) {
		if s.EndTimeUnixNano < s.StartTimeUnixNano {
			t.Errorf("span %s ends before it starts", s.Name)
		}
	}
	if n := sum(t, reader, wire.MetricClockCorrections); n != 2 {
		t.Errorf("%d corrections are counted, want 2", n)
	}
}

func TestUserPseudonym(t *testing.T) {
	a, b := userID(testKey, "U42"), userID("another key", "U42")
	if len(a) != 18 || a[:2] != "u-" || a == b || a != userID(testKey, "U42") || userID(testKey, "") != "" || userID("", "U42") != "" {
		t.Errorf("pseudonyms are %q and %q", a, b)
	}
}

func TestPermalinkOnlyForSlack(t *testing.T) {
	p := &Provider{cfg: Config{SlackURL: "https://team.slack.com"}}
	m := commentator.Message{Channel: "C1", TS: "2.5", ThreadTS: "1.5"}
	if got := p.permalink(m); got != "https://team.slack.com/archives/C1/p25?thread_ts=1.5&cid=C1" {
		t.Errorf("permalink is %q", got)
	}
	m.Channel = commentator.ReplayChannel
	if got := p.permalink(m); got != "" {
		t.Errorf("a replayed link has the permalink %q", got)
	}
}
