package reduce

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/pricing"
	"github.com/technoshare/commentator/internal/wire"
)

func metricOf(r Run, key string) (float64, bool) {
	for _, m := range r.Metrics {
		if m.Key == key {
			return m.Value, true
		}
	}
	return 0, false
}

// A job's cost is that of its stages, each by its own model; without what the mapping asks
// for, the span's own usage is priced.
func TestCostOfAJob(t *testing.T) {
	m := Mapping{Job: RunMapping{Name: "job"}, Prices: pricing.Default()}
	m.Job.Costs = []CostSource{
		{Model: "a.model", Provider: "a.provider", Usage: "a.usage"},
		{Model: "b.model", Provider: "b.provider", Usage: "b.usage"},
	}
	for name, tc := range map[string]struct {
		attrs map[string]any
		want  float64
	}{
		"two models": {map[string]any{
			"a.model": "gpt-4o", "a.provider": "openai", "a.usage.input_tokens": 1000, "a.usage.cache_read.input_tokens": 400, "a.usage.output_tokens": 100,
			"b.model": "claude-sonnet-4-6", "b.provider": "anthropic", "b.usage.input_tokens": 1000, "b.usage.cache_creation.input_tokens": 1000,
			wire.AttrUsageInput: 999_999, wire.AttrGenAIRequestModel: "gpt-4o",
		}, (600*2.5 + 400*1.25 + 100*10 + 1000*3.75) / 1e6},
		"its own usage": {map[string]any{
			wire.AttrGenAIProvider: "openai", wire.AttrGenAIRequestModel: "gpt-4o-mini", wire.AttrUsageOutput: 1_000_000,
		}, 0.6},
	} {
		t.Run(name, func(t *testing.T) {
			plan := Reduce([]Span{newSpan(t, Job, "job", 1, tc.attrs)}, m)
			got, ok := metricOf(plan.Runs[0], "cost_usd")
			if !ok || math.Abs(got-tc.want) > 1e-12 {
				t.Errorf("cost_usd %v, %v, want %v", got, ok, tc.want)
			}
			var cost map[string]float64
			if err := json.Unmarshal([]byte(plan.Traces[0].Info.Cost), &cost); err != nil || math.Abs(cost["total_cost"]-tc.want) > 1e-12 {
				t.Errorf("cost of the trace %s: %v", plan.Traces[0].Info.Cost, err)
			}
			if len(plan.Unpriced) > 0 {
				t.Errorf("unpriced %v", plan.Unpriced)
			}
		})
	}
}

// What a rule drops is not shown, and costs and links to prompts are those of what came.
func TestDroppedUsageCostsAsMuch(t *testing.T) {
	m := Mapping{Job: RunMapping{
		Name:    "job",
		Costs:   []CostSource{{Model: "a.model", Usage: "a.usage"}},
		Prompts: []PromptSource{{Name: "a.prompt", SHA256: "a.sha256"}},
	}, Prices: pricing.Default()}
	spans := []Span{
		newSpan(t, Job, "job", 1, map[string]any{
			"a.model": "gpt-4o", "a.usage.input_tokens": 1000, "a.usage.cache_read.input_tokens": 400, "a.prompt": "p", "a.sha256": "abc",
		}),
		newSpan(t, Detail, "chat", 2, map[string]any{
			wire.AttrGenAIProvider: "openai", wire.AttrGenAIRequestModel: "gpt-4o", wire.AttrUsageInput: 1000, wire.AttrUsageCacheRead: 400,
		}),
	}
	all := Reduce(spans, m)
	m.Job.Rules = []Rule{{Attribute: "a.*", Drop: true}, {Attribute: wire.AttrUsageCacheRead, Drop: true}}
	less := Reduce(spans, m)
	for name, of := range map[string]func(Plan) any{
		"cost of the run":      func(p Plan) any { cost, _ := metricOf(p.Runs[0], "cost_usd"); return cost },
		"prompts of the run":   func(p Plan) any { return p.Runs[0].Prompts },
		"cost of the trace":    func(p Plan) any { return p.Traces[0].Info.Cost },
		"prompts of the trace": func(p Plan) any { return p.Traces[0].Info.Prompts },
		"cost of the call": func(p Plan) any {
			v, _ := p.Traces[0].Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(1).Attributes().Get(AttrCost)
			return v.AsString()
		},
	} {
		if diff := cmp.Diff(of(all), of(less)); diff != "" || fmt.Sprint(of(all)) == "" || fmt.Sprint(of(all)) == "0" || fmt.Sprint(of(all)) == "[]" {
			t.Errorf("%s: %v without the rule; %s", name, of(all), diff)
		}
	}
}

// One model without a price makes the whole cost unknown; no usage is no question of price.
func TestUnknownModelHasNoCost(t *testing.T) {
	m := Mapping{Job: RunMapping{Name: "job"}, Prices: pricing.Default()}
	m.Job.Costs = []CostSource{{Model: "a.model", Usage: "a.usage"}, {Model: "b.model", Usage: "b.usage"}}
	plan := Reduce([]Span{newSpan(t, Job, "job", 1, map[string]any{
		"a.model": "gpt-4o", "a.usage.input_tokens": 10, "b.model": "house-model", "b.usage.input_tokens": 10,
	})}, m)
	if _, ok := metricOf(plan.Runs[0], "cost_usd"); ok || plan.Traces[0].Info.Cost != "" {
		t.Errorf("part of a cost is given as the whole: %+v", plan.Runs[0].Metrics)
	}
	if got := tagOf(plan.Runs[0], wire.TagUnknownModel); got != "house-model" || len(plan.Unpriced) != 1 {
		t.Errorf("tag %q, unpriced %v", got, plan.Unpriced)
	}
	plan = Reduce([]Span{newSpan(t, Job, "job", 1, map[string]any{"a.model": "offline-extractive"})}, m)
	if _, ok := metricOf(plan.Runs[0], "cost_usd"); ok || tagOf(plan.Runs[0], wire.TagUnknownModel) != "" || len(plan.Unpriced) > 0 {
		t.Errorf("no usage: %+v, %v", plan.Runs[0], plan.Unpriced)
	}
}

// A model without a price that only calls of a trace name is told once for the trace, and its tag
// names it; what a run named is not told again.
func TestUnknownModelOfACall(t *testing.T) {
	call := func(id byte, model string) Span {
		return newSpan(t, Detail, "chat", id, map[string]any{wire.AttrGenAIOperation: "chat", wire.AttrGenAIRequestModel: model, wire.AttrUsageInput: 10})
	}
	used := map[string]any{wire.AttrGenAIRequestModel: "named", wire.AttrUsageInput: 10}
	job, stage, member := newSpan(t, Job, "job", 1, nil), newSpan(t, Stage, "stage", 7, used), newSpan(t, Member, "member", 8, used)
	priced := call(6, "ours")
	priced.Span.Attributes().PutStr(AttrCost, `{"input_cost":1,"output_cost":2,"total_cost":3}`)
	m := Mapping{Job: RunMapping{Name: "job"}, Stage: RunMapping{Name: "stage"}, Member: RunMapping{Name: "member"}, Prices: pricing.Default()}
	for name, c := range map[string]struct {
		spans    []Span
		unpriced []string
		tag      string
	}{
		"calls":              {[]Span{job, call(2, "b"), call(3, "a"), call(4, "b"), call(5, "gpt-4o"), priced}, []string{"a", "b"}, "a, b"},
		"calls alone":        {[]Span{call(2, "b"), call(4, "b")}, []string{"b"}, ""},
		"named by its stage": {[]Span{job, stage, call(2, "named"), call(3, "a")}, []string{"named", "a"}, "a, named"},
		"of a member":        {[]Span{member, call(2, "a")}, []string{"a", "named"}, "a, named"},
		"none":               {[]Span{job, call(5, "gpt-4o"), priced}, nil, ""},
	} {
		plan := Reduce(c.spans, m)
		var got []string
		for _, u := range plan.Unpriced {
			got = append(got, u.Model)
		}
		if diff := cmp.Diff(c.unpriced, got); diff != "" {
			t.Errorf("%s: models (-want +got)\n%s", name, diff)
		}
		if info := plan.Traces[0].Info; info != nil {
			if tag := tagOf(Run{Tags: info.Tags}, wire.TagUnknownModel); tag != c.tag {
				t.Errorf("%s: tag %q, want %q", name, tag, c.tag)
			}
		}
	}
}

// A model call carries its cost in MLflow's form, unless the application gave a valid one.
func TestCostOfAModelCall(t *testing.T) {
	call := map[string]any{
		wire.AttrGenAIOperation: "chat", wire.AttrGenAIProvider: "openai", wire.AttrGenAIRequestModel: "gpt-4o",
		wire.AttrUsageInput: 1000, wire.AttrUsageOutput: 100,
	}
	ours := `{"input_cost":0.0025,"output_cost":0.001,"total_cost":0.0035}`
	for name, tc := range map[string]struct {
		own  any
		want string
	}{
		"none":    {nil, ours},
		"partial": {`{"total_cost":3}`, ours},
		"valid":   {`{"input_cost":1,"output_cost":2,"total_cost":3}`, `{"input_cost":1,"output_cost":2,"total_cost":3}`},
		"invalid": {"0.5", ours},
	} {
		t.Run(name, func(t *testing.T) {
			attrs := map[string]any{AttrCost: tc.own}
			if tc.own == nil {
				delete(attrs, AttrCost)
			}
			for k, v := range call {
				attrs[k] = v
			}
			if got := nativeAttrs(t, newSpan(t, Detail, "chat gpt-4o", 2, attrs))[AttrCost]; got != tc.want {
				t.Errorf("cost %v, want %s", got, tc.want)
			}
		})
	}
}

// The provider may have the name that it had before: gen_ai.system.
func TestProviderByItsOlderName(t *testing.T) {
	prices, err := pricing.Default().With("prices.yaml", []byte("prices:\n  - {provider: house, model: gpt-4o, input: 7, output: 7}\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := Mapping{Job: RunMapping{Name: "job"}, Prices: prices}
	for name, tc := range map[string]struct {
		attrs    map[string]any
		provider string
		cost     float64 // of a million tokens
	}{
		"a price of one's own": {map[string]any{attrSystem: "house", wire.AttrGenAIRequestModel: "gpt-4o"}, "house", 7},
		"a maker":              {map[string]any{attrSystem: "openai", wire.AttrGenAIRequestModel: "gpt-4o"}, "openai", 2.5},
		"a host of models":     {map[string]any{attrSystem: "aws_bedrock", wire.AttrGenAIRequestModel: "us.anthropic.claude-haiku-4-5-20251001-v1:0"}, "aws_bedrock", 1},
		"an API":               {map[string]any{attrSystem: "openai.chat", wire.AttrGenAIRequestModel: "gpt-4o"}, "openai.chat", 2.5},
		"a library":            {map[string]any{attrSystem: "Langchain", wire.AttrGenAIRequestModel: "gpt-4o"}, "Langchain", 2.5},
		"both":                 {map[string]any{wire.AttrGenAIProvider: "openai", attrSystem: "house", wire.AttrGenAIRequestModel: "gpt-4o"}, "openai", 2.5},
	} {
		tc.attrs[wire.AttrUsageInput] = 1_000_000
		s, dst := newSpan(t, Detail, "chat", 2, tc.attrs), ptrace.NewSpan()
		native(s, s, m, dst)
		got := dst.Attributes().AsRaw()
		var cost map[string]float64
		if text, _ := got[AttrCost].(string); json.Unmarshal([]byte(text), &cost) != nil || math.Abs(cost["total_cost"]-tc.cost) > 1e-9 || got[attrProvider] != tc.provider {
			t.Errorf("%s: cost %v, provider %v", name, got[AttrCost], got[attrProvider])
		}
		if of, _ := metricOf(Reduce([]Span{newSpan(t, Job, "job", 1, tc.attrs)}, m).Runs[0], metricCost); math.Abs(of-tc.cost) > 1e-9 {
			t.Errorf("%s: the run's cost is %v, want %v", name, of, tc.cost)
		}
	}
}

// A latency and a cost that a rule sets are those of the run, and no price is missed then.
func TestMetricsOfTheApplicationStay(t *testing.T) {
	m := simple
	m.Prices = pricing.Default()
	m.Job.Rules = []Rule{{Attribute: "run.metric.*", Metric: "*"}}
	m.Stage.Rules = m.Job.Rules
	attrs := map[string]any{
		"run.metric.latency_seconds": 3.5, "run.metric.cost_usd": 0.25,
		"gen_ai.request.model": "tiny-1", "gen_ai.usage.input_tokens": 1000,
	}
	plan := Reduce([]Span{newSpan(t, Job, "job", 1, attrs), newSpan(t, Stage, "stage", 2, attrs)}, m)
	for _, r := range plan.Runs {
		got := map[string]float64{}
		for _, one := range r.Metrics {
			got[one.Key] = one.Value
		}
		if diff := cmp.Diff(map[string]float64{"latency_seconds": 3.5, "cost_usd": 0.25}, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", r.Name, diff)
		}
		if tag := tagOf(r, wire.TagUnknownModel); tag != "" {
			t.Errorf("%s has the tag %s", r.Name, tag)
		}
	}
	if len(plan.Unpriced) != 0 {
		t.Errorf("without a price: %v", plan.Unpriced)
	}
}
