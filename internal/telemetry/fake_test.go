package telemetry

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/plainjson"
)

const (
	testStore = "0b8f7c5e-1111-4222-8333-444455556666"
	testKey   = "the key of pseudonyms"
)

var testStart = time.Date(2026, 11, 23, 9, 0, 0, 123456000, time.UTC)

// newTestProvider returns a provider without outbox whose metrics are read by hand.
func newTestProvider(t testing.TB, change func(*Config)) (*Provider, *sdkmetric.ManualReader) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	cfg := Config{
		Mode: ModeTracing, Ratio: 1, CaptureContent: true, StoreID: testStore, PseudonymKey: testKey, Version: "1.2.3",
		Gates:        commentator.GateLimits{SummaryMin: 10, SummaryMax: 15, TLDR: 3, ThemesMin: 2},
		metricReader: reader,
	}
	if change != nil {
		change(&cfg)
	}
	p, err := New(context.Background(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p, reader
}

func testJob(p *Provider, id int64) commentator.Job {
	j := commentator.Job{
		ID: id, StoreID: testStore, MessageID: 1, URL: "https://example.org/page?a=1", Domain: "example.org",
		State: commentator.JobRunning, Attempt: 1, CreatedAt: testStart, StartedAt: testStart.Add(time.Second),
	}
	j.Detail = p.Decide(j, commentator.Message{}).Detail
	return j
}

func testMessage() commentator.Message {
	return commentator.Message{
		Channel: "C123", TS: "1700000000.000100", User: "U42", Text: "look: <https://example.org/page?a=1>",
	}
}

// testStages returns the ends of the five stages of a successful job, each with about
// size bytes of content.
func testStages(size int) []StageEnd {
	words := strings.Fields("the SQLite database engine stores pages in a btree and journals them before each " +
		"commit so that readers and writers proceed at once https://example.org token")
	random := rand.New(rand.NewPCG(1, 2))
	sentence := func(n int) string {
		var b strings.Builder
		b.WriteString("By a@b.example: ") // one hit for the redaction in each
		for b.Len() < n {
			b.WriteString(words[random.IntN(len(words))])
			b.WriteByte(' ')
		}
		return b.String()[:n]
	}
	evidence := &commentator.Evidence{
		Adapter: "GenericAdapter", Coverage: commentator.CoverageFull, Errors: []string{},
		Sources: []commentator.Source{{URL: "https://example.org/page?a=1", Title: "A <page> & more", FetchedAt: testStart}},
	}
	facts := &commentator.Facts{Unknowns: []string{}, CoverageAssessment: "full"}
	comment := &commentator.Comment{TLDR: []string{"One.", "Two.", "Three."}, SimilarTech: []string{}}
	for i := range 12 {
		id := "s" + string(rune('a'+i))
		evidence.Snippets = append(evidence.Snippets, commentator.Snippet{ID: id, Content: sentence(size / 12), SourceURL: "https://example.org/page"})
		facts.KeyFacts = append(facts.KeyFacts, commentator.Fact{Fact: sentence(size / 12), SupportedBy: []string{id}})
		comment.Summary = append(comment.Summary, sentence(size/12))
	}
	comment.Projects = []string{"**RAG / Retrieval Systems** — it helps.", "**Agentic Workflows** — it helps.", "**General** — it helps."}
	gates := &commentator.GateReport{Passed: true, Total: 7, Failures: []commentator.GateFailure{}}
	text := strings.Join(comment.Summary, "\n")
	payload, err := json.Marshal(map[string]any{"channel": "C123", "thread_ts": "1700000000.000100", "text": text, "mrkdwn": true})
	if err != nil {
		panic(err)
	}
	post := &commentator.Post{Delivery: "store", Channel: "C123", ThreadTS: "1700000000.000100", Text: text, Payload: payload}
	temperature := 0.2
	analysis := commentator.Analysis{
		Provider: "openai", Model: "gpt-4o", PromptName: "stage_a_extract_facts", PromptSHA: hash("prompt"),
		Temperature: &temperature, MaxTokens: 800, ToolCalls: 2, Sources: []string{"https://example.org/page?a=1"},
		Usage: commentator.Usage{Calls: 1, Input: 1000, Output: 200, CacheRead: 100, Reasoning: 20},
	}
	ends := []StageEnd{
		{Evidence: evidence, Input: map[string]string{"url": "https://example.org/page?a=1"}},
		{Facts: facts, Input: evidence, Record: commentator.StageRecord{Analysis: analysis}},
		{Comment: comment, Input: Parts{"evidence": evidence, "facts": facts}, Record: commentator.StageRecord{Analysis: analysis}},
		{Gates: gates, Input: comment},
		{Post: post, Input: comment},
	}
	for i := range ends {
		r := &ends[i].Record
		r.JobID, r.Stage, r.Attempt = 7, commentator.Stages[i], 1
		r.StartedAt = testStart.Add(time.Duration(i+1) * time.Second)
		r.EndedAt = r.StartedAt.Add(900 * time.Millisecond)
		var err error
		switch {
		case ends[i].Evidence != nil:
			r.Result, err = plainjson.Marshal(ends[i].Evidence)
		case ends[i].Facts != nil:
			r.Result, err = plainjson.Marshal(ends[i].Facts)
		case ends[i].Comment != nil:
			r.Result, err = plainjson.Marshal(ends[i].Comment)
		case ends[i].Gates != nil:
			r.Result, err = plainjson.Marshal(ends[i].Gates)
		case ends[i].Post != nil:
			r.Result, err = plainjson.Marshal(ends[i].Post)
		}
		if err != nil {
			panic(err)
		}
	}
	return ends
}

// finish makes a job final.
func finish(j commentator.Job, outcome commentator.Outcome) commentator.Job {
	j.State, j.Outcome, j.FinishedAt = commentator.JobFinal, outcome, testStart.Add(10*time.Second)
	return j
}

// decode returns the spans of a message in order.
func decode(t testing.TB, m Message) []*tracepb.Span {
	t.Helper()
	spans := decodeRequest(t, m)
	return spans.ResourceSpans[0].ScopeSpans[0].Spans
}

func decodeRequest(t testing.TB, m Message) *collectorpb.ExportTraceServiceRequest {
	t.Helper()
	plain, err := decompress(m.Body, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(plain) != m.Size {
		t.Errorf("size is %d, want %d", m.Size, len(plain))
	}
	var request collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(plain, &request); err != nil {
		t.Fatal(err)
	}
	return &request
}

// values returns attributes as Go values by key.
func values(attrs []*commonpb.KeyValue) map[string]any {
	out := make(map[string]any, len(attrs))
	for _, kv := range attrs {
		out[kv.Key] = value(kv.Value)
	}
	return out
}

func value(v *commonpb.AnyValue) any {
	switch v := v.Value.(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_IntValue:
		return v.IntValue
	case *commonpb.AnyValue_DoubleValue:
		return v.DoubleValue
	case *commonpb.AnyValue_BoolValue:
		return v.BoolValue
	case *commonpb.AnyValue_ArrayValue:
		var list []any
		for _, item := range v.ArrayValue.Values {
			list = append(list, value(item))
		}
		return list
	default:
		return nil
	}
}

// sum returns the sum of all points of a counter.
func sum(t testing.TB, reader *sdkmetric.ManualReader, name string) (total int64) {
	t.Helper()
	for _, m := range collect(t, reader) {
		if m.Name != name {
			continue
		}
		for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
			total += point.Value
		}
	}
	return total
}

func collect(t testing.TB, reader *sdkmetric.ManualReader) []metricdata.Metrics {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &data); err != nil {
		t.Fatal(err)
	}
	var all []metricdata.Metrics
	for _, scope := range data.ScopeMetrics {
		all = append(all, scope.Metrics...)
	}
	return all
}
