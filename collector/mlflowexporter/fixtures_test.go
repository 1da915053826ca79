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
