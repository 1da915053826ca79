package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
	"weak"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// endStage runs one stage and returns its spans.
func endStage(t testing.TB, p *Provider, end StageEnd, inside func(context.Context)) []*tracepb.Span {
	t.Helper()
	ctx, st := p.StartStage(context.Background(), testJob(p, 7), end.Record.Stage)
	if inside != nil {
		inside(ctx)
	}
	m, err := st.End(end)
	if err != nil {
		t.Fatal(err)
	}
	if m.Size > maxMessage {
		t.Errorf("the message has %d bytes", m.Size)
	}
	return decode(t, m)
}

// artifacts returns the artifacts of a span by name.
func artifacts(s *tracepb.Span) map[string]map[string]any {
	found := map[string]map[string]any{}
	for _, e := range s.Events {
		a := values(e.Attributes)
		found[a[wire.AttrArtifactName].(string)] = a
	}
	return found
}

func TestOpenDetailSpansAreCut(t *testing.T) {
	p, reader := newTestProvider(t, nil)
	var open, child Detail
	end := testStages(10)[1]
	end.Record.EndedAt = time.Now().Add(time.Minute)
	spans := endStage(t, p, end, func(ctx context.Context) {
		var inner context.Context
		inner, open = StartDetail(ctx, "chat gpt-4o", trace.SpanKindClient)
		_, child = StartDetail(inner, "POST", trace.SpanKindClient)
		_, done := StartDetail(inner, "done", trace.SpanKindInternal)
		done.End(nil)
	})
	open.Set(attribute.String("late", "attribute"))
	open.End(errTest)
	child.End(nil)
	if len(spans) != 4 {
		t.Fatalf("%d spans, want 4", len(spans))
	}
	for _, s := range spans[1:] {
		a := values(s.Attributes)
		if cut := a[wire.AttrCut] == true; cut != (s.Name != "done") || a["late"] != nil || s.EndTimeUnixNano == 0 {
			t.Errorf("span %s: %v", s.Name, a)
		}
	}
	if n := sum(t, reader, wire.MetricDetailSpansCut); n != 2 {
		t.Errorf("%d cut spans are counted, want 2", n)
	}
}

func TestDetailAfterTheEndOfItsStageIsDropped(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	var late context.Context
	spans := endStage(t, p, testStages(10)[1], func(ctx context.Context) { late = ctx })
	ctx, d := StartDetail(late, "late", trace.SpanKindInternal)
	if d.Recording() || ctx != late || len(spans) != 1 {
		t.Error("a detail span was recorded after its stage")
	}
}

func TestSecondEndIsEmpty(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	_, st := p.StartStage(context.Background(), testJob(p, 7), commentator.StageA)
	for i, want := range []bool{false, true} {
		if m, err := st.End(testStages(10)[1]); err != nil || m.Empty() != want {
			t.Errorf("call %d returned a message of %d bytes, %v", i+1, m.Size, err)
		}
	}
}

func TestLateEndDoesNotKeepTheStageAlive(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	var d Detail
	stage := func() weak.Pointer[Stage] {
		ctx, st := p.StartStage(context.Background(), testJob(p, 7), commentator.StageA)
		_, d = StartDetail(ctx, "open", trace.SpanKindInternal)
		if _, err := st.End(testStages(10)[1]); err != nil {
			t.Error(err)
		}
		return weak.Make(st)
	}()
	for range 10 {
		runtime.GC()
		if stage.Value() == nil {
			break
		}
	}
	if stage.Value() != nil {
		t.Error("the stage is still in memory while a late span is held")
	}
	d.End(nil)
}

func TestDetailSpansOfManyGoroutinesConcurrentSafe(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	spans := endStage(t, p, testStages(10)[1], func(ctx context.Context) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 100 {
					_, d := StartDetail(ctx, "x", trace.SpanKindInternal)
					d.Set(attribute.Int("n", 1))
					d.End(nil)
				}
			})
		}
		wg.Wait()
	})
	if len(spans) != 801 {
		t.Errorf("%d spans, want 801", len(spans))
	}
}

func TestArtifactsOfEachStage(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	ends := testStages(60)
	want := []map[string]string{
		{wire.ArtifactEvidence: asIndented(t, ends[0].Evidence)},
		{wire.ArtifactFacts: asIndented(t, ends[1].Facts), wire.ArtifactSources: "https://example.org/page?a=1\n"},
		{wire.ArtifactComment: asIndented(t, ends[2].Comment)},
		{wire.ArtifactGateFailures: "No gate failed.\n"},
		{wire.ArtifactSlackPayload: asIndented(t, json.RawMessage(ends[4].Post.Payload))},
	}
	for i, end := range ends {
		for _, result := range []json.RawMessage{end.Record.Result, nil} { // from the row's JSON or from the value
			end.Record.Result = result
			got := map[string]string{}
			for name, a := range artifacts(endStage(t, p, end, nil)[0]) {
				content := a[wire.AttrArtifactContent].(string)
				got[name] = content
				if a[wire.AttrArtifactSize] != int64(len(content)) || a[wire.AttrArtifactSHA256] != hash(content) ||
					a[wire.AttrArtifactTruncated] != false {
					t.Errorf("artifact %s: %v", name, a)
				}
			}
			if diff := cmp.Diff(want[i], got); diff != "" {
				t.Errorf("artifacts of %s (-want +got):\n%s", end.Record.Stage, diff)
			}
		}
	}
}

// asIndented is what the standard library makes of a value.
func asIndented(t testing.TB, v any) string {
	t.Helper()
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestFailedGatesAreListed(t *testing.T) {
	report := &commentator.GateReport{Total: 7, Failures: []commentator.GateFailure{
		{Gate: "summary_sentence_count", Message: "The summary has 2 sentences; 10 to 15 are needed."},
		{Gate: "project_themes", Message: "No bullet names a theme."},
	}}
	end := testStages(10)[3]
	end.Gates, end.Record.Result = report, nil
	for _, tc := range []struct {
		content bool
		file    string
		first   string
	}{
		{true, "The summary has 2 sentences; 10 to 15 are needed.\nNo bullet names a theme.\n", "The summary has 2 sentences; 10 to 15 are needed."},
		{false, "summary_sentence_count\nproject_themes\n", "summary_sentence_count"},
	} {
		p, _ := newTestProvider(t, func(c *Config) { c.CaptureContent = tc.content })
		span := endStage(t, p, end, nil)[0]
		a := values(span.Attributes)
		if a[wire.AttrGateFailures] != int64(2) || a[wire.AttrGatePassed] != false || a[wire.AttrGateFailureList].([]any)[0] != tc.first {
			t.Errorf("attributes are %v", a)
		}
		if got := artifacts(span)[wire.ArtifactGateFailures][wire.AttrArtifactContent]; got != tc.file {
			t.Errorf("gate_failures.txt is %q", got)
		}
	}
}

func TestWithoutContentOnlyStructureLeaves(t *testing.T) {
	p, _ := newTestProvider(t, func(c *Config) { c.CaptureContent = false })
	ends := testStages(600)
	j := testJob(p, 7)
	var plain strings.Builder
	for _, m := range play(t, p, j, ends, commentator.OutcomeSuccess) {
		text, err := decompress(m.Body, nil)
		if err != nil {
			t.Fatal(err)
		}
		plain.Write(text)
	}
	for _, secret := range []string{"SQLite", "proceed at once", "it helps", "look:", "A <page>"} {
		if strings.Contains(plain.String(), secret) {
			t.Errorf("%q left the process", secret)
		}
	}
	span := endStage(t, p, ends[0], func(ctx context.Context) {
		if CaptureContent(ctx) {
			t.Error("content may be captured")
		}
	})[0]
	var evidence struct {
		Adapter  string
		Snippets []struct {
			ID      string
			Content struct {
				Bytes  int
				SHA256 string
			}
		}
	}
	content := artifacts(span)[wire.ArtifactEvidence][wire.AttrArtifactContent].(string)
	if err := json.Unmarshal([]byte(content), &evidence); err != nil {
		t.Fatal(err)
	}
	first := ends[0].Evidence.Snippets[0]
	if s := evidence.Snippets; evidence.Adapter != "GenericAdapter" || len(s) != 12 || s[0].ID != first.ID ||
		s[0].Content.Bytes != len(first.Content) || s[0].Content.SHA256 != hash(p.rec.text(first.Content)) {
		t.Errorf("evidence.json is %s", content)
	}
}

func TestTextsOfFullDetail(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	ends := testStages(50)
	messages := play(t, p, testJob(p, 7), ends, commentator.OutcomeSuccess)
	for i, end := range ends {
		a := values(decode(t, messages[i+1])[0].Attributes)
		for _, key := range []string{wire.AttrInput, wire.AttrOutput} {
			text, _ := a[key].(string)
			if !json.Valid([]byte(text)) {
				t.Errorf("%s of %s is no JSON: %q", key, end.Record.Stage, text)
			}
		}
	}
	var input struct {
		Evidence commentator.Evidence
		Facts    commentator.Facts
	}
	text := values(decode(t, messages[3])[0].Attributes)[wire.AttrInput].(string)
	if err := json.Unmarshal([]byte(text), &input); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*ends[1].Facts, input.Facts); diff != "" {
		t.Errorf("input of stage_b:\n%s", diff)
	}
	if len(p.encoded.byJob) != 0 || len(p.rollups.byID) != 0 {
		t.Error("a job that has ended is still in memory")
	}
}

func TestLimitsCutAtRuneBordersWithAMark(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	huge := strings.Repeat("ä€😀", 700_000) // 6.3 MB
	end := testStages(10)[0]
	end.Evidence.Snippets[0].Content = huge
	end.Record.Result = nil
	span := endStage(t, p, end, func(ctx context.Context) {
		_, d := StartDetail(ctx, "x", trace.SpanKindInternal)
		d.Set(attribute.String("text", huge), attribute.StringSlice("list", []string{huge, "b\xff"}))
		d.End(fmt.Errorf("broken: %s", huge))
	})
	a := artifacts(span[0])[wire.ArtifactEvidence]
	content := a[wire.AttrArtifactContent].(string)
	whole := asIndented(t, end.Evidence)
	if len(content) > maxArtifact || len(content) < maxArtifact-4 || !utf8.ValidString(content) ||
		a[wire.AttrArtifactTruncated] != true || a[wire.AttrArtifactSize] != int64(len(whole)) || a[wire.AttrArtifactSHA256] != hash(whole) {
		t.Errorf("%d bytes of %v are left, truncated %v", len(content), a[wire.AttrArtifactSize], a[wire.AttrArtifactTruncated])
	}
	detail := values(span[1].Attributes)
	for _, text := range []string{
		values(span[0].Attributes)[wire.AttrOutput].(string), detail["text"].(string), detail["list"].([]any)[0].(string),
		span[1].Status.GetMessage(),
	} {
		if len(text) > maxText || !strings.HasSuffix(text, cutMark) || !utf8.ValidString(text) {
			t.Errorf("a text of %d bytes ends with %q", len(text), text[max(0, len(text)-20):])
		}
	}
	if got := detail["list"].([]any)[1]; got != "b\uFFFD" {
		t.Errorf("broken UTF-8 became %q", got)
	}
}

func TestMessageLimitSparesTheLifecycleSpanAndTheParents(t *testing.T) {
	p, reader := newTestProvider(t, nil)
	end := testStages(10)[1]
	end.Facts.KeyFacts[0].Fact = strings.Repeat("ä", 2_500_000)
	end.Record.Analysis.Sources = []string{strings.Repeat("s", 5_000_000)}
	end.Record.Result = nil
	const details = 3000
	spans := endStage(t, p, end, func(ctx context.Context) {
		for range details {
			inner, d := StartDetail(ctx, "x", trace.SpanKindInternal)
			d.Set(attribute.String("text", strings.Repeat("t", 30_000)))
			d.End(nil)
			ctx = inner
		}
	})
	if spans[0].Name != wire.SpanStageA {
		t.Fatalf("the first span is %s", spans[0].Name)
	}
	ids := map[string]bool{}
	for _, s := range spans {
		if s != spans[0] && !ids[string(s.ParentSpanId)] {
			t.Fatal("a span lost its parent")
		}
		ids[string(s.SpanId)] = true
	}
	for name, a := range artifacts(spans[0]) {
		if n := len(a[wire.AttrArtifactContent].(string)); n < maxMessage/artifactShare-4 || a[wire.AttrArtifactTruncated] != true {
			t.Errorf("%d bytes of %s are left", n, name)
		}
	}
	lost := sum(t, reader, wire.MetricDetailSpansDropped)
	if lost == 0 || int(lost) != details+1-len(spans) {
		t.Errorf("%d of %d detail spans are left, %d are counted as dropped", len(spans)-1, details, lost)
	}
}

func TestStageHoldsABoundedNumberOfDetailSpans(t *testing.T) {
	p, reader := newTestProvider(t, nil)
	spans := endStage(t, p, testStages(10)[1], func(ctx context.Context) {
		for range maxDetails + 10 {
			_, d := StartDetail(ctx, "x", trace.SpanKindInternal)
			d.End(nil)
		}
	})
	if len(spans) != maxDetails+1 {
		t.Errorf("%d spans", len(spans))
	}
	if n := sum(t, reader, wire.MetricDetailSpansDropped); n != 10 {
		t.Errorf("%d spans are counted as dropped, want 10", n)
	}
}
