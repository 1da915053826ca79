package telemetry

import (
	"math"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields of OTLP's messages.
const (
	fieldRequestResourceSpans = 1
	fieldResourceSpansOf      = 1 // also of ScopeSpans: what the spans are of
	fieldResourceSpansScopes  = 2 // also of ScopeSpans: the spans
	fieldResourceSpansSchema  = 3 // also of ScopeSpans
	fieldResourceAttributes   = 1
	fieldScopeName            = 1
	fieldScopeVersion         = 2
	fieldScopeAttributes      = 3

	fieldSpanTraceID           = 1
	fieldSpanID                = 2
	fieldSpanTraceState        = 3
	fieldSpanParentID          = 4
	fieldSpanName              = 5
	fieldSpanKind              = 6
	fieldSpanStart             = 7
	fieldSpanEnd               = 8
	fieldSpanAttributes        = 9
	fieldSpanDroppedAttributes = 10
	fieldSpanEvents            = 11
	fieldSpanDroppedEvents     = 12
	fieldSpanLinks             = 13
	fieldSpanDroppedLinks      = 14
	fieldSpanStatus            = 15
	fieldSpanFlags             = 16

	fieldEventTime       = 1
	fieldEventName       = 2
	fieldEventAttributes = 3
	fieldEventDropped    = 4

	fieldLinkTraceID    = 1
	fieldLinkSpanID     = 2
	fieldLinkAttributes = 4
	fieldLinkDropped    = 5
	fieldLinkFlags      = 6

	fieldStatusMessage = 2
	fieldStatusCode    = 3

	fieldKey      = 1
	fieldValue    = 2
	fieldValues   = 1 // of ArrayValue and KeyValueList
	fieldString   = 1
	fieldBool     = 2
	fieldInt      = 3
	fieldDouble   = 4
	fieldArray    = 5
	fieldKeyValue = 6
	fieldBytes    = 7
)

// backwards writes a protobuf message from its end to its beginning, so that the length of
// a part is known when it is written before the part. All methods write before what is there.
//
// It makes the bytes that the SDK's exporter makes, without its detour by messages of
// generated code, which took a third of a millisecond of each job.
type backwards struct {
	buf []byte // written from the end on
	at  int    // where what is written begins
}

func newBackwards(size int) backwards { return backwards{buf: make([]byte, size), at: size} }

// written is the message so far.
func (w *backwards) written() []byte { return w.buf[w.at:] }

func (w *backwards) size() int { return len(w.buf) - w.at }

// reset begins anew in the same memory.
func (w *backwards) reset() { w.at = len(w.buf) }

// room makes place for n bytes.
func (w *backwards) room(n int) []byte {
	if w.at < n {
		grown := make([]byte, 2*len(w.buf)+n+4096)
		copy(grown[len(grown)-w.size():], w.written())
		w.at = len(grown) - w.size()
		w.buf = grown
	}
	w.at -= n
	return w.buf[w.at : w.at+n]
}

func (w *backwards) varint(v uint64) {
	if v < 0x80 { // nearly all: tags and short lengths
		w.room(1)[0] = byte(v)
		return
	}
	n := protowire.SizeVarint(v)
	protowire.AppendVarint(w.room(n)[:0], v)
}

func (w *backwards) tag(field protowire.Number, t protowire.Type) {
	w.varint(protowire.EncodeTag(field, t))
}

// number writes a varint field, unless it is 0.
func (w *backwards) number(field protowire.Number, v uint64) {
	if v != 0 {
		w.varint(v)
		w.tag(field, protowire.VarintType)
	}
}

func (w *backwards) fixed32(field protowire.Number, v uint32) {
	if v != 0 {
		protowire.AppendFixed32(w.room(4)[:0], v)
		w.tag(field, protowire.Fixed32Type)
	}
}

func (w *backwards) fixed64(field protowire.Number, v uint64) {
	if v != 0 {
		w.always64(field, v)
	}
}

func (w *backwards) always64(field protowire.Number, v uint64) {
	protowire.AppendFixed64(w.room(8)[:0], v)
	w.tag(field, protowire.Fixed64Type)
}

// text writes a field of text, unless it is empty.
func (w *backwards) text(field protowire.Number, s string) {
	if s != "" {
		w.alwaysText(field, s)
	}
}

func (w *backwards) alwaysText(field protowire.Number, s string) {
	copy(w.room(len(s)), s)
	w.varint(uint64(len(s)))
	w.tag(field, protowire.BytesType)
}

func (w *backwards) bytes(field protowire.Number, b []byte) {
	copy(w.room(len(b)), b)
	w.varint(uint64(len(b)))
	w.tag(field, protowire.BytesType)
}

// end makes what was written since the message had this size a message in a field.
func (w *backwards) end(field protowire.Number, before int) {
	w.varint(uint64(w.size() - before))
	w.tag(field, protowire.BytesType)
}

// request writes an ExportTraceServiceRequest with spans of one resource and one scope.
func (w *backwards) request(spans []sdktrace.ReadOnlySpan) {
	res, scope := spans[0].Resource(), spans[0].InstrumentationScope()
	request := w.size()
	w.text(fieldResourceSpansSchema, res.SchemaURL())
	scopeSpans := w.size()
	w.text(fieldResourceSpansSchema, scope.SchemaURL)
	for i := len(spans) - 1; i >= 0; i-- {
		w.span(spans[i])
	}
	w.scope(scope)
	w.end(fieldResourceSpansScopes, scopeSpans)
	w.resource(res)
	w.end(fieldRequestResourceSpans, request)
}

// encodedResource is the last resource that was written, as a field. There is one in a process.
type encodedResource struct {
	of    *resource.Resource
	field []byte
}

var lastResource atomic.Pointer[encodedResource]

func (w *backwards) resource(res *resource.Resource) {
	if last := lastResource.Load(); last != nil && last.of == res {
		copy(w.room(len(last.field)), last.field)
		return
	}
	before := w.size()
	w.attributes(fieldResourceAttributes, res.Attributes())
	w.end(fieldResourceSpansOf, before)
	lastResource.Store(&encodedResource{res, slices.Clone(w.written()[:w.size()-before])})
}

func (w *backwards) scope(s instrumentation.Scope) {
	if s == (instrumentation.Scope{}) {
		return
	}
	before := w.size()
	w.attributes(fieldScopeAttributes, s.Attributes.ToSlice())
	w.text(fieldScopeVersion, s.Version)
	w.text(fieldScopeName, s.Name)
	w.end(fieldResourceSpansOf, before)
}

func (w *backwards) span(s sdktrace.ReadOnlySpan) {
	before := w.size()
	of, parent, status := s.SpanContext(), s.Parent(), s.Status()
	w.fixed32(fieldSpanFlags, spanFlags(of.TraceFlags(), parent))
	w.status(status)
	w.number(fieldSpanDroppedLinks, clamp(s.DroppedLinks()))
	links := s.Links()
	for i := len(links) - 1; i >= 0; i-- {
		w.link(links[i])
	}
	w.number(fieldSpanDroppedEvents, clamp(s.DroppedEvents()))
	events := s.Events()
	for i := len(events) - 1; i >= 0; i-- {
		w.event(events[i])
	}
	w.number(fieldSpanDroppedAttributes, clamp(s.DroppedAttributes()))
	w.attributes(fieldSpanAttributes, s.Attributes())
	w.fixed64(fieldSpanEnd, uint64(max(0, s.EndTime().UnixNano())))
	w.fixed64(fieldSpanStart, uint64(max(0, s.StartTime().UnixNano())))
	w.number(fieldSpanKind, spanKind(s.SpanKind()))
	w.text(fieldSpanName, s.Name())
	if id := parent.SpanID(); id.IsValid() {
		w.bytes(fieldSpanParentID, id[:])
	}
	w.text(fieldSpanTraceState, of.TraceState().String())
	id, traceID := of.SpanID(), of.TraceID()
	w.bytes(fieldSpanID, id[:])
	w.bytes(fieldSpanTraceID, traceID[:])
	w.end(fieldResourceSpansScopes, before)
}

func (w *backwards) status(s sdktrace.Status) {
	before := w.size()
	var code tracepb.Status_StatusCode
	switch s.Code {
	case codes.Ok:
		code = tracepb.Status_STATUS_CODE_OK
	case codes.Error:
		code = tracepb.Status_STATUS_CODE_ERROR
	}
	w.number(fieldStatusCode, uint64(code))
	w.text(fieldStatusMessage, s.Description)
	w.end(fieldSpanStatus, before)
}

func (w *backwards) event(e sdktrace.Event) {
	before := w.size()
	w.number(fieldEventDropped, clamp(e.DroppedAttributeCount))
	w.attributes(fieldEventAttributes, e.Attributes)
	w.text(fieldEventName, e.Name)
	w.fixed64(fieldEventTime, uint64(max(0, e.Time.UnixNano())))
	w.end(fieldSpanEvents, before)
}

func (w *backwards) link(l sdktrace.Link) {
	before := w.size()
	w.fixed32(fieldLinkFlags, spanFlags(l.SpanContext.TraceFlags(), l.SpanContext))
	w.number(fieldLinkDropped, clamp(l.DroppedAttributeCount))
	w.attributes(fieldLinkAttributes, l.Attributes)
	id, traceID := l.SpanContext.SpanID(), l.SpanContext.TraceID()
	w.bytes(fieldLinkSpanID, id[:])
	w.bytes(fieldLinkTraceID, traceID[:])
	w.end(fieldSpanLinks, before)
}

func (w *backwards) attributes(field protowire.Number, list []attribute.KeyValue) {
	for i := len(list) - 1; i >= 0; i-- {
		before := w.size()
		w.value(fieldValue, list[i].Value)
		w.text(fieldKey, string(list[i].Key))
		w.end(field, before)
	}
}

// value writes an AnyValue as a field.
func (w *backwards) value(field protowire.Number, v attribute.Value) {
	before := w.size()
	switch v.Type() {
	case attribute.STRING:
		w.alwaysText(fieldString, v.AsString())
	case attribute.BOOL:
		w.varint(protowire.EncodeBool(v.AsBool()))
		w.tag(fieldBool, protowire.VarintType)
	case attribute.INT64:
		w.varint(uint64(v.AsInt64())) // as protobuf has them
		w.tag(fieldInt, protowire.VarintType)
	case attribute.FLOAT64:
		w.always64(fieldDouble, math.Float64bits(v.AsFloat64()))
	case attribute.BYTESLICE:
		w.bytes(fieldBytes, v.AsByteSlice())
	case attribute.MAP:
		w.attributes(fieldValues, v.AsMap())
		w.end(fieldKeyValue, before)
	case attribute.EMPTY:
	case attribute.STRINGSLICE:
		array(w, v.AsStringSlice(), attribute.StringValue)
		w.end(fieldArray, before)
	case attribute.BOOLSLICE:
		array(w, v.AsBoolSlice(), attribute.BoolValue)
		w.end(fieldArray, before)
	case attribute.INT64SLICE:
		array(w, v.AsInt64Slice(), attribute.Int64Value)
		w.end(fieldArray, before)
	case attribute.FLOAT64SLICE:
		array(w, v.AsFloat64Slice(), attribute.Float64Value)
		w.end(fieldArray, before)
	case attribute.SLICE:
		array(w, v.AsSlice(), func(v attribute.Value) attribute.Value { return v })
		w.end(fieldArray, before)
	default:
		w.alwaysText(fieldString, "INVALID")
	}
	w.end(field, before)
}

func array[T any](w *backwards, list []T, of func(T) attribute.Value) {
	for i := len(list) - 1; i >= 0; i-- {
		w.value(fieldValues, of(list[i]))
	}
}

func clamp(n int) uint64 { return uint64(min(max(n, 0), math.MaxUint32)) }

func spanFlags(flags trace.TraceFlags, parent trace.SpanContext) uint32 {
	f := uint32(flags) | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	if parent.IsRemote() {
		f |= uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	return f
}

func spanKind(k trace.SpanKind) uint64 {
	switch k {
	case trace.SpanKindInternal:
		return uint64(tracepb.Span_SPAN_KIND_INTERNAL)
	case trace.SpanKindServer:
		return uint64(tracepb.Span_SPAN_KIND_SERVER)
	case trace.SpanKindClient:
		return uint64(tracepb.Span_SPAN_KIND_CLIENT)
	case trace.SpanKindProducer:
		return uint64(tracepb.Span_SPAN_KIND_PRODUCER)
	case trace.SpanKindConsumer:
		return uint64(tracepb.Span_SPAN_KIND_CONSUMER)
	default:
		return uint64(tracepb.Span_SPAN_KIND_UNSPECIFIED)
	}
}
