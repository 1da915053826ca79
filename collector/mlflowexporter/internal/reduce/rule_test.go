package reduce

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// What a pattern carries over cannot take the identity of the run.
func TestPatternsDoNotSetIdentities(t *testing.T) {
	m := simple
	m.Job.Rules = []Rule{{Attribute: "t.*", Tag: "*", TraceTag: "*"}}
	s := newSpan(t, Job, "job", 1, map[string]any{"t." + wire.TagKey: "forged", "t." + wire.TagTraceID: "forged", "t.mlflow.parentRunId": "forged", "t." + wire.TagKey + "/": "forged", "t.otel.trace%id": "forged", "t.ok": "yes"})
	run := Reduce([]Span{s}, m).Runs[0]
	if tagOf(run, wire.TagKey) != "" || tagOf(run, wire.TagTraceID) != traceID.String() || tagOf(run, "mlflow.parentRunId") != "" || tagOf(run, wire.TagKey+"/") != "" || tagOf(run, "otel.trace%id") != "" || tagOf(run, "ok") != "yes" {
		t.Errorf("tags are %v", run.Tags)
	}
}
