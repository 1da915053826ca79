package apply_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
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

		// Nor does MLflow lose a call that it had before, when the root comes with another one.
		p = callsAlone(e.plan(11))
		e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{call(p, 1)}})
		e.lose(t)
		e.mustApply(t, e.plan(0)) // it took spans
		e.requests.take()
		p.Traces[0] = with(p.Traces[0], call(p, 2))
		e.mustApply(t, p)
		e.spent(t, p, 2)
		if n := e.requests.get("POST /api/3.0/mlflow/traces"); n != 1 && !e.retried {
			t.Errorf("it was told %d times", n)
		}

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

const readSpans = "GET /api/3.0/mlflow/traces/get"

// Of two Collectors one has the root with a call, and both have others, before and after it.
func TestSharedTotals(t *testing.T) {
	contract(t, func(t *testing.T, e *env) {
		if version, err := e.client.Version(t.Context()); err != nil || strings.HasPrefix(version, "3.7.") {
			t.Skip("it adds each span to the totals, whenever it comes", err)
		}
		bridges := sharing(t, e.client.Endpoint(), 2)
		bridges[0].mustApply(t, bridges[0].plan(0)) // from now on it tells MLflow of a trace before its spans
		p := callsAlone(bridges[0].plan(1))
		bridges[1].mustApply(t, reduce.Plan{Traces: []reduce.Trace{call(p, 1)}}, reduce.Plan{Traces: []reduce.Trace{call(p, 2)}})
		if n := bridges[1].requests.get(readSpans); n > 0 {
			t.Errorf("all spans were read %d times while MLflow adds up itself", n)
		}
		root := p
		root.Traces = []reduce.Trace{with(p.Traces[0], call(p, 3))}
		bridges[0].mustApply(t, root)
		bridges[1].spent(t, p, 3)
		for n := 4; n <= 7; n++ {
			bridges[n%2].mustApply(t, reduce.Plan{Traces: []reduce.Trace{call(p, n)}})
		}
		bridges[1].spent(t, p, 7)
	})
}

// MLflow was told of a trace, or had spans of it from another Collector, when an attempt failed: that is
// not forgotten with the next one.
func TestTotalsAfterAFailedAttempt(t *testing.T) {
	alike := func(e *env) (p reduce.Plan) { // a call on either side of the middle
		p = callsAlone(e.plan(1))
		first := with(call(p, 1), p.Traces[0], call(p, 2))
		first.Info = p.Traces[0].Info
		p.Traces = []reduce.Trace{first}
		return p
	}
	fails := func(t *testing.T, e *env, s *mlflowtest.Server, p reduce.Plan) {
		t.Helper()
		s.Fail(once("/v1/traces", mlflowtest.Internal()))
		e.goesOn(t, p)
		if n := len(e.state(t).Traces["tr-"+p.Traces[0].TraceID].Spans); n > 1 {
			t.Fatalf("%d spans came all the same", n)
		}
	}
	t.Run("then in halves", func(t *testing.T) {
		e, s := faulty(t)
		e.mustApply(t, e.plan(0))
		p := alike(e)
		fails(t, e, s, p)
		s.Fail(once("/v1/traces", &mlflowtest.Fault{Status: http.StatusRequestEntityTooLarge}))
		e.mustApply(t, p)
		e.spent(t, p, 2)
	})
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprint("another Collector was before it: ", before), func(t *testing.T) {
			_, s := faulty(t)
			bridges := sharing(t, s.URL, 2)
			e, other := bridges[0], bridges[1]
			e.mustApply(t, e.plan(0))
			p := alike(e)
			third := reduce.Plan{Traces: []reduce.Trace{call(p, 3)}}
			if before {
				other.mustApply(t, third)
			}
			fails(t, e, s, p)
			s.Fail(nil)
			if !before {
				other.mustApply(t, third)
			}
			e.mustApply(t, p)
			e.spent(t, p, 3)
		})
	}
}

// MLflow was told of a trace whose spans it refused: it is not new to it when they are sent again.
func TestTotalsOfSpansSentAgain(t *testing.T) {
	for _, before := range []int{0, 1} {
		t.Run(fmt.Sprintf("%d calls before it", before), func(t *testing.T) {
			e, s := faulty(t)
			e.mustApply(t, e.plan(0))
			p := callsAlone(e.plan(1))
			for n := range before {
				e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{call(p, n)}})
			}
			root := p
			root.Traces = []reduce.Trace{with(p.Traces[0], call(p, 5))}
			s.Fail(failing(http.MethodPost, "/v1/traces", &mlflowtest.Fault{Status: http.StatusUnprocessableEntity, Body: `{"detail":"no"}`}))
			_ = e.Apply(t.Context(), root)
			s.Fail(nil)
			e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{call(p, 6)}}, repaired(root, wire.RepairAgain))
			e.spent(t, p, before+2)
		})
	}
}

// A late call below another one, which speaks for it, changes no total: MLflow, which was told before the ledger
// was lost, is told nothing, whatever the last digits of its own sums.
func TestTotalsThatDifferInTheLastDigitsAreNotTold(t *testing.T) {
	e, _ := faulty(t)
	e.mustApply(t, e.plan(0))
	p := callsAlone(e.plan(1))
	cost := func(n int, text string) reduce.Trace {
		c := call(p, n)
		c.Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr(reduce.AttrCost, text)
		return c
	}
	above := cost(1, `{"input_cost":0.1,"output_cost":0,"total_cost":0.1}`)
	root := p
	root.Traces = []reduce.Trace{with(p.Traces[0], above, cost(2, `{"input_cost":0.7,"output_cost":0,"total_cost":0.7}`))}
	e.mustApply(t, root)
	info, err := e.client.GetTraceInfo(t.Context(), "tr-"+p.Traces[0].TraceID)
	if err != nil || !strings.Contains(info.Metadata[mlflow.MetaCost], "0.7999999999999999") {
		t.Fatalf("MLflow's sum is %s, %v", info.Metadata[mlflow.MetaCost], err)
	}
	below := call(p, 3)
	below.Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetParentSpanID(above.Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SpanID())
	e.lose(t)
	e.requests.take()
	e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{below}})
	if read, told := e.requests.get(readSpans), e.requests.get("POST /api/3.0/mlflow/traces"); read == 0 || told != 0 {
		t.Errorf("the spans were read %d times, and MLflow was told %d times", read, told)
	}
}

// roundTrip is a transport that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The spans of a trace may be too many to be read. That costs its sums, and neither what comes after it nor
// anybody else.
func TestTotalsOfATraceThatCannotBeRead(t *testing.T) {
	answer := func(status int, body io.Reader) roundTrip {
		return func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(body), Request: r}, nil
		}
	}
	for name, c := range map[string]struct {
		read     roundTrip
		attempts int
	}{
		"too large":      {answer(200, io.LimitReader(endless{}, 64<<20+1)), 1},
		"nothing known":  {answer(200, strings.NewReader(`{"trace":{"spans":[{"span_id":5}]}}`)), 1},
		"takes too long": {func(*http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded }, 1},
		"a proxy waits":  {answer(504, http.NoBody), 1},
		"MLflow ends":    {func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, 100},
		"behind a proxy": {answer(502, http.NoBody), 100},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := faulty(t)
			e.mustApply(t, e.plan(0))
			p := callsAlone(e.plan(1))
			e.mustApply(t, p)
			reads := 0
			client, err := mlflow.New(mlflow.Config{Endpoint: e.client.Endpoint(), Wrap: func(rt http.RoundTripper) (http.RoundTripper, error) {
				return roundTrip(func(r *http.Request) (*http.Response, error) {
					if r.Method+" "+r.URL.Path != readSpans {
						return rt.RoundTrip(r)
					}
					reads++
					return c.read(r)
				}), nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			whole := e.cfg.Client
			e.cfg.Client = client
			e.restart(t)
			first := reduce.Plan{Traces: []reduce.Trace{with(call(p, 1), call(p, 2))}}
			attempts := 1
			for err = e.Apply(t.Context(), first); err != nil && attempts < 100; attempts++ {
				err = e.Apply(t.Context(), first)
			}
			if err != nil || attempts > c.attempts || reads == 0 {
				t.Errorf("after %d attempts, %d to read: %v", attempts, reads, err)
			}
			if away := e.State().Away; away != "" {
				t.Errorf("MLflow counts as away: %s", away)
			}
			e.cfg.Client = whole
			e.restart(t)
			e.mustApply(t, reduce.Plan{Traces: []reduce.Trace{call(p, 3)}})
			e.spent(t, p, 3)
		})
	}
}

// endless gives spaces.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}
