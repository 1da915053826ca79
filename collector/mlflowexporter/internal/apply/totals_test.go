package apply_test

import (
	"encoding/json"
	"maps"
	"math"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
)

// call is a model call of 10 and 1 tokens in a trace whose root says nothing of them.
func call(p reduce.Plan, n int) reduce.Trace {
	t := late(p, 20+n)
	at := t.Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
	at.PutStr(reduce.AttrTokenUsage, `{"input_tokens":10,"output_tokens":1,"total_tokens":11,"cache_read_input_tokens":0,"cache_creation_input_tokens":0}`)
	at.PutStr(reduce.AttrCost, `{"input_cost":0.25,"output_cost":0.5,"total_cost":0.75}`)
	return t
}

// callsAlone is a job whose tokens are those of its calls.
func callsAlone(p reduce.Plan) reduce.Plan {
	p.Traces[0].Info.TokenUsage = nil
	p.Traces[0].Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().Remove(reduce.AttrTokenUsage)
	return p
}

// with is a trace with the spans of others too.
func with(t reduce.Trace, others ...reduce.Trace) reduce.Trace {
	spans := ptrace.NewTraces()
	t.Spans.CopyTo(spans)
	for _, o := range others {
		o.Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).CopyTo(spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty())
	}
	t.Spans = spans
	return t
}

// spent checks how many calls the totals of a trace are of.
func (e *env) spent(t *testing.T, p reduce.Plan, calls int) {
	t.Helper()
	info, err := e.client.GetTraceInfo(t.Context(), "tr-"+p.Traces[0].TraceID)
	if err != nil {
		t.Fatal(err)
	}
	var tokens map[string]int64
	var cost map[string]float64
	_ = json.Unmarshal([]byte(info.Metadata[mlflow.MetaTokenUsage]), &tokens)
	_ = json.Unmarshal([]byte(info.Metadata[mlflow.MetaCost]), &cost)
	n := int64(calls)
	if want := map[string]int64{"input_tokens": 10 * n, "output_tokens": n, "total_tokens": 11 * n, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}; !maps.Equal(tokens, want) {
		t.Errorf("tokens %v, want %v", tokens, want)
	}
	if got, want := cost["total_cost"], 0.75*float64(calls); math.Abs(got-want) > 1e-9 {
		t.Errorf("cost %v, want %v", got, want)
	}
	if info.Tags[mlflow.TagTraceName] != p.Runs[0].Name || info.State != "OK" || info.Duration != "2s" && info.Duration != "2.000s" {
		t.Errorf("the rest changed: tags %v, %s, %s", info.Tags, info.State, info.Duration)
	}
}

// MLflow 3.15 and newer leave the totals of a trace as they are, once they were told of it.
func TestTotalsAreThoseOfAllCalls(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		version, err := e.client.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(version, "3.7.") {
			t.Skip("it adds each span to the totals, whenever it comes")
		}
		e.mustApply(t, e.plan(0)) // from now on MLflow is told of a trace before its spans
		orders := [][]int{{0, 1, 2, 3}, {1, 2, 3, 0}, {1, 0, 2, 3}}
		for i, order := range orders {
			p := callsAlone(e.plan(i + 1))
			parts := []reduce.Plan{p}
			for n := 1; n <= 3; n++ {
				parts = append(parts, reduce.Plan{Traces: []reduce.Trace{call(p, n)}})
			}
			for _, k := range order {
				e.mustApply(t, parts[k])
			}
			e.spent(t, p, 3)
		}

		// With a call of its own, the root's message costs what it did. What comes later is looked for before it is
		// written, and for a call the totals are read.
		p := callsAlone(e.plan(9))
		first := p
		first.Traces = []reduce.Trace{with(p.Traces[0], call(p, 1))}
		e.requests.take()
		e.mustApply(t, first)
		e.took(t, 26)
		later := reduce.Plan{Traces: []reduce.Trace{with(call(p, 2), call(p, 3))}}
		e.mustApply(t, later)
		e.took(t, 4)
		e.mustApply(t, later, first)
		e.took(t, 0)
		e.spent(t, p, 3)
		e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{late(p, 40)}}) // no call
		e.took(t, 3)
		e.restart(t)
		e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{call(p, 4)}})
		e.spent(t, p, 4)

		// What MLflow was told before the ledger was lost stays.
		e.lose(t)
		e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{call(p, 5)}}, reduce.Plan{Traces: []reduce.Trace{call(p, 6)}})
		e.spent(t, p, 6)

		// The root's own totals are not added up anew, and cost no request.
		own := e.plan(10)
		own.Traces[0].Info.Cost = `{"input_cost":1,"output_cost":1,"total_cost":2}`
		e.mustApply(t, own)
		e.requests.take()
		e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{call(own, 1)}})
		e.took(t, 3)
		info, err := e.client.GetTraceInfo(t.Context(), "tr-"+own.Traces[0].TraceID)
		if err != nil || !strings.Contains(strings.ReplaceAll(info.Metadata[mlflow.MetaTokenUsage], " ", ""), `"total_tokens":3`) {
			t.Errorf("the root's tokens are %s, %v", info.Metadata[mlflow.MetaTokenUsage], err)
		}
	})
}

// Of two Collectors one has the root and the other one the calls, before and after it.
func TestSharedTotals(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		if version, err := e.client.Version(t.Context()); err != nil || strings.HasPrefix(version, "3.7.") {
			t.Skip("it adds each span to the totals, whenever it comes", err)
		}
		bridges := sharing(t, e.client.Endpoint(), 2)
		p := callsAlone(bridges[0].plan(1))
		bridges[1].mustApply(t, reduce.Plan{Traces: []reduce.Trace{call(p, 1)}})
		bridges[0].mustApply(t, p)
		for n := 2; n <= 5; n++ {
			bridges[n%2].mustApply(t, reduce.Plan{Traces: []reduce.Trace{call(p, n)}})
		}
		bridges[1].spent(t, p, 5)
	})
}
