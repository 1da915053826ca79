package telemetry

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unsafe"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/wire"
)

// recorder is the only way into spans, metrics and the resource: every text passes through
// its redaction here. TestNothingIsRecordedAroundRedaction keeps it so: no other file calls
// what is called here, or makes a masked text or a clean list of its own.
type recorder struct {
	tracer   trace.Tracer
	redactor *redact.Redactor // nil: nothing is masked
	cuts     cuts
}

// cuts counts what was cut to a limit.
type cuts struct {
	texts     atomic.Int64 // attributes
	artifacts atomic.Int64
	messages  atomic.Int64 // texts and artifacts, because their message was too large
}

// masked is a text that may leave the process: valid UTF-8, redacted.
type masked string

// mask makes a text fit to leave the process, whatever its length.
func (r *recorder) mask(s string) masked { return masked(r.redactor.Text(valid(s))) }

// maskCopy likewise, for a text whose memory will be used again.
func (r *recorder) maskCopy(text []byte) masked {
	m := r.mask(unsafe.String(unsafe.SliceData(text), len(text)))
	first, at := uintptr(unsafe.Pointer(unsafe.SliceData(text))), uintptr(unsafe.Pointer(unsafe.StringData(string(m))))
	if first <= at && at < first+uintptr(len(text)) { // nothing was masked
		return masked(strings.Clone(string(m)))
	}
	return m
}

// text likewise, within the limit of an attribute.
func (r *recorder) text(s string) string { return string(r.limited(r.mask(s))) }

// limited cuts to the limit of an attribute, with a visible mark.
func (r *recorder) limited(m masked) masked {
	if len(m) > maxText {
		r.cuts.texts.Add(1)
	}
	return masked(cutText(string(m), maxText))
}

// cut cuts without a mark and reports whether anything is missing.
func (m masked) cut(limit int) (masked, bool) {
	head, missing := cut(string(m), limit)
	return masked(head), missing
}

// encode returns a value as JSON that may leave the process.
func (r *recorder) encode(v any) (masked, error) {
	text, err := plainjson.Marshal(v)
	return r.mask(unsafe.String(unsafe.SliceData(text), len(text))), err // without a copy: nobody else has it
}

// Text is a text that has been masked.
type Text struct{ text masked }

// jsonArray puts texts together that are JSON, as far as an attribute has room.
func jsonArray(items []Text) masked {
	size := len("[]")
	for _, t := range items {
		size += len(t.text) + 1
	}
	var b strings.Builder
	b.Grow(min(size, maxText+1))
	for i, t := range items {
		separator := byte(',')
		if i == 0 {
			separator = '['
		}
		b.WriteByte(separator)
		room := maxText + 1 - b.Len()
		if len(t.text) >= room { // it will be cut
			head, _ := cut(string(t.text), room+utf8.UTFMax)
			b.WriteString(head)
			return masked(b.String())
		}
		b.WriteString(string(t.text))
	}
	if len(items) == 0 {
		return "[]"
	}
	b.WriteByte(']')
	return masked(b.String())
}

// object is a JSON object under construction.
type object struct {
	rec  *recorder
	text strings.Builder
}

// newObject has room for so many bytes.
func newObject(rec *recorder, size int) *object {
	o := &object{rec: rec}
	o.text.Grow(size)
	return o
}

func (o *object) add(name string, value masked) {
	separator := byte(',')
	if o.text.Len() == 0 {
		separator = '{'
	}
	key, err := o.rec.encode(name)
	if err != nil { // no text is without JSON
		return
	}
	o.text.WriteByte(separator)
	o.text.WriteString(string(key))
	o.text.WriteByte(':')
	o.text.WriteString(string(value))
}

func (o *object) end() masked {
	if o.text.Len() == 0 {
		return "{}"
	}
	o.text.WriteByte('}')
	return masked(o.text.String())
}

// clean holds attributes that may leave the process.
type clean struct{ list []attribute.KeyValue }

// attributes returns a copy of attrs in which every text is redacted, valid and within the
// limits.
func (r *recorder) attributes(attrs ...attribute.KeyValue) clean {
	out := make([]attribute.KeyValue, len(attrs))
	for i, a := range attrs {
		out[i] = attribute.KeyValue{Key: a.Key, Value: r.value(a.Value)}
	}
	return clean{out}
}

func (r *recorder) value(v attribute.Value) attribute.Value {
	switch v.Type() {
	case attribute.STRING:
		s := v.AsString()
		if c := r.text(s); c != s {
			return attribute.StringValue(c)
		}
	case attribute.STRINGSLICE:
		list := v.AsStringSlice()
		for i := range list {
			list[i] = r.text(list[i])
		}
		return attribute.StringSliceValue(list)
	case attribute.BYTESLICE:
		return attribute.ByteSliceValue([]byte(r.redactor.Text(string(v.AsByteSlice()))))
	case attribute.SLICE:
		list := v.AsSlice()
		for i := range list {
			list[i] = r.value(list[i])
		}
		return attribute.SliceValue(list...)
	case attribute.MAP:
		list := v.AsMap()
		for i, a := range list {
			list[i] = attribute.KeyValue{Key: attribute.Key(r.text(string(a.Key))), Value: r.value(a.Value)}
		}
		return attribute.MapValue(list...)
	}
	return v
}

// and returns all lists in one: of several options the SDK makes one by copying them.
func (c clean) and(a, b clean) clean { return clean{slices.Concat(c.list, a.list, b.list)} }

// add adds a text as it is.
func (c *clean) add(key string, m masked) {
	c.list = append(c.list, attribute.String(key, string(m)))
}

// addJSON adds a value as JSON; nothing if it cannot be encoded.
func (c *clean) addJSON(r *recorder, key string, v any) {
	if text, err := r.encode(v); err == nil {
		c.add(key, r.limited(text))
	}
}

// start starts a span. A zero time is now.
func (r *recorder) start(ctx context.Context, name string, kind trace.SpanKind, at time.Time, options ...trace.SpanStartEventOption) (context.Context, trace.Span) {
	all := make([]trace.SpanStartOption, 0, len(options)+2)
	all = append(all, trace.WithSpanKind(kind))
	if !at.IsZero() {
		all = append(all, trace.WithTimestamp(at))
	}
	for _, o := range options {
		all = append(all, o)
	}
	return r.tracer.Start(ctx, r.text(name), all...)
}

// option makes attributes a start option of a span.
func (c clean) option() trace.SpanStartEventOption { return trace.WithAttributes(c.list...) }

// set sets attributes of a span.
func (r *recorder) set(span trace.Span, attrs ...attribute.KeyValue) {
	span.SetAttributes(r.attributes(attrs...).list...)
}

// setArray sets an attribute to a list of texts in JSON.
func (r *recorder) setArray(span trace.Span, key string, items []Text) {
	span.SetAttributes(attribute.String(key, string(r.limited(jsonArray(items)))))
}

// fail makes a span one that ended in an error.
func (r *recorder) fail(span trace.Span, message string) {
	span.SetStatus(codes.Error, r.text(message))
}

// artifact adds the event of an artifact.
func (r *recorder) artifact(span trace.Span, at time.Time, c clean) {
	span.AddEvent(wire.EventArtifact, trace.WithTimestamp(at), c.option())
}

// verdict adds the event of a verdict.
func (r *recorder) verdict(span trace.Span, at time.Time, c clean) {
	span.AddEvent(wire.EventEvaluation, trace.WithTimestamp(at), c.option())
}

// labels are the attributes of a measurement.
func (r *recorder) labels(attrs ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(r.attributes(attrs...).list...))
}

// resource describes the process by texts. Of two attributes with one key the later wins. People
// choose keys and values in a setting, so a key may say that its value is a secret.
func (r *recorder) resource(attrs ...attribute.KeyValue) *resource.Resource {
	out := make([]attribute.KeyValue, len(attrs))
	for i, a := range attrs {
		text := masked(r.redactor.Named(string(a.Key), valid(a.Value.AsString())))
		out[i] = attribute.String(string(a.Key), string(r.limited(text)))
	}
	return resource.NewWithAttributes(wire.SchemaURL, out...)
}
