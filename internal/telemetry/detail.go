package telemetry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// Detail is a span below a stage: a model call, a tool call, a request. The zero value
// records nothing.
//
// What is set is redacted, and a span that ends is finished, beside the work of the stage, in
// the order of the calls: most stages wait for others meanwhile. The end of the stage waits
// for it.
type Detail struct {
	span   trace.Span
	beside *beside
	start  time.Time
}

// Description is a detail span for those who describe it, see Detail.Describe.
type Description struct {
	span trace.Span
	rec  *recorder
}

// StartDetail starts a detail span below the stage that ctx belongs to. Unless the stage's
// job is recorded in full it returns ctx itself and a Detail that records nothing.
func StartDetail(ctx context.Context, name string, kind trace.SpanKind) (context.Context, Detail) {
	st := stageFrom(ctx)
	if st == nil || !st.full {
		return ctx, Detail{}
	}
	start := time.Now()
	child, span := st.provider.rec.start(ctx, name, kind, start, st.detailAttrs)
	if !span.IsRecording() { // the stage has ended or holds too many
		return ctx, Detail{}
	}
	return child, Detail{span, st.beside, start}
}

// Recording reports whether the span is recorded. Ask before building attributes that
// cost something.
func (d Detail) Recording() bool { return d.span != nil }

// Set sets attributes; texts are redacted and cut to 64 KiB.
func (d Detail) Set(attrs ...attribute.KeyValue) {
	if d.span == nil {
		return
	}
	list := slices.Clone(attrs) // which otherwise would be an allocation when nothing is recorded, too
	d.beside.do(true, func() { d.beside.rec.set(d.span, list...) })
}

// Describe calls describe beside the work of the stage, for attributes that take long to
// make. What it reads must not change until the stage has ended.
func (d Detail) Describe(describe func(Description)) {
	if d.span != nil {
		d.beside.do(false, func() { describe(Description{d.span, d.beside.rec}) })
	}
}

// End ends the span. An error becomes error.type and the span's status.
func (d Detail) End(err error) {
	if d.span == nil {
		return
	}
	end := d.start.Add(time.Since(d.start)) // not time.Now: the clock may be set back meanwhile
	d.beside.do(true, func() {
		rec := d.beside.rec
		if err != nil {
			rec.set(d.span, attribute.String(wire.AttrErrorType, errorType(err)))
			rec.fail(d.span, err.Error())
		}
		d.span.End(trace.WithTimestamp(end))
	})
}

// Set is as Detail.Set.
func (d Description) Set(attrs ...attribute.KeyValue) { d.rec.set(d.span, attrs...) }

// SetArray sets an attribute to a JSON array of texts that are JSON each; cut to 64 KiB.
func (d Description) SetArray(key string, items ...Text) { d.rec.setArray(d.span, key, items) }

// Mask masks a text that more than one span will carry, so that it is looked through once.
func (d Description) Mask(s string) Text { return Text{d.rec.mask(s)} }

// CaptureContent reports whether texts of pages, models and comments may become attributes
// of detail spans below ctx. It is false when detail spans are not recorded.
func CaptureContent(ctx context.Context) bool {
	st := stageFrom(ctx)
	return st != nil && st.full && st.provider.cfg.CaptureContent
}

// WithoutContent reports whether what is recorded below ctx must hold no text of pages, models and
// comments, messages of errors included. It is false when nothing is recorded.
func WithoutContent(ctx context.Context) bool {
	st := stageFrom(ctx)
	return st != nil && !st.provider.cfg.CaptureContent
}

// ModelCall is one finished request to a model, for the metrics.
type ModelCall struct {
	Operation     string // "chat" when empty
	Provider      string // "openai"
	RequestModel  string
	ResponseModel string // may be empty
	ErrorType     string // empty when it succeeded
	Duration      time.Duration
	Usage         commentator.Usage
}

// RecordModelCall records a request to a model in the worker's metrics. Unlike detail
// spans it counts in tracking mode too.
func RecordModelCall(ctx context.Context, c ModelCall) {
	if st := stageFrom(ctx); st != nil {
		st.provider.metrics.modelCalled(ctx, c)
	}
}

// errorType returns a low-cardinality name for an error.
func errorType(err error) string {
	var e *commentator.Error
	var status httpStatusError
	switch {
	case errors.As(err, &e):
		return e.Code
	case errors.As(err, &status):
		return strconv.Itoa(int(status))
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	default:
		return fmt.Sprintf("%T", err)
	}
}
