package reduce

import (
	"github.com/technoshare/commentator/internal/wire"
)

// Span types of MLflow.
const (
	typeChain     = "CHAIN"
	typeTool      = "TOOL"
	typeChatModel = "CHAT_MODEL"
	typeLLM       = "LLM"
	typeEmbedding = "EMBEDDING"
	typeAgent     = "AGENT"
	typeRetriever = "RETRIEVER"
	typeReranker  = "RERANKER"
	typeMemory    = "MEMORY"
	typeWorkflow  = "WORKFLOW"
	typeTask      = "TASK"
	typeGuardrail = "GUARDRAIL"
	typeEvaluator = "EVALUATOR"
	typeUnknown   = "UNKNOWN"
)

// Operations of the GenAI conventions, values of gen_ai.operation.name.
const (
	operationChat           = "chat"
	operationContent        = "generate_content"
	operationTextCompletion = "text_completion"
	operationEmbeddings     = "embeddings"
	operationCreateAgent    = "create_agent"
	operationInvokeAgent    = "invoke_agent"
	operationInvokeWorkflow = "invoke_workflow"
)

// kinds are the attributes by which conventions beside the GenAI ones tell what a span is, in the
// order and with the values of mlflow/tracing/otel/translation of MLflow 3.17.2. They are read here,
// since MLflow reads them only where it finds no type, before 3.11 not even where it finds UNKNOWN.
// Values that mean UNKNOWN are left out: they tell nothing.
var kinds = []struct {
	attribute string
	types     map[string]string
}{
	{"openinference.span.kind", map[string]string{
		"TOOL": typeTool, "CHAIN": typeChain, "LLM": typeLLM, "RETRIEVER": typeRetriever, "EMBEDDING": typeEmbedding,
		"AGENT": typeAgent, "RERANKER": typeReranker, "GUARDRAIL": typeGuardrail, "EVALUATOR": typeEvaluator,
	}},
	{"traceloop.span.kind", map[string]string{ // OpenLLMetry
		"workflow": typeWorkflow, "task": typeTask, "agent": typeAgent, "tool": typeTool,
	}},
	{"ai.operationId", map[string]string{ // Vercel's AI SDK
		"ai.generateText": typeLLM, "ai.generateText.doGenerate": typeLLM, "ai.streamText": typeLLM, "ai.streamText.doStream": typeLLM,
		"ai.generateObject": typeLLM, "ai.generateObject.doGenerate": typeLLM, "ai.streamObject": typeLLM, "ai.streamObject.doStream": typeLLM,
		"ai.embed": typeEmbedding, "ai.embed.doEmbed": typeEmbedding, "ai.embedMany": typeEmbedding, "ai.toolCall": typeTool,
	}},
	{"span.type", map[string]string{ // VoltAgent
		"agent": typeAgent, "llm": typeLLM, "tool": typeTool, "memory": typeMemory,
	}},
	{"entity.type", map[string]string{ // VoltAgent: below the root it is that of the parent, so span.type comes first
		"agent": typeAgent, "llm": typeLLM, "tool": typeTool, "memory": typeMemory,
	}},
	{"lmnr.span.type", map[string]string{ // Laminar
		"LLM": typeLLM, "CACHED": typeLLM, "TOOL": typeTool, "DEFAULT": typeChain, "PIPELINE": typeChain, "EXECUTOR": typeAgent,
		"EVALUATOR": typeEvaluator, "HUMAN_EVALUATOR": typeEvaluator, "EVALUATION": typeEvaluator,
	}},
	{"langfuse.observation.type", map[string]string{
		"generation": typeLLM, "embedding": typeEmbedding, "tool": typeTool, "retriever": typeRetriever, "agent": typeAgent,
		"chain": typeChain, "evaluator": typeEvaluator, "guardrail": typeGuardrail,
	}},
}

// typeOf is what the span says itself, what its GenAI operation or its kind by another convention
// means, or what the mapping has for its name. MLflow 3.11 and newer looks at what is UNKNOWN
// once more.
func typeOf(s Span, m Mapping) string {
	if own := s.text(attrSpanType); own != "" {
		return own
	}
	switch s.text(wire.AttrGenAIOperation) {
	case operationChat:
		return typeChatModel
	case operationContent, operationTextCompletion:
		return typeLLM
	case operationEmbeddings:
		return typeEmbedding
	case "execute_tool":
		return typeTool
	case operationCreateAgent, operationInvokeAgent:
		return typeAgent
	case "retrieval":
		return typeRetriever
	case operationInvokeWorkflow:
		return typeChain
	}
	for _, kind := range kinds {
		if told := kind.types[s.text(kind.attribute)]; told != "" {
			return told
		}
	}
	if mapped := m.SpanTypes[s.Span.Name()]; mapped != "" {
		return mapped
	}
	if s.Kind == Job || s.Kind == Stage || s.Kind == Member {
		return typeChain
	}
	return typeUnknown
}

// sumsUp reports whether the tokens of a span are those of calls below it: of agents and workflows,
// and of jobs, stages and members that are no model call themselves.
func (s Span) sumsUp() bool {
	switch s.text(wire.AttrGenAIOperation) {
	case operationChat, operationContent, operationTextCompletion, operationEmbeddings:
		return false
	case operationCreateAgent, operationInvokeAgent, operationInvokeWorkflow:
		return true
	}
	return s.Kind != Detail
}
