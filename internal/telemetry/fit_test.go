package telemetry

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

func textAttribute(key, text string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: text}}}
}

// Whatever a message holds, it comes out within the limit; its lifecycle span stays, and every
// artifact keeps its event and says when something is missing.
func TestEveryMessageCanBeMadeToFit(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		draw := func(name string, most int) int { return rapid.IntRange(0, most).Draw(r, name) }
		filler := func(n int) string { return strings.Repeat("ä", n/2) }
		limit := 256<<10 + draw("limit", 4<<20)
		stage := &tracepb.Span{Name: "stage", SpanId: []byte{0}}
		for i := range draw("attributes", 20) {
			stage.Attributes = append(stage.Attributes, textAttribute(fmt.Sprint(i), filler(draw("bytes", maxText))))
		}
		artifacts := map[string]int{}
		for i := range draw("artifacts", 3) {
			name := fmt.Sprint("file", i)
			artifacts[name] = len(filler(draw("content", maxArtifact)))
			stage.Events = append(stage.Events, &tracepb.Span_Event{Name: wire.EventArtifact, Attributes: []*commonpb.KeyValue{
				textAttribute(wire.AttrArtifactName, name),
				textAttribute(wire.AttrArtifactContent, filler(artifacts[name])),
				{Key: wire.AttrArtifactTruncated, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{}}},
			}})
		}
		spans := []*tracepb.Span{stage}
		details := draw("details", 300)
		for i := range details {
			spans = append(spans, &tracepb.Span{Name: "detail", SpanId: []byte{1, byte(i), byte(i >> 8)}, Attributes: []*commonpb.KeyValue{textAttribute("a", filler(draw("detail", maxText)))}})
		}
		request := &collectorpb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans}}}}}
		before := proto.Size(request)

		dropped, cut := fit(request, limit)
		if n := proto.Size(request); n > limit {
			r.Fatalf("%d bytes of %d do not fit into %d", n, before, limit)
		}
		left := request.ResourceSpans[0].ScopeSpans[0].Spans
		if left[0].Name != "stage" || len(left) != 1+details-dropped {
			r.Errorf("%d spans are left, %d of %d were dropped; the first is %s", len(left), dropped, details, left[0].Name)
		}
		if len(left[0].Events) != len(artifacts) {
			r.Errorf("%d of %d artifacts are left", len(left[0].Events), len(artifacts))
		}
		for _, e := range left[0].Events {
			a := values(e.Attributes)
			whole := len(a[wire.AttrArtifactContent].(string)) == artifacts[a[wire.AttrArtifactName].(string)]
			if a[wire.AttrArtifactTruncated] == whole {
				r.Errorf("artifact %v: truncated %v", a[wire.AttrArtifactName], a[wire.AttrArtifactTruncated])
			}
			if !whole && cut == 0 {
				r.Error("what was cut is not counted")
			}
		}
	})
}

// What is cut is counted, also where a detail's text is all that had to go.
func TestTextsOfDetailsThatAreCutAreCounted(t *testing.T) {
	long := strings.Repeat("t", 10<<10)
	span := func(name string) *tracepb.Span {
		return &tracepb.Span{Name: name, Attributes: []*commonpb.KeyValue{textAttribute("a", long), textAttribute("b", "short")}}
	}
	request := &collectorpb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{
		{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{span("stage"), span("detail"), span("detail")}}}},
	}}
	body, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	smaller, missing, ok := refit(body, len(body)-1)
	if !ok || missing != 2 {
		t.Fatalf("%d texts are counted, fits %v; want the 2 of the details", missing, ok)
	}
	var got collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(smaller, &got); err != nil {
		t.Fatal(err)
	}
	spans := got.ResourceSpans[0].ScopeSpans[0].Spans
	if len(spans) != 3 || values(spans[0].Attributes)["a"] != long {
		t.Errorf("%d spans are left; want all, and the first as it was", len(spans))
	}
	if _, _, ok := refit(body, 10); ok {
		t.Error("a message is said to fit into 10 bytes")
	}
}

// A receiver that takes less than the worker's own limit gets what fits: a stock Collector takes
// 4 MiB, this one 1 MiB.
func TestAMessageIsCutForAReceiverThatTakesLess(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c, grpc.MaxRecvMsgSize(1<<20))
	p, _ := newTestProvider(t, nil)
	ends := testStages(10)
	ends[0].Evidence.Snippets[0].Content = strings.Repeat("ä", 1_500_000)
	ends[0].Record.Result = nil
	messages := play(t, p, testJob(p, 7), ends, commentator.OutcomeSuccess)
	box := &memoryOutbox{}
	box.add(messages...)
	r, log := newTestRelay(c, box, nil)
	var shortened int64
	r.shortened = func(n int64) { shortened += n }
	start(t, r)
	if err := r.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if sent, refused := box.state(); sent != len(messages) || refused != 0 {
		t.Errorf("%d of %d messages are sent, %d set aside", sent, len(messages), refused)
	}
	if n := log.count("is cut, since the Collector takes no larger one"); n != 1 || shortened != 1 {
		t.Errorf("said %d times, counted %d:\n%s", n, shortened, &log.b)
	}
	if got, want := len(c.accepted()), len(allSpans(t, messages)); got != want {
		t.Errorf("%d spans arrived, want %d", got, want)
	}
}

func TestWhatIsCutIsCounted(t *testing.T) {
	p, reader := newTestProvider(t, nil)
	end := testStages(10)[1]
	end.Facts.KeyFacts[0].Fact = strings.Repeat("x", 6<<20) // facts.json and job.output are too large
	end.Record.Analysis.Sources = []string{strings.Repeat("s", 5<<20)}
	end.Record.Result = nil
	endStage(t, p, end, func(ctx context.Context) {
		_, d := StartDetail(ctx, "x", trace.SpanKindInternal)
		d.Set(attribute.String("text", strings.Repeat("t", maxText+1)))
		d.End(nil)
	})
	got := map[string]int64{}
	for _, m := range collect(t, reader) {
		if m.Name != wire.MetricContentCut {
			continue
		}
		for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
			reason, _ := point.Attributes.Value(wire.AttrReason)
			got[reason.AsString()] = point.Value
		}
	}
	// The two files are cut to 4 MiB each, and then again, with the detail's text, to make the
	// message fit; as attributes the detail's text and job.output.
	if got["artifact"] != 2 || got["message_full"] < 1 || got["attribute"] != 2 {
		t.Errorf("cuts %v", got)
	}
}
