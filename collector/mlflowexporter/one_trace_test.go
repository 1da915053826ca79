package mlflowexporter

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadatatest"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// oneSpan is a span of an application, in a message of its own.
type oneSpan struct {
	id, parent byte
	name       string
	attributes map[string]any
	events     []event
}

type event struct {
	name       string
	attributes map[string]any
}

// verdict is an event with what is said under a name.
func verdict(name string, value any, more ...string) event {
	e := event{wire.EventEvaluation, map[string]any{wire.AttrEvaluationName: name, wire.AttrEvaluationValue: value}}
	for _, key := range more {
		e.attributes[key] = true
	}
	return e
}

const sentTrace = "01000000000000000000000000000001"

// messages are spans of one trace in the order in which they end.
func messages(t *testing.T, spans ...oneSpan) []ptrace.Traces {
	t.Helper()
	var all []ptrace.Traces
	for i, s := range spans {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "etl")
		rs.Resource().Attributes().PutStr("run.traces", "true")
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetName(s.name)
		span.SetTraceID(pcommon.TraceID{1, 15: 1})
		span.SetSpanID(pcommon.SpanID{7: s.id})
		span.SetParentSpanID(pcommon.SpanID{7: s.parent})
		began := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(began))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(began.Add(time.Duration(i+1) * time.Second)))
		if err := span.Attributes().FromRaw(s.attributes); err != nil {
			t.Fatal(err)
		}
		for _, e := range s.events {
			one := span.Events().AppendEmpty()
			one.SetName(e.name)
			if err := one.Attributes().FromRaw(e.attributes); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, td)
	}
	return all
}

// afterwards is what MLflow holds after messages, and the assessments of the trace by their spans.
func afterwards(t *testing.T, set func(*Config), all ...ptrace.Traces) (*mlflowtest.State, map[string]string) {
	t.Helper()
	server := mlflowtest.Start()
	defer server.Close()
	config := testConfig(server.URL)
	set(config)
	e := startExporter(t, config, exportertest.NewNopSettings(metadata.Type), host{storageID: &memory{data: map[string][]byte{}}})
	for _, td := range all {
		if err := e.ConsumeTraces(t.Context(), td); err != nil {
			t.Fatal(err)
		}
	}
	stop(t, e)
	client := clientOf(t, server)
	trace, err := client.GetTraceInfo(t.Context(), "tr-"+sentTrace)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, a := range trace.Assessments {
		if a.Feedback != nil {
			said[a.SpanID] += string(a.Feedback.Value)
		}
	}
	return readState(t, server), said
}

// ways are orders and pieces in which messages may come.
func ways(all []ptrace.Traces) map[string][]ptrace.Traces {
	return map[string][]ptrace.Traces{"as sent": all, "reverse": reversed(all), "one request": {joined(all)}, "twice": append(all, all...)}
}

// feedback are the points of metrics that verdicts came to, by run, without their times.
func feedback(state *mlflowtest.State) map[string]map[string]string {
	out := map[string]map[string]string{}
	for key, run := range state.Runs {
		for name, points := range run.Metrics {
			if !strings.HasPrefix(name, "feedback/") {
				continue
			}
			if out[key] == nil {
				out[key] = map[string]string{}
			}
			out[key][name], _, _ = strings.Cut(points[len(points)-1], "@")
		}
	}
	return out
}

// Of several jobs in one trace each run counts what was said of its own job, and the trace has all.
func TestVerdictsOfSeveralJobsInOneTrace(t *testing.T) {
	job := map[string]any{"run.kind": "job"}
	for name, parent := range map[string]byte{"below a span": 1, "roots": 0} {
		all := messages(t,
			oneSpan{2, parent, "first", job, []event{verdict("quality", 1)}},
			oneSpan{3, parent, "second", job, []event{verdict("quality", 0.5)}},
			oneSpan{1, 0, "batch", nil, nil},
		)
		for way, all := range ways(all) {
			if parent == 0 && way == "reverse" {
				continue // then the other one has the key of the trace
			}
			t.Run(name+" "+way, func(t *testing.T) {
				first := sentTrace + "-0000000000000002"
				assessments := map[string]string{"0000000000000002": "1", "0000000000000003": "0.5"}
				if parent == 0 {
					first, assessments = sentTrace, map[string]string{"": "1", "0000000000000003": "0.5"}
				}
				state, got := afterwards(t, func(*Config) {}, all...)
				want := map[string]map[string]string{
					first:                           {"feedback/quality/count": "1", "feedback/quality/mean": "1"},
					sentTrace + "-0000000000000003": {"feedback/quality/count": "1", "feedback/quality/mean": "0.5"},
				}
				if diff := cmp.Diff(want, feedback(state)); diff != "" {
					t.Errorf("runs (-want +got)\n%s", diff)
				}
				if diff := cmp.Diff(assessments, got); diff != "" {
					t.Errorf("assessments (-want +got)\n%s", diff)
				}
			})
		}
	}
}

// What the right answer would be is in the trace, and is no verdict of the run.
func TestExpectationsAreNotCounted(t *testing.T) {
	all := messages(t, oneSpan{1, 0, "job", map[string]any{"run.kind": "job"}, []event{
		verdict("answer", 0.5), verdict("answer", 1, wire.AttrEvaluationExpected), verdict("theme", 2, wire.AttrEvaluationExpected),
	}})
	state, _ := afterwards(t, func(*Config) {}, all...)
	want := map[string]map[string]string{sentTrace: {"feedback/answer/count": "1", "feedback/answer/mean": "0.5"}}
	if diff := cmp.Diff(want, feedback(state)); diff != "" {
		t.Errorf("runs (-want +got)\n%s", diff)
	}
	if got := state.Traces["tr-"+sentTrace].Assessments["theme etl"]; got != "expected 2 | CODE |  | " {
		t.Errorf("the expectation is %q", got)
	}
	text := preview(t, testConfig("http://127.0.0.1:5000"), all...)
	for _, line := range []string{"  answer  0.5           CODE etl  run job, trace\n", "  answer  expected 1    CODE etl  trace\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("lacks %q:\n%s", line, text)
		}
	}
}

// What is said of a member is not on the run, whose application counts it.
func TestPreviewOfVerdictsOnMembers(t *testing.T) {
	all := messages(t, oneSpan{1, 0, "try", map[string]any{wire.AttrRunTraceID: strings.Repeat("0", 31) + "2"}, []event{verdict("quality", 1)}})
	if text := preview(t, testConfig("http://127.0.0.1:5000"), all...); !strings.Contains(text, "  quality  1    CODE etl  trace\n") {
		t.Errorf("printed is:\n%s", text)
	}
}

// A verdict on a span of a member's trace names the run of the member, in whatever order they come.
func TestVerdictOnASpanOfAMember(t *testing.T) {
	owner := strings.Repeat("0", 31) + "2"
	all := messages(t,
		oneSpan{2, 1, "step", nil, []event{verdict("quality", 1)}},
		oneSpan{1, 0, "try", map[string]any{wire.AttrRunTraceID: owner}, nil},
	)
	for way, all := range ways(all) {
		t.Run(way, func(t *testing.T) {
			state, _ := afterwards(t, func(*Config) {}, all...)
			want := map[string]string{"quality etl": "1 | CODE | 0000000000000002 |  | in " + owner}
			if diff := cmp.Diff(want, state.Traces["tr-"+sentTrace].Assessments); diff != "" {
				t.Errorf("assessments (-want +got)\n%s", diff)
			}
			if got := feedback(state); len(got) != 0 {
				t.Errorf("a run counts %v", got)
			}
		})
	}
}

// Of tags whose names become alike run and trace have the same one, and none without a name.
func TestTagsThatBecomeAlike(t *testing.T) {
	state, _ := afterwards(t, func(*Config) {}, messages(t, oneSpan{1, 0, "job", map[string]any{
		"run.kind": "job", "run.tag.a%b": "1", "run.tag.a&b": "2", "run.tag...": "3",
	}, nil})...)
	want := map[string]string{"a_b": "1"}
	tags := state.Traces["tr-"+sentTrace].Tags
	maps.DeleteFunc(tags, func(key, _ string) bool { return strings.HasPrefix(key, "mlflow.") })
	if diff := cmp.Diff(want, tags); diff != "" || state.Runs[sentTrace].Tags["a_b"] != "1" {
		t.Errorf("the run has %v, the trace (-want +got)\n%s", state.Runs[sentTrace].Tags, diff)
	}
}

// What is left out of a job is counted and logged when the rest is there, not with each attempt.
func TestWhatIsLeftOutIsCountedOnce(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	set, tel, logs := observed(t)
	e := startExporter(t, testConfig(server.URL), set, host{storageID: &memory{data: map[string][]byte{}}})
	defer stop(t, e)
	all := joined(messages(t, oneSpan{1, 0, "job", map[string]any{
		"run.kind": "job", "gen_ai.request.model": "tiny-1", "gen_ai.usage.input_tokens": 1000,
	}, []event{{wire.EventArtifact, map[string]any{wire.AttrArtifactName: "a.txt"}}}}))
	server.Fail(func(r *http.Request) *mlflowtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/runs/create") {
			return mlflowtest.Locked()
		}
		return nil
	})
	for range 2 {
		if err := e.ConsumeTraces(t.Context(), all); err == nil {
			t.Fatal("MLflow is locked")
		}
	}
	server.Fail(nil)
	if err := e.ConsumeTraces(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	var want []metricdata.DataPoint[int64]
	for _, reason := range []string{"invalid_artifact", "unknown_model"} {
		want = append(want, metricdata.DataPoint[int64]{
			Attributes: attribute.NewSet(attribute.String("exporter", "mlflow"), attribute.String("reason", reason)), Value: 1,
		})
	}
	metadatatest.AssertEqualExporterMlflowDroppedItems(t, tel, want, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	if n := logs.FilterMessage("MLflow cannot take this; dropped").Len(); n != 1 {
		t.Errorf("%d lines", n)
	}
}
