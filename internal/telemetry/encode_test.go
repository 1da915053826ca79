package telemetry

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
)

// Spans of every shape become the bytes that the SDK's own exporter makes of them.
func TestEncodingIsTheExporters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		res := resource.NewWithAttributes(rapid.SampledFrom([]string{"", "https://example.org/schema"}).Draw(t, "schema"), drawAttributes(t, "resource", 1)...)
		scope := instrumentation.Scope{Name: drawText(t, "scope"), Version: drawText(t, "version"), SchemaURL: drawText(t, "scope schema")}
		if rapid.Bool().Draw(t, "scope attributes") {
			scope.Attributes = attribute.NewSet(drawAttributes(t, "scope", 1)...)
		}
		var stubs tracetest.SpanStubs
		for range rapid.IntRange(1, 4).Draw(t, "spans") {
			stubs = append(stubs, drawSpan(t, res, scope))
		}
		sameBytes(t, stubs.Snapshots())
	})
}

// So do the spans of a job.
func TestEncodingOfAJobIsTheExporters(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	j := testJob(p, 1)
	for i, end := range testStages(20_000) {
		ctx, st := p.StartStage(p.JobContext(context.Background(), j), j, commentator.Stages[i])
		_, d := StartDetail(ctx, "chat gpt-4o", trace.SpanKindClient)
		d.Set(attribute.StringSlice("gen_ai.response.finish_reasons", []string{"stop"}))
		d.End(errors.New("broken"))
		details, _ := st.close(end.Record.EndedAt)
		spans := make([]sdktrace.ReadOnlySpan, 0, len(details))
		for _, d := range details {
			spans = append(spans, d)
		}
		sameBytes(t, spans)
	}
}

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func sameBytes(t failer, spans []sdktrace.ReadOnlySpan) {
	t.Helper()
	request, err := exported(spans)
	if err != nil {
		t.Fatal(err)
	}
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var w backwards
	w.request(spans)
	if !bytes.Equal(w.written(), want) {
		t.Fatalf("encoded as\n%x\nwant\n%x", w.written(), want)
	}
	w.reset()
	w.request(spans)
	if !bytes.Equal(w.written(), want) {
		t.Fatal("the second time it is something else")
	}
}

func drawSpan(t *rapid.T, res *resource.Resource, scope instrumentation.Scope) tracetest.SpanStub {
	context := func(label string) trace.SpanContext {
		var c trace.SpanContextConfig
		copy(c.TraceID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label+" trace"))
		copy(c.SpanID[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, label+" span"))
		c.TraceFlags = trace.TraceFlags(rapid.Byte().Draw(t, label+" flags"))
		c.Remote = rapid.Bool().Draw(t, label+" remote")
		c.TraceState, _ = trace.ParseTraceState(rapid.SampledFrom([]string{"", "a=b,c=d"}).Draw(t, label+" state"))
		return trace.NewSpanContext(c)
	}
	at := func(label string) time.Time { return time.Unix(0, rapid.Int64().Draw(t, label)) }
	s := tracetest.SpanStub{
		Name: drawText(t, "name"), SpanContext: context("own"), SpanKind: trace.SpanKind(rapid.IntRange(-1, 7).Draw(t, "kind")),
		StartTime: at("start"), EndTime: at("end"), Attributes: drawAttributes(t, "span", 2),
		Status:   sdktrace.Status{Code: codes.Code(rapid.IntRange(0, 2).Draw(t, "status")), Description: drawText(t, "description")},
		Resource: res, InstrumentationScope: scope,
		DroppedAttributes: rapid.IntRange(-1, math.MaxInt).Draw(t, "dropped attributes"),
		DroppedEvents:     rapid.IntRange(-1, 3).Draw(t, "dropped events"), DroppedLinks: rapid.IntRange(-1, 3).Draw(t, "dropped links"),
	}
	if rapid.Bool().Draw(t, "has a parent") {
		s.Parent = context("parent")
	}
	for range rapid.IntRange(0, 2).Draw(t, "events") {
		s.Events = append(s.Events, sdktrace.Event{Name: drawText(t, "event"), Time: at("event"), Attributes: drawAttributes(t, "event", 1)})
	}
	for range rapid.IntRange(0, 2).Draw(t, "links") {
		s.Links = append(s.Links, sdktrace.Link{SpanContext: context("link"), Attributes: drawAttributes(t, "link", 1), DroppedAttributeCount: 1})
	}
	return s
}

// drawText is valid UTF-8, as everything is that gets that far, and long at times.
func drawText(t *rapid.T, label string) string {
	s := rapid.StringN(0, 6, -1).Draw(t, label)
	if rapid.IntRange(0, 9).Draw(t, label+" is long") == 0 {
		s = strings.Repeat(s, 2000)
	}
	return strings.ToValidUTF8(s, "?")
}

func drawAttributes(t *rapid.T, label string, depth int) []attribute.KeyValue {
	var list []attribute.KeyValue
	for range rapid.IntRange(0, 5).Draw(t, label+" attributes") {
		list = append(list, attribute.KeyValue{Key: attribute.Key(drawText(t, label+" key")), Value: drawValue(t, label, depth)})
	}
	return list
}

func drawValue(t *rapid.T, label string, depth int) attribute.Value {
	kinds := 9
	if depth > 0 {
		kinds = 11
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, label+" type") {
	case 0:
		return attribute.BoolValue(rapid.Bool().Draw(t, label))
	case 1:
		return attribute.Int64Value(rapid.Int64().Draw(t, label))
	case 2:
		return attribute.Float64Value(rapid.Float64().Draw(t, label))
	case 3:
		return attribute.BoolSliceValue(rapid.SliceOf(rapid.Bool()).Draw(t, label))
	case 4:
		return attribute.Int64SliceValue(rapid.SliceOf(rapid.Int64()).Draw(t, label))
	case 5:
		return attribute.Float64SliceValue(rapid.SliceOf(rapid.Float64()).Draw(t, label))
	case 6:
		return attribute.StringSliceValue([]string{drawText(t, label), ""})
	case 7:
		return attribute.ByteSliceValue(rapid.SliceOf(rapid.Byte()).Draw(t, label))
	case 8:
		return attribute.StringValue(drawText(t, label))
	case 9:
		return attribute.SliceValue(drawValue(t, label, depth-1), attribute.Value{})
	default:
		return attribute.MapValue(drawAttributes(t, label, depth-1)...)
	}
}
