package routing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/wire"
)

// Where the other backend is to have no content it has none of what the conventions name for it,
// neither on spans nor on their events. What failed, and how, and what was judged, is there.
func TestNoContentReachesTheBackend(t *testing.T) {
	for file, changes := range map[string][]string{
		"head-sampling.yaml":      {"processors::probabilistic_sampler::sampling_percentage: 100"},
		"redaction.yaml":          nil,
		"full/tail-sampling.yaml": {"processors::tail_sampling::decision_wait: 1s", "processors::tail_sampling::decision_wait_after_root_received: 0s"},
	} {
		t.Run(file, func(t *testing.T) {
			startMLflow(t)
			tempo := startBackend(t)
			start(t, newPlace(t), file, changes...).send(talkative(quote))
			await(t, "the span", func() bool { return len(tempo.trace(pcommon.TraceID{8})) == 1 })
			if strings.Contains(tempo.text(t), quote) {
				t.Errorf("the backend has what was said:\n%s", tempo.text(t))
			}
			tempo.each(func(sp ptrace.Span) {
				var left []string
				for _, e := range sp.Events().All() {
					left = append(left, fmt.Sprint(e.Name(), " ", e.Attributes().AsRaw()))
				}
				if want := []string{
					"exception map[exception.type:ValueError]",
					"gen_ai.client.inference.operation.details map[gen_ai.request.model:m]",
					"gen_ai.evaluation.result map[gen_ai.evaluation.name:helpful]",
				}; !slices.Equal(left, want) {
					t.Errorf("its events are %q, want %q", left, want)
				}
				if got := fmt.Sprint(sp.Attributes().AsRaw()); got != "map[error.type:ValueError gen_ai.operation.name:chat]" {
					t.Errorf("its attributes are %s", got)
				}
				if sp.Status().Code() != ptrace.StatusCodeError {
					t.Errorf("its status is %s", sp.Status().Code())
				}
			})
		})
	}
}

// talkative is a span of another application that says a text wherever the conventions let it.
func talkative(text string) ptrace.Traces {
	td := ptrace.NewTraces()
	sp := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetTraceID(pcommon.TraceID{8})
	sp.SetSpanID(pcommon.SpanID{1})
	sp.SetName("chat")
	sp.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	sp.SetEndTimestamp(sp.StartTimestamp())
	sp.Status().SetCode(ptrace.StatusCodeError)
	sp.Status().SetMessage(text)
	sp.Attributes().PutStr(wire.AttrGenAIOperation, "chat")
	sp.Attributes().PutStr(wire.AttrErrorType, "ValueError")
	for _, key := range []string{
		wire.AttrInput, wire.AttrOutput, wire.AttrCommentText, wire.AttrGenAIInput, wire.AttrGenAIOutput, wire.AttrGenAIToolArguments, wire.AttrGenAIToolResult,
		wire.AttrErrorMessage, "gen_ai.system_instructions", wire.AttrGenAITools, "gen_ai.retrieval.query.text", "gen_ai.retrieval.documents",
		"mlflow.spanInputs", "mlflow.spanOutputs", "mlflow.chat.tools",
	} {
		sp.Attributes().PutStr(key, text)
	}
	event := func(name, key, value string, said ...string) {
		e := sp.Events().AppendEmpty()
		e.SetName(name)
		e.Attributes().PutStr(key, value)
		for _, key := range said {
			e.Attributes().PutEmptySlice(key).AppendEmpty().SetStr(text)
		}
	}
	event("exception", "exception.type", "ValueError", "exception.message", "exception.stacktrace")
	event("gen_ai.client.inference.operation.details", wire.AttrGenAIRequestModel, "m",
		wire.AttrGenAIInput, wire.AttrGenAIOutput, "gen_ai.system_instructions", wire.AttrGenAITools)
	event("gen_ai.evaluation.result", wire.AttrEvaluationName, "helpful", wire.AttrEvaluationWhy)
	return td
}
