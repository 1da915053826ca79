package telemetry

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// said is a feedback span without what differs from one to the next.
type said struct {
	Name, Kind        string
	Parent, AtOnce    bool
	Attributes, Event []string // names and types
	Value             map[string]any
}

func saidBy(t *testing.T, td ptrace.Traces) said {
	t.Helper()
	if td.SpanCount() != 1 {
		t.Fatalf("%d spans", td.SpanCount())
	}
	s := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	if s.Events().Len() != 1 || s.Events().At(0).Name() != wire.EventEvaluation {
		t.Fatalf("%d events of span %s", s.Events().Len(), s.Name())
	}
	e := s.Events().At(0)
	out := said{
		Name: s.Name(), Kind: s.Kind().String(), Parent: !s.ParentSpanID().IsEmpty(),
		AtOnce:     s.StartTimestamp() == s.EndTimestamp() && e.Timestamp() == s.EndTimestamp(),
		Attributes: typed(s.Attributes()), Value: map[string]any{},
	}
	e.Attributes().Remove(wire.AttrEvaluationWhy) // a reaction gives no reason
	out.Event = typed(e.Attributes())
	for k, v := range e.Attributes().All() {
		out.Value[k] = v.AsRaw()
	}
	return out
}

func typed(m pcommon.Map) (out []string) {
	for k, v := range m.All() {
		out = append(out, k+" "+v.Type().String())
	}
	slices.Sort(out)
	return out
}

// The worker says a verdict as the fixtures say it, which the bridge is tested with.
func TestFeedbackIsWhatTheBridgeReads(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	j := finish(testJob(p, 7), commentator.OutcomeSuccess)
	at := testStart.Add(72*time.Hour + 1)
	for _, one := range []struct {
		fixture string
		value   int
	}{
		{"feedback_first", commentator.VerdictUp},
		{"feedback_without_trace", commentator.VerdictDown},
		{"feedback_retracted", commentator.VerdictTakenBack},
	} {
		requests, _, err := fixture.Load(one.fixture)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(requests, func(td ptrace.Traces) bool { return feedbackOf(td) == one.value+1 })
		if i < 0 {
			t.Fatalf("fixture %s has no such verdict", one.fixture)
		}
		m, err := p.Feedback(j, commentator.Verdict{JobID: 7, User: "U0123456789", Value: one.value, At: at})
		if err != nil || m.Kind != wire.SpanFeedback {
			t.Fatalf("message %q, %v", m.Kind, err)
		}
		plain, err := decompress(m.Body, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(plain)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(saidBy(t, requests[i]), saidBy(t, got)); diff != "" {
			t.Errorf("%s (-fixture +worker):\n%s", one.fixture, diff)
		}
		span := got.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		traceID, root := wire.JobIdentity(j.StoreID, j.ID, j.CreatedAt)
		if span.TraceID().String() != traceID.String() || span.ParentSpanID().String() != root.String() || !span.EndTimestamp().AsTime().Equal(at) {
			t.Errorf("span %s of %s at %s", span.ParentSpanID(), span.TraceID(), span.EndTimestamp())
		}
		if person, _ := span.Attributes().Get(wire.AttrUserID); person.Str() != redact.Pseudonym(testKey, "U0123456789") {
			t.Errorf("the person is %q", person.Str())
		}
	}
}

// feedbackOf is 0 to 2 for no, taken back and yes; -1 for another message.
func feedbackOf(td ptrace.Traces) int {
	s := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	if s.Name() != wire.SpanFeedback {
		return -1
	}
	a := s.Events().At(0).Attributes()
	if _, ok := a.Get(wire.AttrEvaluationRetracted); ok {
		return 1
	}
	if v, _ := a.Get(wire.AttrEvaluationValue); v.Double() > 0 {
		return 2
	}
	return 0
}

func TestNoFeedbackOfWhatIsNotRecorded(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	nobody, _ := newTestProvider(t, func(c *Config) { c.PseudonymKey = "" })
	var off *Provider
	full := testJob(p, 7)
	unrecorded := full
	unrecorded.Detail = commentator.DetailOff
	for name, message := range map[string]func() (Message, error){
		"telemetry off":         func() (Message, error) { return off.Feedback(full, commentator.Verdict{User: "U1", Value: 1}) },
		"job off":               func() (Message, error) { return p.Feedback(unrecorded, commentator.Verdict{User: "U1", Value: 1}) },
		"without pseudonyms":    func() (Message, error) { return nobody.Feedback(full, commentator.Verdict{User: "U1", Value: 1}) },
		"not by a known person": func() (Message, error) { return p.Feedback(full, commentator.Verdict{Value: 1}) },
	} {
		if m, err := message(); err != nil || !m.Empty() {
			t.Errorf("%s: %d bytes, %v", name, len(m.Body), err)
		}
	}
}
