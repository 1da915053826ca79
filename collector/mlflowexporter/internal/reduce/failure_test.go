package reduce

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/wire"
)

// MLflow's UI marks a span as failed by an event, which only its SDK records.
func TestFailedSpansTellOfAnException(t *testing.T) {
	const failed, ok, unset = ptrace.StatusCodeError, ptrace.StatusCodeOk, ptrace.StatusCodeUnset
	type attrs = map[string]any
	for what, c := range map[string]struct {
		code    ptrace.StatusCode
		message string
		attrs   attrs
		want    attrs // of the event; nil for none
	}{
		"status and error":      {failed, "no answer", attrs{wire.AttrErrorType: "http_404", wire.AttrErrorMessage: "other"}, attrs{attrExceptionMessage: "no answer", attrExceptionType: "http_404"}},
		"status alone":          {failed, "no answer", nil, attrs{attrExceptionMessage: "no answer", attrExceptionType: typeError}},
		"error alone":           {failed, "", attrs{wire.AttrErrorType: "http_404", wire.AttrErrorMessage: "gone"}, attrs{attrExceptionMessage: "gone", attrExceptionType: "http_404"}},
		"type alone":            {failed, "", attrs{wire.AttrErrorType: "http_404"}, attrs{attrExceptionMessage: "http_404", attrExceptionType: "http_404"}},
		"type that is a number": {failed, "", attrs{wire.AttrErrorType: 404}, attrs{attrExceptionMessage: "404", attrExceptionType: "404"}},
		"nothing":               {failed, "", nil, attrs{attrExceptionType: typeError}},
		"broken text":           {failed, "a\xff", attrs{wire.AttrErrorType: "b\x00\xff"}, attrs{attrExceptionMessage: "a\uFFFD", attrExceptionType: "b\uFFFD"}},
		"succeeded":             {ok, "", attrs{wire.AttrErrorType: "http_404"}, nil},
		"no status":             {unset, "", attrs{wire.AttrErrorMessage: "gone"}, nil},
	} {
		s := newSpan(t, Detail, "GET", 2, c.attrs)
		s.Span.Status().SetCode(c.code)
		s.Span.Status().SetMessage(c.message)
		dst := ptrace.NewSpan()
		native(s, s, Mapping{}, dst)
		if c.want == nil {
			if n := dst.Events().Len(); n != 0 {
				t.Errorf("%s: %d events", what, n)
			}
			continue
		}
		if n := dst.Events().Len(); n != 1 {
			t.Errorf("%s: %d events", what, n)
			continue
		}
		event := dst.Events().At(0)
		if diff := cmp.Diff(c.want, event.Attributes().AsRaw()); diff != "" || event.Name() != "exception" || event.Timestamp() != s.Span.EndTimestamp() {
			t.Errorf("%s: event %q at %d: %s", what, event.Name(), event.Timestamp(), diff)
		}
	}
}

// An exception that the application recorded stays the only one, also of a span that was here before.
func TestExceptionsAreToldOnce(t *testing.T) {
	s := newSpan(t, Detail, "GET", 2, nil)
	s.Span.Status().SetCode(ptrace.StatusCodeError)
	s.Span.Events().AppendEmpty().SetName("retry")
	once, twice := ptrace.NewSpan(), ptrace.NewSpan()
	native(s, s, Mapping{}, once)
	again := s
	again.Span = once
	native(again, again, Mapping{}, twice)
	if once.Events().Len() != 2 || once.Events().At(0).Name() != "retry" {
		t.Errorf("%d events", once.Events().Len())
	}
	if diff := cmp.Diff(marshaled(t, once), marshaled(t, twice)); diff != "" {
		t.Error(diff)
	}
}

// A span keeps to the number of events that a reader expects at most, and to times that a database takes.
func TestExceptionsKeepToLimits(t *testing.T) {
	for events, want := range map[int]int{maxEvents - 1: maxEvents, maxEvents: maxEvents, maxEvents + 5: maxEvents + 5} {
		s := newSpan(t, Detail, "GET", 2, nil)
		s.Span.Status().SetCode(ptrace.StatusCodeError)
		s.Span.SetEndTimestamp(math.MaxUint64)
		for i := range events {
			s.Span.Events().AppendEmpty().SetName(fmt.Sprint(i))
		}
		dst := ptrace.NewSpan()
		native(s, s, Mapping{}, dst)
		if got := dst.Events().Len(); got != want || dst.Events().At(want-1).Timestamp() > math.MaxInt64 {
			t.Errorf("%d events become %d; want %d", events, got, want)
		}
	}
}

// What is dropped is not told by the event either.
func TestExceptionsTellNothingDropped(t *testing.T) {
	s := newSpan(t, Job, "job", 1, map[string]any{wire.AttrErrorType: "secret type", wire.AttrErrorMessage: "secret"})
	s.Span.Status().SetCode(ptrace.StatusCodeError)
	m := Mapping{Job: RunMapping{Rules: []Rule{{Attribute: "error.*", Drop: true}}}}
	spans := Reduce([]Span{s}, m).Traces[0].Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	got := spans.At(0).Events().At(0).Attributes().AsRaw()
	if diff := cmp.Diff(map[string]any{attrExceptionType: typeError}, got); diff != "" {
		t.Error(diff)
	}
}

func marshaled(t *testing.T, s ptrace.Span) string {
	t.Helper()
	td := ptrace.NewTraces()
	s.CopyTo(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
	body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
