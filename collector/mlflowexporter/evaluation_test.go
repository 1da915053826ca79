package mlflowexporter

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadatatest"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	worker "github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

const evaluationID = "7f1c2a34-5b6d-4e8f-9a0b-1c2d3e4f5a6b"

// evaluationMessages are what telemetry makes of an evaluation of two tries, the suite last.
func evaluationMessages(t *testing.T) []ptrace.Traces {
	t.Helper()
	p, err := worker.New(t.Context(), worker.Config{
		Mode: worker.ModeTracking, Evaluation: true, StoreID: "6f1c1a52-6b1e-4d0c-9a63-0f3f2b0c7a11", CaptureContent: true,
		ServiceName: "commentator", Endpoint: "http://127.0.0.1:1",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Shutdown(t.Context()) }()
	began := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	var all []ptrace.Traces
	take := func(m worker.Message, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		plain, err := s2.Decode(nil, m.Body)
		if err != nil {
			t.Fatal(err)
		}
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(plain)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, td)
	}
	used := commentator.Analysis{Provider: "openai", Model: "gpt-4o", Usage: commentator.Usage{Calls: 1, Input: 1000, Output: 100}}
	for repetition := 1; repetition <= 2; repetition++ {
		ctx, e := p.StartExample(t.Context(), worker.Try{Evaluation: evaluationID, Example: "hybrid-search", Repetition: repetition, SuiteStart: began})
		_, d := worker.StartDetail(ctx, wire.SpanStageA, trace.SpanKindInternal)
		d.End(nil)
		take(e.End(worker.ExampleEnd{
			Start: began.Add(time.Second), End: began.Add(3 * time.Second), Passed: repetition == 1,
			Input: map[string]string{"url": "https://example.org/"}, Output: map[string]string{"comment": "Good."},
			Stages: map[commentator.Stage]commentator.Analysis{commentator.StageA: used, commentator.StageB: used},
			Verdicts: []worker.Verdict{
				{Name: "gates", Value: repetition == 1, Why: "why"},
				{Name: "latency", Value: 1.5},
				{Name: "judge", Value: true, Judge: "gpt-4o"},
				{Name: "expected_theme", Value: "RAG", Expected: true},
			},
		}))
	}
	take(p.SuiteEnded(worker.SuiteEnd{
		Evaluation: evaluationID, Start: began, End: began.Add(time.Minute), Results: []byte(`{"schema_version": 1}`),
		Params:  map[string]string{"dataset_name": "technoshare_eval"},
		Metrics: map[string]float64{"overall_pass_rate": 0.5, "hybrid-search_gates": 0.5},
	}))
	return all
}

// In whatever order and pieces an evaluation comes, there is one run, and the traces of its tries
// belong to it, with their assessments.
func TestEvaluationInAnyOrder(t *testing.T) {
	spans := evaluationMessages(t)
	suite, _ := wire.EvaluationIdentity(evaluationID)
	ways := map[string][]ptrace.Traces{
		"as sent": spans, "suite first": reversed(spans), "one request": {joined(spans)}, "twice": append(slices.Clone(spans), spans...),
		"span by span": splitAll(spans), "span by span in reverse": reversed(splitAll(spans)),
	}
	for way, all := range ways {
		t.Run(way, func(t *testing.T) {
			server := mlflowtest.Start()
			defer server.Close()
			e := startExporter(t, testConfig(server.URL), exportertest.NewNopSettings(metadata.Type), host{storageID: &memory{data: map[string][]byte{}}})
			for _, td := range all {
				if err := e.ConsumeTraces(t.Context(), td); err != nil {
					t.Fatal(err)
				}
			}
			stop(t, e)
			state := readState(t, server)
			if len(state.Runs) != 1 || len(state.Traces) != 2 {
				t.Fatalf("%d runs and %d traces, want 1 and 2", len(state.Runs), len(state.Traces))
			}
			run := state.Runs[suite.String()]
			if run == nil || run.Name != wire.SpanEvalSuite || run.Status != "FINISHED" || run.Params["dataset_name"] != "technoshare_eval" ||
				run.Tags[wire.TagRunType] != wire.RunTypeEvaluate || len(run.Metrics["overall_pass_rate"]) != 1 || len(run.Artifacts) != 1 {
				t.Errorf("run is %+v", run)
			}
			for name := range run.Metrics {
				if strings.HasPrefix(name, "feedback/") {
					t.Errorf("the run has the metric %s", name)
				}
			}
			checkTry(t, state, suite.String(), 1, map[string]string{
				"gates scorer/gates": "true | CODE | SPAN | why | in RUN", "latency scorer/latency": "1.5 | CODE | SPAN |  | in RUN",
				"judge gpt-4o": "true | LLM_JUDGE | SPAN |  | in RUN", "expected_theme dataset": "expected RAG | HUMAN | SPAN |  | in RUN",
			})
		})
	}
}

// The id of the trace whose run a member belongs to may be written in capitals, or as a UUID.
func TestOwnersOfMembers(t *testing.T) {
	const owner = "7f1c2a345b6d4e8f9a0b1c2d3e4f5a6b"
	for _, id := range []string{owner, strings.ToUpper(owner), evaluationID} {
		state, _ := afterwards(t, func(*Config) {}, messages(t, oneSpan{1, 0, "try", map[string]any{wire.AttrRunTraceID: id}, nil})...)
		if got := state.Traces["tr-"+sentTrace].Metadata[mlflow.MetaSourceRun]; state.Runs[owner] == nil || got != owner {
			t.Errorf("%s: the trace belongs to %q; runs are %v", id, got, state.Runs)
		}
	}
}

// A member that names no trace has a trace without a run, which is counted and logged.
func TestMemberThatNamesNoTrace(t *testing.T) {
	for _, id := range []string{"nightly", strings.Repeat("f", 31), strings.Repeat("0", 32)} {
		t.Run(id, func(t *testing.T) {
			server := mlflowtest.Start()
			defer server.Close()
			set, tel, logs := observed(t)
			e := startExporter(t, testConfig(server.URL), set, host{storageID: &memory{data: map[string][]byte{}}})
			defer stop(t, e)
			if err := e.ConsumeTraces(t.Context(), messages(t, oneSpan{1, 0, "try", map[string]any{wire.AttrRunTraceID: id}, nil})[0]); err != nil {
				t.Fatal(err)
			}
			state := readState(t, server)
			if trace := state.Traces["tr-"+sentTrace]; trace == nil || trace.Metadata[mlflow.MetaSourceRun] != "" || len(state.Runs) != 0 {
				t.Errorf("trace %+v, runs %v", trace, state.Runs)
			}
			metadatatest.AssertEqualExporterMlflowDroppedItems(t, tel, []metricdata.DataPoint[int64]{{
				Attributes: attribute.NewSet(attribute.String("exporter", "mlflow"), attribute.String("reason", reduce.DropInvalidID)), Value: 1,
			}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
			lines := logs.FilterField(zap.String("item", `try: run.trace_id is "`+id+`", which is no trace id of 32 hex digits`)).All()
			if len(lines) != 1 {
				t.Errorf("log is %v", logs.All())
			}
		})
	}
}

func checkTry(t *testing.T, state *mlflowtest.State, run string, repetition int, want map[string]string) {
	t.Helper()
	traceID, span := wire.ExampleIdentity(evaluationID, "hybrid-search", repetition)
	got := state.Traces[wire.MLflowTraceID(traceID)]
	if got == nil {
		t.Fatalf("trace of repetition %d is missing", repetition)
	}
	if got.Metadata[mlflow.MetaSourceRun] != run || got.State != "OK" || len(got.Spans) != 2 || got.Tags["example"] != "hybrid-search" ||
		!strings.Contains(got.Request, "https://example.org/") || !strings.Contains(got.Response, "Good.") {
		t.Errorf("trace is %+v", got)
	}
	for name, text := range want {
		want[name] = strings.NewReplacer("SPAN", span.String(), "RUN", run).Replace(text)
	}
	if diff := cmp.Diff(want, got.Assessments); diff != "" {
		t.Errorf("assessments (-want +got)\n%s", diff)
	}
}
