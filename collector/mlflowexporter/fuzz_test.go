//go:build !race

package mlflowexporter

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// FuzzPlans feeds whatever decodes as OTLP, whole, span by span, and cut off after some
// spans, in both layouts: no panic, nothing in a plan that MLflow cannot take as text, and
// neither the order of spans in a request nor their repetition matters.
func FuzzPlans(f *testing.F) {
	for _, name := range fixtureNames(f) {
		requests, _ := loadFixture(f, name)
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(joined(requests))
		if err != nil {
			f.Fatal(err)
		}
		if len(body) < 32<<10 { // what is larger holds the same things and is slow to change
			f.Add(body, uint64(len(body)))
		}
	}
	plan, flat := planner(f), plannerOf(f, reduce.LayoutFlat)
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
		if err != nil || td.SpanCount() == 0 {
			return
		}
		random := rand.New(rand.NewPCG(seed, 0)) // the same for the same input
		shuffled := bySpan(td)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		cut := joined(shuffled[:1+random.IntN(len(shuffled))])
		once := plan(td)
		for _, some := range append(slices.Clone(shuffled), td, cut) {
			checkText(t, plan(some))
			checkText(t, flat(some))
		}
		if resent(td) {
			return // two versions of a span with one end and one content may differ in their resource
		}
		want, got := newState(), newState()
		want.apply(once)
		again := shuffled[:random.IntN(len(shuffled)+1)]
		got.apply(plan(joined(slices.Concat(shuffled, again))))
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
		metrics, files := slices.Clone(r.Metrics), slices.Clone(r.Artifacts)
		kvs := slices.Concat(r.Params, r.Tags)
		for _, part := range r.Parts {
			kvs = slices.Concat(kvs, part.Params, part.Tags)
			metrics, files = append(metrics, part.Metrics...), append(files, part.Artifacts...)
		}
		for _, kv := range kvs {
			check("param or tag", kv.Key, kv.Value)
			if kv.Key == "" {
				t.Errorf("run %s: a param or tag without a name", r.Name)
			}
		}
		for _, m := range metrics {
			check("metric", m.Key)
		}
		for _, a := range files {
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
