package reduce

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/internal/wire"
)

// In the flat layout a job has one run that holds its stages, those below stages too, under
// names that begin with theirs.
func TestFlatLayout(t *testing.T) {
	m := simple
	m.Layout = LayoutFlat
	m.Stage.Rules = []Rule{{Attribute: "app.step", Tag: "step"}, {Attribute: "rows", Metric: "rows", Param: "rows"}}
	under := func(s Span, parent byte) Span {
		s.Span.SetParentSpanID(pcommon.SpanID{7: parent})
		return s
	}
	root := newSpan(t, Job, "job", 1, map[string]any{"app.name": "etl", "app.id": 7})
	root.Span.SetParentSpanID(pcommon.SpanID{})
	outer := under(newSpan(t, Stage, "x", 2, map[string]any{"app.step": "load/all"}), 1)
	inner := under(newSpan(t, Stage, "x", 4, map[string]any{"app.step": "parse", "rows": 3}), 3)
	addArtifact(inner, map[string]any{wire.AttrArtifactName: "a/b.txt", wire.AttrArtifactContent: "x"})
	spans := []Span{inner, under(newSpan(t, Detail, "between", 3, nil), 2), outer, root}
	plan := Reduce(spans, m)
	if len(plan.Runs) != 1 || plan.Runs[0].Name != "etl 7" || len(plan.Runs[0].Parts) != 2 || plan.Runs[0].Status != statusFinished {
		t.Fatalf("runs are %+v", plan.Runs)
	}
	var part Part
	for _, p := range plan.Runs[0].Parts {
		if p.ID == inner.Span.SpanID().String() {
			part = p
		}
	}
	got := map[string]string{}
	for _, kv := range append(part.Params, part.Tags...) {
		got[kv.Key] = kv.Value
	}
	want := map[string]string{"load_all/parse/rows": "3", "load_all/parse/step": "parse", "load_all/parse/status": "FINISHED"}
	if diff := cmp.Diff(want, got); diff != "" || part.Name != "load_all/parse" {
		t.Errorf("%s: %s", part.Name, diff)
	}
	if len(part.Metrics) != 2 || part.Metrics[1].Key != "load_all/parse/rows" || len(part.Artifacts) != 1 || part.Artifacts[0].Path != "load_all/parse/a/b.txt" {
		t.Errorf("part is %+v", part)
	}

	// Without its job, the stage makes the job's run known.
	plan = Reduce([]Span{outer}, m)
	if len(plan.Runs) != 1 || !plan.Runs[0].Implied || plan.Runs[0].Key != wire.JobKey(wire.TraceID(traceID)) || len(plan.Runs[0].Parts) != 1 {
		t.Errorf("runs are %+v", plan.Runs)
	}
}

// Of the tags of a stage those are left out that the run of its job says anyway, and `stage`, which
// would repeat the name that its other tags begin with.
func TestFlatTagsOfAStage(t *testing.T) {
	m := simple
	m.Layout = LayoutFlat
	m.Stage = RunMapping{Name: "{{app.step}}", Rules: []Rule{{Attribute: "run.tag.*", Tag: "*"}}}
	load := newSpan(t, Stage, "x", 2, map[string]any{
		"app.step": "load", "run.tag.stage": "load", "run.tag.queue": "load", "run.tag.mlflow.note.content": "from the lake", "run.tag.mlflow.user": "ada",
	})
	clean := newSpan(t, Stage, "x", 3, map[string]any{"app.step": "clean", "run.tag.stage": "second"})
	for _, s := range []Span{load, clean} {
		s.Resource.Attributes().PutStr(wire.ResServiceName, "etl")
	}
	got := map[string]string{}
	for _, part := range Reduce([]Span{newSpan(t, Job, "job", 1, nil), load, clean}, m).Runs[0].Parts {
		for _, kv := range part.Tags {
			got[kv.Key] = kv.Value
		}
	}
	want := map[string]string{
		"load/queue": "load", "load/mlflow.note.content": "from the lake", "load/status": "FINISHED",
		"clean/stage": "second", "clean/status": "FINISHED",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tags (-want +got)\n%s", diff)
	}
}

// Stages with different names have different names in the run of their job, whatever the
// script and the length, as long as MLflow takes them.
func TestFlatNamesStayApart(t *testing.T) {
	m := simple
	m.Layout = LayoutFlat
	m.Stage.Rules = []Rule{{Attribute: "app.step", Tag: "step"}, {Attribute: "rows", Metric: "rows"}}
	long := strings.Repeat("n", 60)
	spans := []Span{newSpan(t, Job, "job", 1, map[string]any{"app.name": "etl", "app.id": 7})}
	for i, name := range []string{"検索", "要約", "👍", "👎", long, long + "1", long + "2", long + "3", long + "4"} {
		s := newSpan(t, Stage, "x", byte(i+2), map[string]any{"app.step": name, "rows": i})
		if i > 4 { // below the one before
			s.Span.SetParentSpanID(pcommon.SpanID{7: byte(i + 1)})
		}
		spans = append(spans, s)
	}
	run := Reduce(spans, m).Runs[0]
	seen := map[string]bool{}
	for _, p := range run.Parts {
		for _, metric := range p.Metrics {
			if seen[metric.Key] || keys.Clean(metric.Key) != metric.Key || (!strings.HasSuffix(metric.Key, "/rows") && !strings.HasSuffix(metric.Key, "/latency_seconds")) {
				t.Errorf("metric %s", metric.Key)
			}
			seen[metric.Key] = true
		}
	}
	if len(seen) != 18 || !seen["検索/rows"] || !seen[long+"/rows"] {
		t.Errorf("metrics are %v", seen)
	}
}
