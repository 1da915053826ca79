package mlflowexporter

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/selection"
	"github.com/technoshare/commentator/internal/pricing"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// planner makes plans with the default mapping.
func planner(t testing.TB) func(ptrace.Traces) reduce.Plan {
	return plannerOf(t, reduce.LayoutNested)
}

func plannerOf(t testing.TB, layout string) func(ptrace.Traces) reduce.Plan {
	t.Helper()
	mapping := defaultMapping()
	selector, err := selection.New(mapping.conditions(), componenttest.NewNopTelemetrySettings())
	if err != nil {
		t.Fatal(err)
	}
	rules := mapping.mapping()
	rules.Prices = pricing.Default()
	rules.Layout = layout
	return func(td ptrace.Traces) reduce.Plan {
		td.MarkReadOnly() // reduce must not change what other exporters see too
		spans, err := selector.Classify(context.Background(), td)
		if err != nil {
			t.Fatal(err)
		}
		return reduce.Reduce(spans, rules)
	}
}

func loadFixture(t testing.TB, name string) ([]ptrace.Traces, fixture.Expected) {
	t.Helper()
	requests, expected, err := fixture.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return requests, expected
}

func fixtureNames(t testing.TB) []string {
	t.Helper()
	names, err := fixture.Names()
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// In whatever pieces and order a fixture comes, the plans ask for what the table says.
func TestPlansAskForWhatTheTableSays(t *testing.T) {
	plan := planner(t)
	ways := map[string]func([]ptrace.Traces) []ptrace.Traces{
		"as sent":          func(r []ptrace.Traces) []ptrace.Traces { return r },
		"twice":            func(r []ptrace.Traces) []ptrace.Traces { return append(slices.Clone(r), r...) },
		"reverse":          reversed,
		"one request":      func(r []ptrace.Traces) []ptrace.Traces { return []ptrace.Traces{joined(r)} },
		"span by span":     splitAll,
		"spans in reverse": func(r []ptrace.Traces) []ptrace.Traces { return reversed(splitAll(r)) },
	}
	for _, name := range fixtureNames(t) {
		requests, expected := loadFixture(t, name)
		for way, arrange := range ways {
			t.Run(name+"/"+way, func(t *testing.T) {
				m := newState()
				for _, td := range arrange(requests) {
					p := plan(td)
					if len(p.Dropped) > 0 {
						t.Errorf("dropped %v", p.Dropped)
					}
					m.apply(p)
				}
				checkRuns(t, m.judged(), expected.Runs)
				checkTraces(t, m, expected.Traces)
			})
		}
	}
}

func checkRuns(t *testing.T, m *state, want []fixture.Run) {
	t.Helper()
	if len(m.runs) != len(want) {
		t.Errorf("%d runs, want %d", len(m.runs), len(want))
	}
	for _, w := range want {
		got, ok := m.runs[w.Key]
		if !ok {
			t.Errorf("run %s (%s) is missing", w.Key, w.Name)
			continue
		}
		have := fixture.Run{
			Key: w.Key, Parent: got.Parent, Experiment: got.Experiment, Name: got.Name, Status: got.Status,
			StartMS: got.Start, EndMS: got.End, Params: got.Params, Tags: got.ownTags(), Metrics: got.Metrics, Artifacts: got.Artifacts,
			Prompts: promptTexts(got.Prompts),
		}
		note := got.Tags["mlflow.note.content"]
		for _, piece := range w.NoteContains {
			if !strings.Contains(note, piece) {
				t.Errorf("%s: note lacks %q:\n%s", w.Name, piece, note)
			}
		}
		for key, value := range w.SystemTags {
			if got.Tags[key] != value {
				t.Errorf("%s: tag %s = %q, want %q", w.Name, key, got.Tags[key], value)
			}
		}
		w.NoteContains, w.SystemTags = nil, nil
		if diff := cmp.Diff(w, have, cmpopts.EquateEmpty(), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", w.Name, diff)
		}
	}
}

func checkTraces(t *testing.T, m *state, want []fixture.Trace) {
	t.Helper()
	if len(m.traces) != len(want) {
		t.Errorf("%d traces, want %d", len(m.traces), len(want))
	}
	for _, w := range want {
		got, ok := m.traces[strings.TrimPrefix(w.ID, "tr-")]
		if !ok {
			t.Errorf("trace %s is missing", w.ID)
			continue
		}
		have := fixture.Trace{ID: w.ID, Run: got.Run, Experiment: got.Experiment, State: "IN_PROGRESS", Assessments: m.assessments(strings.TrimPrefix(w.ID, "tr-"))}
		request, response := "", ""
		if got.Info != nil {
			have.Name, have.State = got.Info.Name, got.Info.State
			have.RequestMS, have.DurationMS = got.Info.RequestTimeMS, got.Info.DurationMS
			have.Session, have.User = got.Info.Session, got.Info.User
			have.CostUSD = totalCost(t, got.Info.Cost)
			have.TokenUsage = maps.Clone(got.Info.TokenUsage)
			have.Prompts = promptTexts(got.Info.Prompts)
			have.Tags = map[string]string{}
			for _, kv := range got.Info.Tags {
				have.Tags[kv.Key] = kv.Value
			}
			request, response = got.Info.RequestPreview, got.Info.ResponsePreview
		}
		withoutZeros := func(usage map[string]int64) map[string]int64 {
			usage = maps.Clone(usage)
			maps.DeleteFunc(usage, func(_ string, n int64) bool { return n == 0 })
			return usage
		}
		have.TokenUsage, w.TokenUsage = withoutZeros(have.TokenUsage), withoutZeros(w.TokenUsage)
		for _, id := range slices.Sorted(maps.Keys(got.Spans)) {
			s := got.Spans[id]
			spanType, _ := s.Attributes().Get("mlflow.spanType")
			span := fixture.Span{ID: id, Name: s.Name(), Type: spanType.Str(), Status: strings.ToUpper(s.Status().Code().String())}
			if p := s.ParentSpanID(); !p.IsEmpty() {
				span.Parent = p.String()
			}
			have.Spans = append(have.Spans, span)
		}
		if !strings.Contains(request, w.RequestContains) || !strings.Contains(response, w.ResponseContains) {
			t.Errorf("trace %s: request %q lacks %q, or response %q lacks %q", w.ID, request, w.RequestContains, response, w.ResponseContains)
		}
		w.RequestContains, w.ResponseContains = "", ""
		if diff := cmp.Diff(w, have, cmpopts.EquateEmpty(), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
			t.Errorf("trace %s: (-want +got)\n%s", w.ID, diff)
		}
	}
}

// totalCost reads MLflow's JSON of a cost; 0 when there is none.
func totalCost(t *testing.T, text string) float64 {
	t.Helper()
	if text == "" {
		return 0
	}
	var cost map[string]float64
	if err := json.Unmarshal([]byte(text), &cost); err != nil || len(cost) != 3 {
		t.Errorf("cost %q: %v", text, err)
	}
	return cost["total_cost"]
}

// All fixtures at once, split, repeated, mixed with each other and regrouped at random,
// lead to the state that they lead to one after the other.
func TestPlansDoNotDependOnOrderOrGrouping(t *testing.T) {
	plan := planner(t)
	var spans []ptrace.Traces
	for _, name := range fixtureNames(t) {
		requests, _ := loadFixture(t, name)
		spans = append(spans, splitAll(requests)...)
	}
	reference := newState()
	for _, td := range spans {
		reference.apply(plan(td))
	}
	wantTraces := traceFingerprints(t, reference)
	indices := make([]int, len(spans))
	for i := range indices {
		indices[i] = i
	}
	rapid.Check(t, func(rt *rapid.T) {
		order := rapid.Permutation(indices).Draw(rt, "order")
		order = append(order, rapid.SliceOfN(rapid.SampledFrom(indices), 0, 20).Draw(rt, "again")...)
		got := newState()
		for len(order) > 0 {
			n := rapid.IntRange(1, min(len(order), 60)).Draw(rt, "batch")
			batch := make([]ptrace.Traces, n)
			for i, at := range order[:n] {
				batch[i] = spans[at]
			}
			got.apply(plan(joined(batch)))
			order = order[n:]
		}
		if diff := cmp.Diff(reference.scores, got.scores); diff != "" {
			rt.Fatalf("scores differ (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(reference.runs, got.runs, cmpopts.IgnoreUnexported(modelRun{})); diff != "" {
			rt.Fatalf("runs differ (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(wantTraces, traceFingerprints(t, got)); diff != "" {
			rt.Fatalf("traces differ (-want +got)\n%s", diff)
		}
	})
}

// traceFingerprints gives each trace as text.
func traceFingerprints(t *testing.T, m *state) map[string]string {
	t.Helper()
	out := map[string]string{}
	for id, trace := range m.traces {
		info, err := json.Marshal(trace.Info)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		b.WriteString(trace.Run + " " + trace.Experiment + " " + string(info))
		for _, spanID := range slices.Sorted(maps.Keys(trace.Spans)) {
			td := ptrace.NewTraces()
			trace.Spans[spanID].CopyTo(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
			body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString("\n" + string(body))
		}
		out[id] = b.String()
	}
	return out
}
