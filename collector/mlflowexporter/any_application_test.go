package mlflowexporter

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// otherApplication is a job of two stages and a call below one of them, as an application
// sends it that knows the attributes of the README and nothing else.
func otherApplication(t *testing.T, resource map[string]any) []ptrace.Traces {
	t.Helper()
	began := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	var all []ptrace.Traces
	for i, s := range []struct {
		id, parent byte
		name       string
		attributes map[string]any
	}{
		{3, 2, "GET", map[string]any{"http.request.method": "GET"}},
		{2, 1, "extract", map[string]any{"run.kind": "stage", "run.metric.rows": 3, "run.dataset.name": "items", "run.dataset.digest": "7"}},
		{4, 1, "load", map[string]any{"run.kind": "stage", "run.name": "load it", "run.tag.table": "items"}},
		{1, 0, "nightly", map[string]any{"run.kind": "job", "run.name": "nightly 2026-11-23", "run.param.date": "2026-11-23", "run.metric.rows": 3, "run.tag.team": "search"}},
	} {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		if err := rs.Resource().Attributes().FromRaw(resource); err != nil {
			t.Fatal(err)
		}
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetName(s.name)
		span.SetTraceID(pcommon.TraceID{1, 15: 1})
		span.SetSpanID(pcommon.SpanID{7: s.id})
		span.SetParentSpanID(pcommon.SpanID{7: s.parent})
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(began))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(began.Add(time.Duration(i+1) * time.Second)))
		if err := span.Attributes().FromRaw(s.attributes); err != nil {
			t.Fatal(err)
		}
		all = append(all, td)
	}
	return all
}

// An application gets runs and a trace through the default mapping by attributes alone,
// in whatever order and pieces they come.
func TestAnyApplication(t *testing.T) {
	plan := planner(t)
	spans := otherApplication(t, map[string]any{"service.name": "etl", "experiment.name": "nightly", "run.traces": "true"})
	for way, all := range map[string][]ptrace.Traces{"as sent": spans, "reverse": reversed(spans), "one request": {joined(spans)}, "twice": append(spans, spans...)} {
		t.Run(way, func(t *testing.T) {
			m := newState()
			for _, td := range all {
				m.apply(plan(td))
			}
			type line struct {
				Parent, Name, Status string
				Params               map[string]string
				Metrics              map[string]float64
				Tags                 map[string]string
				Datasets             []reduce.Dataset
			}
			got := map[string]line{}
			for key, r := range m.runs {
				if r.Experiment != "nightly" {
					t.Errorf("%s is in experiment %q", r.Name, r.Experiment)
				}
				tags := r.ownTags()
				delete(tags, "otel.key")
				delete(tags, "otel.trace_id")
				got[key] = line{r.Parent, r.Name, r.Status, r.Params, r.Metrics, tags, r.Datasets}
			}
			job := "01000000000000000000000000000001"
			want := map[string]line{
				job:                       {"", "nightly 2026-11-23", "FINISHED", map[string]string{"date": "2026-11-23"}, map[string]float64{"rows": 3, "latency_seconds": 4}, map[string]string{"team": "search"}, nil},
				job + "-0000000000000002": {job, "extract", "FINISHED", map[string]string{}, map[string]float64{"rows": 3, "latency_seconds": 2}, map[string]string{}, []reduce.Dataset{{Name: "items", Digest: "7"}}},
				job + "-0000000000000004": {job, "load it", "FINISHED", map[string]string{}, map[string]float64{"latency_seconds": 3}, map[string]string{"table": "items"}, nil},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("runs (-want +got)\n%s", diff)
			}
			trace := m.traces[job]
			if trace == nil || len(trace.Spans) != 4 || trace.Run != job || trace.Info == nil || trace.Info.Name != "nightly 2026-11-23" ||
				!cmp.Equal(trace.Info.Tags, []reduce.KeyValue{{Key: "team", Value: "search"}}) {
				t.Errorf("trace is %+v", trace)
			}
		})
	}
}

// Traces are asked for by the resource; without that there are runs only, and spans that
// ask for nothing leave nothing.
func TestAnyApplicationAsksForTraces(t *testing.T) {
	plan := planner(t)
	for asked, want := range map[any]int{true: 1, "true": 1, false: 0, "false": 0, nil: 0} {
		resource := map[string]any{"service.name": "etl"}
		if asked != nil {
			resource["run.traces"] = asked
		}
		all := otherApplication(t, resource)
		p := plan(joined(all))
		if len(p.Traces) != want || len(p.Runs) != 3 {
			t.Errorf("%v: %d traces, %d runs", asked, len(p.Traces), len(p.Runs))
		}
		if p := plan(all[0]); len(p.Runs) != 0 {
			t.Errorf("%v: a detail made %d runs", asked, len(p.Runs))
		}
	}
}
