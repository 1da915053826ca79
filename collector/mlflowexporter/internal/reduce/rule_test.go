package reduce

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/wire"
)

// Rules send attributes to params, metrics and tags, under other names, by patterns, or
// nowhere.
func TestRules(t *testing.T) {
	attributes := map[string]any{
		"app.rows": 7, "app.rate": 0.5, "app.team": "search", "app.secret.key": "s", "app.secret.id": "i", "other": "x", "app.done": true, "app.none": 0,
	}
	for name, c := range map[string]struct {
		rules                 []Rule
		params, tags, metrics map[string]string
	}{
		"one by one": {
			rules:  []Rule{{Attribute: "app.rows", Metric: "rows", Param: "n"}, {Attribute: "app.team", Tag: "team"}, {Attribute: "missing", Tag: "m"}},
			params: map[string]string{"n": "7"}, tags: map[string]string{"team": "search"}, metrics: map[string]string{"rows": "7"},
		},
		"pattern": {
			rules: []Rule{{Attribute: "app.secret.*", Tag: "secret/* of app"}},
			tags:  map[string]string{"secret/key of app": "s", "secret/id of app": "i"},
		},
		"metrics are numbers": {
			rules:   []Rule{{Attribute: "app.*", Metric: "*"}},
			metrics: map[string]string{"rows": "7", "rate": "0.5", "done": "1", "none": "0"},
		},
		"zero left out": {
			rules:   []Rule{{Attribute: "app.*", Metric: "*", OmitZero: true}},
			metrics: map[string]string{"rows": "7", "rate": "0.5", "done": "1"},
		},
		"a name wins over a pattern": {
			rules:  []Rule{{Attribute: "app.*", Param: "*"}, {Attribute: "app.team", Tag: "team"}, {Attribute: "app.secret.*", Drop: true}},
			params: map[string]string{"rows": "7", "rate": "0.5", "done": "true", "none": "0"}, tags: map[string]string{"team": "search"},
		},
		"nowhere": {
			rules: []Rule{{Attribute: "*", Param: "*"}, {Attribute: "app.team", Tag: "team"}, {Attribute: "*", Drop: true}},
		},
		"middle of a name": {
			rules:  []Rule{{Attribute: "app.*.key", Param: "*"}},
			params: map[string]string{"secret": "s"},
		},
		"the later wins": {
			rules: []Rule{{Attribute: "app.team", Tag: "t"}, {Attribute: "other", Tag: "t"}},
			tags:  map[string]string{"t": "x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := RunMapping{Name: "x", Rules: c.rules}
			if err := m.validate("job"); err != nil {
				t.Fatal(err)
			}
			b := newBuilder(newSpan(t, Job, "job", 1, attributes), m)
			metrics := map[string]string{}
			for key, v := range b.metrics {
				metrics[key] = strconv.FormatFloat(v, 'g', -1, 64)
			}
			delete(b.tags, wire.TagTraceID)
			delete(b.tags, tagSourceType)
			for _, pair := range []struct{ want, got map[string]string }{{c.params, b.params}, {c.tags, b.tags}, {c.metrics, metrics}} {
				if diff := cmp.Diff(pair.want, pair.got); diff != "" && len(pair.want)+len(pair.got) > 0 {
					t.Error(diff)
				}
			}
		})
	}
}

// A name that would not be written as it is is told of at the start, and not by each run that is lost.
func TestNamesThatMLflowRefusesAreNoTargets(t *testing.T) {
	for name, want := range map[string]bool{
		"größe": true, "٣": true, "a/b.c-d: e": true, "..a/b": true,
		"preis €": false, "m²": false, "½": false, "Ⅳ": false, strings.Repeat("n", 250): true, strings.Repeat("n", 251): false, "": false, "a–b": false, "a,b": false, "/a": false, "a/": false, "a//b": false, "./a": false, "a/../b": false,
	} {
		if err := (Rule{Attribute: "x", Tag: name}).validate("rules[0]"); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A metric that is no number for MLflow is left out and told, once for each run; a text that is none
// was never meant as one.
func TestMetricsThatAreNoNumbersAreTold(t *testing.T) {
	m := simple
	m.Job.Rules = []Rule{{Attribute: "m.*", Metric: "*"}}
	m.Stage.Rules = m.Job.Rules
	attrs := map[string]any{"m.nan": math.NaN(), "m.inf": "-Inf", "m.text": "x", "m.n": 1}
	for _, m.Layout = range []string{LayoutNested, LayoutFlat} {
		plan := Reduce([]Span{newSpan(t, Job, "job", 1, attrs), newSpan(t, Stage, "stage", 2, attrs)}, m)
		var want []Drop
		for _, detail := range []string{"job: metric inf is -Inf", "job: metric nan is NaN", "stage: metric inf is -Inf", "stage: metric nan is NaN"} {
			want = append(want, Drop{TraceID: traceID.String(), Reason: DropNaN, Detail: detail})
		}
		if diff := cmp.Diff(want, plan.Dropped); diff != "" {
			t.Errorf("%s (-want +got)\n%s", m.Layout, diff)
		}
		if _, ok := metricOf(plan.Runs[0], "n"); !ok || len(plan.Runs[0].Metrics) != 2 {
			t.Errorf("%s: metrics are %v", m.Layout, plan.Runs[0].Metrics)
		}
	}
}

// What a pattern carries over cannot take the identity of the run.
func TestPatternsDoNotSetIdentities(t *testing.T) {
	m := simple
	m.Job.Rules = []Rule{{Attribute: "t.*", Tag: "*", TraceTag: "*"}}
	s := newSpan(t, Job, "job", 1, map[string]any{
		"t." + wire.TagKey: "forged", "t." + wire.TagTraceID: "forged", "t.mlflow.parentRunId": "forged", "t." + wire.TagKey + "/": "forged", "t.otel.trace%id": "forged",
		"t." + wire.TagStale: "forged", "t." + wire.TagUnknownModel: "forged", "t.mlflow.trace.spansLocation": "forged", "t.mlflow.artifactLocation/": "forged", "t.mlflow.trace.session": "mine", "t.ok": "yes",
	})
	plan := Reduce([]Span{s}, m)
	run := plan.Runs[0]
	if tagOf(run, wire.TagKey) != "" || tagOf(run, wire.TagTraceID) != traceID.String() || tagOf(run, "mlflow.parentRunId") != "" || tagOf(run, wire.TagKey+"/") != "" || tagOf(run, "otel.trace%id") != "" || tagOf(run, "ok") != "yes" ||
		tagOf(run, wire.TagStale) != "" || tagOf(run, wire.TagUnknownModel) != "" {
		t.Errorf("tags are %v", run.Tags)
	}
	trace := Run{Tags: plan.Traces[0].Info.Tags}
	if tagOf(trace, wire.TagUnknownModel) != "" || tagOf(trace, "mlflow.trace.spansLocation") != "" || tagOf(trace, "mlflow.artifactLocation/") != "" || tagOf(trace, "mlflow.trace.session") != "mine" || tagOf(trace, "ok") != "yes" {
		t.Errorf("tags of the trace are %v", trace.Tags)
	}
}

// What the exporter and MLflow set themselves comes from nobody else, neither by a pattern nor by a
// rule or a fixed tag, on the run and on the trace.
func TestNobodyElseSetsWhatTheExporterSets(t *testing.T) {
	ofBoth := []string{
		wire.TagKey, wire.TagClaim, wire.TagTraceID, wire.TagStale, wire.TagParamConflict, wire.TagUndelivered, wire.TagTruncated, wire.TagSkipped, wire.TagAltered,
		wire.TagUnknownModel, wire.TagPrompts, wire.TagFeedbackPrefix + "helpful", "mlflow.parentRunId", "mlflow.runName",
	}
	ofTrace := []string{"mlflow.traceName", "mlflow.sourceRun", "mlflow.trace.spansLocation", "mlflow.artifactLocation", "mlflow.trace.sourceScorer"}
	for i, name := range append(ofBoth, ofTrace...) {
		m := simple
		m.Job.Rules = []Rule{{Attribute: "t.*", Tag: "*", TraceTag: "*"}}
		plan := Reduce([]Span{newSpan(t, Job, "job", 1, map[string]any{"t." + name: "forged"})}, m)
		if got := tagOf(plan.Runs[0], name); i < len(ofBoth) && got == "forged" {
			t.Errorf("the run has %s %s", name, got)
		}
		if got := tagOf(Run{Tags: plan.Traces[0].Info.Tags}, name); got != "" {
			t.Errorf("the trace has %s %s", name, got)
		}
		m.Job.Rules = []Rule{{Attribute: "a", TraceTag: name}}
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), "`trace_tag` must not be") {
			t.Errorf("trace_tag %s: %v", name, err)
		}
		if i >= len(ofBoth) {
			continue
		}
		m.Job.Rules, m.Job.Tags = []Rule{{Attribute: "a", Tag: name}}, map[string]string{name: "x"}
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), "`tag` must not be") || !strings.Contains(err.Error(), "tags` must not hold") {
			t.Errorf("tag %s: %v", name, err)
		}
	}
}

// What a rule drops is in no run, no name, no tag and on no span, of span and resource; all else stays,
// and what came is left as it is.
func TestDroppedAttributesGoNowhere(t *testing.T) {
	const secret = "s3cr3t"
	rules := []Rule{
		{Attribute: "app.*", Tag: "*", TraceTag: "*"},
		{Attribute: "app.pin", Param: "pin", TraceTag: "pin"},
		{Attribute: wire.ResServiceVersion, Tag: "version"},
		{Attribute: "app.secret.*", Drop: true},
		{Attribute: "app.pin", Drop: true},
		{Attribute: wire.AttrInput, Drop: true},
		{Attribute: wire.AttrUserID, Drop: true},
		{Attribute: wire.ResServiceName, Drop: true},
		{Attribute: wire.AttrCommentText, Drop: true},
		{Attribute: wire.ResServiceVersion, Drop: true},
	}
	m := Mapping{
		Job:   RunMapping{Name: "{{app.name}} {{app.secret.id}}", Rules: rules},
		Stage: RunMapping{Name: "{{app.pin}}", Rules: rules[:len(rules)-2]},
	}
	attributes := map[string]any{"app.name": "open", "app.secret.id": secret, "app.pin": secret, wire.AttrInput: secret, wire.AttrJobOutcome: "success", wire.AttrCommentText: secret, wire.AttrUserID: secret}
	spans := []Span{
		newSpan(t, Job, "job", 1, attributes),
		newSpan(t, Stage, "stage", 2, map[string]any{"app.name": "open", "app.secret.id": secret, "app.pin": secret, wire.AttrUserID: secret}),
		newSpan(t, Detail, "detail", 3, attributes),
	}
	for i := range spans {
		spans[i].Resource.Attributes().PutStr(wire.ResServiceName, secret)
		for _, source := range []string{wire.SourceHuman, wire.SourceCode} {
			judged(t, spans[i], 1, map[string]any{wire.AttrEvaluationName: source, wire.AttrEvaluationValue: 1, wire.AttrEvaluationSourceType: source})
		}
	}
	spans[0].Resource.Attributes().PutStr(wire.ResServiceVersion, secret)
	for _, m.Layout = range []string{LayoutNested, LayoutFlat} {
		for _, some := range [][]Span{spans, spans[1:2], spans[2:]} {
			plan := Reduce(some, m)
			written, err := (&ptrace.JSONMarshaler{}).MarshalTraces(plan.Traces[0].Spans)
			if err != nil {
				t.Fatal(err)
			}
			if len(plan.Scores) != 2*len(some) {
				t.Errorf("%d verdicts, want two of each span", len(plan.Scores))
			}
			for i := range plan.Scores {
				plan.Scores[i].Judge = "" // which goes into ids alone
			}
			text := fmt.Sprintf("%+v %+v %+v %s", plan.Runs, plan.Scores, plan.Traces[0].Info, written)
			if strings.Contains(text, secret) || !strings.Contains(string(written), `"open"`) {
				t.Errorf("%s: %s", m.Layout, text)
			}
			if i := slices.IndexFunc(plan.Runs, func(r Run) bool { return r.ParentKey == "" && !r.Implied }); i >= 0 && plan.Runs[i].Name != "job" {
				t.Errorf("%s: the job's run is %q; want the name of its span", m.Layout, plan.Runs[i].Name)
			}
		}
	}
	if v, ok := spans[0].Span.Attributes().Get("app.pin"); !ok || v.Str() != secret {
		t.Error("what came was changed")
	}
}
