package reduce

import (
	"testing"

	"github.com/technoshare/commentator/internal/wire"
)

// What a span says itself wins over the type that the mapping has for its name, and over that of
// jobs, stages and members.
func TestTypesOfSpans(t *testing.T) {
	for _, c := range []struct {
		want  string
		name  string
		attrs map[string]any
	}{
		{"PARSER", "retrieval", map[string]any{attrSpanType: "PARSER", wire.AttrGenAIOperation: "execute_tool"}},
		{"TOOL", "retrieval", map[string]any{wire.AttrGenAIOperation: "execute_tool"}},
		{"RETRIEVER", "retrieval", map[string]any{wire.AttrGenAIOperation: "of one's own"}},

		{"CHAT_MODEL", "s", map[string]any{wire.AttrGenAIOperation: "chat", "openinference.span.kind": "LLM"}},
		{"LLM", "retrieval", map[string]any{"openinference.span.kind": "LLM", "traceloop.span.kind": "workflow"}},
		{"RERANKER", "s", map[string]any{"openinference.span.kind": "RERANKER"}},
		{"GUARDRAIL", "s", map[string]any{"openinference.span.kind": "GUARDRAIL"}},
		{"WORKFLOW", "s", map[string]any{"traceloop.span.kind": "workflow"}},
		{"TASK", "s", map[string]any{"traceloop.span.kind": "task"}},
		{"LLM", "s", map[string]any{"ai.operationId": "ai.streamText.doStream"}},
		{"EMBEDDING", "s", map[string]any{"ai.operationId": "ai.embedMany"}},
		{"MEMORY", "s", map[string]any{"span.type": "memory", "entity.type": "agent"}},
		{"AGENT", "s", map[string]any{"entity.type": "agent"}},
		{"EVALUATOR", "s", map[string]any{"lmnr.span.type": "HUMAN_EVALUATOR"}},
		{"LLM", "s", map[string]any{"langfuse.observation.type": "generation"}},

		{"RETRIEVER", "retrieval", map[string]any{"openinference.span.kind": "UNKNOWN", "langfuse.observation.type": "span"}},
	} {
		for _, kind := range []Kind{Job, Stage, Member, Detail} {
			if got := nativeAttrs(t, newSpan(t, kind, c.name, 2, c.attrs))[attrSpanType]; got != c.want {
				t.Errorf("%s %v: %v, want %s", kind, c.attrs, got, c.want)
			}
		}
	}
	for kind, want := range map[Kind]string{Job: "CHAIN", Stage: "CHAIN", Member: "CHAIN", Detail: "UNKNOWN"} {
		for _, attrs := range []map[string]any{nil, {"openinference.span.kind": "UNKNOWN"}, {"entity.type": "order"}, {"traceloop.span.kind": "Workflow"}} {
			if got := nativeAttrs(t, newSpan(t, kind, "s", 2, attrs))[attrSpanType]; got != want {
				t.Errorf("%s %v: %v, want %s", kind, attrs, got, want)
			}
		}
	}
}
