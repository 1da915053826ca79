package mlflowexporter

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// FuzzPlans feeds whatever decodes as OTLP: no panic, nothing in a plan that MLflow cannot
// take as text, and neither the order of spans in a request nor their repetition matters.
func FuzzPlans(f *testing.F) {
	for _, name := range fixtureNames(f) {
		requests, _ := loadFixture(f, name)
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(joined(requests))
		if err != nil {
			f.Fatal(err)
		}
		if len(body) < 32<<10 { // what is larger holds the same things and is slow to change
			f.Add(body)
		}
	}
	plan := planner(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
		if err != nil || td.SpanCount() == 0 {
			return
		}
		once := plan(td)
		checkText(t, once)
		for _, one := range bySpan(td) {
			checkText(t, plan(one))
		}
		if resent(td) {
			return // two versions of a span with one end and one content may differ in their resource
		}
		want, got := newState(), newState()
		want.apply(once)
		again := reversed(bySpan(td))
		got.apply(plan(joined(append(again, again...))))
		if diff := cmp.Diff(want.runs, got.runs, cmpopts.IgnoreUnexported(modelRun{}), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("runs differ (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(traceFingerprints(t, want), traceFingerprints(t, got)); diff != "" {
			t.Errorf("traces differ (-want +got)\n%s", diff)
		}
	})
}

// resent reports whether a span is there more than once.
func resent(td ptrace.Traces) bool {
	seen := map[string]bool{}
	for _, one := range bySpan(td) {
		s := one.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		id := s.TraceID().String() + s.SpanID().String()
		if seen[id] {
			return true
		}
		seen[id] = true
	}
	return false
}

// checkText looks for what makes MLflow refuse a whole request.
func checkText(t *testing.T, p reduce.Plan) {
	t.Helper()
	check := func(what string, texts ...string) {
		for _, s := range texts {
			if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
				t.Errorf("%s holds what MLflow cannot take: %q", what, s)
			}
		}
	}
	for _, r := range p.Runs {
		check("run", r.Name, r.Experiment, r.Key)
		if r.Status != "" && r.EndTime < r.StartTime {
			t.Errorf("run %s ends at %d, before its start at %d", r.Name, r.EndTime, r.StartTime)
		}
		for _, kv := range append(r.Params, r.Tags...) {
			check("param or tag", kv.Key, kv.Value)
			if kv.Key == "" {
				t.Errorf("run %s: a param or tag without a name", r.Name)
			}
		}
		for _, m := range r.Metrics {
			check("metric", m.Key)
		}
		for _, a := range r.Artifacts {
			check("artifact", a.Path)
		}
	}
	for _, tr := range p.Traces {
		check("trace", tr.Experiment)
		if tr.Info != nil {
			check("trace info", tr.Info.Name, tr.Info.RequestPreview, tr.Info.ResponsePreview, tr.Info.Session, tr.Info.User)
		}
		for _, rs := range tr.Spans.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					check("span", s.Name(), s.Status().Message())
					if s.EndTimestamp() < s.StartTimestamp() {
						t.Errorf("span %s ends before it starts", s.Name())
					}
				}
			}
		}
	}
}
