package selection

import (
	"strings"
	"testing"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

func oneSpan(name string, attrs map[string]any) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "etl")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("scope")
	s := ss.Spans().AppendEmpty()
	s.SetName(name)
	s.SetParentSpanID(pcommon.SpanID{1})
	_ = s.Attributes().FromRaw(attrs)
	return td
}

func TestClassify(t *testing.T) {
	selector, err := New(Conditions{
		Feedback: `span.name == "feedback"`,
		Started:  `span.attributes["tier"] == "message"`,
		Stage:    `span.attributes["step"] != nil`,
		Job:      `IsRootSpan() or span.attributes["job"] == true`,
		Trace:    `resource.attributes["service.name"] == "etl" and span.attributes["detail"] != "off"`,
	}, componenttest.NewNopTelemetrySettings())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		attrs   map[string]any
		kind    reduce.Kind
		inTrace bool
	}{
		{"feedback", map[string]any{"tier": "message"}, reduce.Feedback, true},
		{"started", map[string]any{"tier": "message", "step": "x"}, reduce.Started, true},
		{"step", map[string]any{"step": "x", "job": true}, reduce.Stage, true},
		{"job", map[string]any{"job": true, "detail": "off"}, reduce.Job, false},
		{"GET", nil, reduce.Detail, true},
	} {
		spans, err := selector.Classify(t.Context(), oneSpan(c.name, c.attrs))
		if err != nil || len(spans) != 1 {
			t.Fatalf("%s: %v, %v", c.name, spans, err)
		}
		got := spans[0]
		if got.Kind != c.kind || got.InTrace != c.inTrace || got.Scope.Name() != "scope" || got.Resource.Attributes().Len() != 1 {
			t.Errorf("%s: %s, in trace %v", c.name, got.Kind, got.InTrace)
		}
	}
}

// A condition that fails on a span does not hold for it; the other spans go on.
func TestAFailingConditionDoesNotHold(t *testing.T) {
	selector, err := New(Conditions{Job: `Len(span.attributes["n"]) > 1`, Trace: "true"}, componenttest.NewNopTelemetrySettings())
	if err != nil {
		t.Fatal(err)
	}
	spans, err := selector.Classify(t.Context(), oneSpan("x", map[string]any{"n": 7}))
	if err == nil || !strings.Contains(err.Error(), `span "x"`) {
		t.Errorf("error is %v", err)
	}
	if len(spans) != 1 || spans[0].Kind != reduce.Detail || !spans[0].InTrace {
		t.Errorf("spans are %+v", spans)
	}
}

func TestEveryBadConditionIsNamed(t *testing.T) {
	err := Conditions{Job: "span.nothing == 1", Stage: "and", Trace: `span.name == "ok"`}.Validate(componenttest.NewNopTelemetrySettings())
	if err == nil || !strings.Contains(err.Error(), "`mapping::job::condition`") || !strings.Contains(err.Error(), "`mapping::stage::condition`") {
		t.Errorf("error is %v", err)
	}
	if err := (Conditions{}).Validate(componenttest.NewNopTelemetrySettings()); err != nil {
		t.Error(err)
	}
}
