package analysis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

// maxToolRounds is how often the model may ask for searches before it has to answer.
const maxToolRounds = 4

// conversation is one stage's exchange with the model.
type conversation struct {
	model    string
	span     string // name of the spans of its calls
	schema   schema
	search   bool // the model may call the search tool
	messages []chatMessage
	recorded transcript // of messages
	offered  transcript // the tools

	// check looks for what the schema can't express; nil: nothing.
	check func() error

	usage     commentator.Usage
	toolCalls int
	found     []data.Tech // by searches, in order, each once
}

// run asks until the model gives an answer that follows the schema, and decodes it into result.
// It carries out the searches that the model asks for, and lets it correct a wrong answer
// once. Lists that are still too short or too long then are left to the gates.
func (o *OpenAI) run(ctx context.Context, c *conversation, result any) error {
	repaired := false
	for round := 0; ; round++ {
		mayCall := c.search && round < maxToolRounds
		reply, err := o.chat(ctx, c, mayCall)
		if err != nil {
			return err
		}
		if mayCall && len(reply.calls) > 0 {
			c.messages = append(c.messages, reply)
			for _, call := range reply.calls {
				c.messages = append(c.messages, chatMessage{role: roleTool, callID: call.id, content: o.answer(ctx, c, call)})
			}
			continue
		}
		wrong := c.schema.decode(reply.content, result)
		if wrong == nil && c.check != nil {
			wrong = c.check()
		}
		if wrong == nil {
			return nil
		}
		if repaired {
			var v *violation
			if errors.As(wrong, &v) && v.countsOnly {
				return nil
			}
			why := wrong.Error()
			if telemetry.WithoutContent(ctx) { // it may quote the answer
				why = "it does not follow the schema"
			}
			return badOutput(c.model, why)
		}
		repaired = true
		reply.calls = nil // calls that nobody answers would be an error of the protocol
		c.messages = append(c.messages, reply, chatMessage{
			role:    roleUser,
			content: "Your answer does not follow the schema: " + wrong.Error() + ". Answer again with one complete JSON object.",
		})
	}
}

// answer carries out a tool call. What is wrong with a call is told to the model.
func (o *OpenAI) answer(ctx context.Context, c *conversation, call toolCall) string {
	if call.name != toolSearch {
		return toJSON(map[string]string{"error": "there is no tool " + call.name})
	}
	var args searchArguments
	if err := json.Unmarshal([]byte(call.arguments), &args); err != nil || args.Query == "" {
		return toJSON(map[string]string{"error": `the arguments must be {"query": "a few keywords"}`})
	}
	c.toolCalls++
	found := o.index.call(ctx, args.Query)
	for _, t := range found {
		if !slices.ContainsFunc(c.found, func(f data.Tech) bool { return f.Name == t.Name }) {
			c.found = append(c.found, t)
		}
	}
	return toJSON(found)
}

// chat makes one call: a span, an entry in the metrics, and its tokens in c.usage.
func (o *OpenAI) chat(ctx context.Context, c *conversation, mayCall bool) (chatMessage, error) {
	ctx, span := telemetry.StartDetail(ctx, c.span, trace.SpanKindClient)
	if span.Recording() {
		content, sent := telemetry.CaptureContent(ctx), c.messages
		span.Describe(func(d telemetry.Description) { o.describeRequest(d, c, sent, content) })
	}
	start := o.cfg.Now()
	reply, response, err := o.call(ctx, c, mayCall)
	elapsed := o.cfg.Now().Sub(start)

	usage := usageOf(response)
	c.usage = c.usage.Add(usage)
	if span.Recording() && response != nil {
		content, said := telemetry.CaptureContent(ctx), reply
		span.Describe(func(d telemetry.Description) { describeResponse(d, response, usage, said, content) })
	}
	span.End(err)
	telemetry.RecordModelCall(ctx, telemetry.ModelCall{
		Provider: ProviderOpenAI, RequestModel: c.model, ResponseModel: modelOf(response),
		ErrorType: commentator.ErrorCode(err), Duration: elapsed, Usage: usage,
	})
	return reply, err
}

// call sends the conversation and reads the model's message.
func (o *OpenAI) call(ctx context.Context, c *conversation, mayCall bool) (chatMessage, *chatResponse, error) {
	limited, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	response, err := o.post(limited, o.request(c, mayCall))
	if err != nil {
		return chatMessage{}, nil, o.callError(ctx, c.model, err)
	}
	if len(response.Choices) == 0 {
		return chatMessage{}, response, badOutput(c.model, "it holds no choice")
	}
	reply := fromChoice(response.Choices[0])
	switch {
	case reply.refusal != "" || reply.finish == "content_filter":
		said := ": " + reply.refusal
		if telemetry.WithoutContent(ctx) { // which an error would carry there
			said = ""
		}
		return reply, response, &commentator.Error{
			Code: codeRefused, Final: true, Message: fmt.Sprintf("model %s refused to answer about this page%s", c.model, said),
		}
	case reply.finish == "length":
		return reply, response, badOutput(c.model, fmt.Sprintf("it was cut off after %d tokens", response.Usage.Completion))
	}
	return reply, response, nil
}

func (o *OpenAI) request(c *conversation, mayCall bool) chatRequest {
	r := chatRequest{
		Model:               c.model,
		Temperature:         o.cfg.Temperature,
		MaxCompletionTokens: o.cfg.MaxTokens,
		ResponseFormat: responseFormat{
			Type:       "json_schema",
			JSONSchema: jsonSchema{Name: c.schema.name, Strict: true, Schema: c.schema.text},
		},
	}
	for _, m := range c.messages {
		r.Messages = append(r.Messages, m.api())
	}
	if c.search {
		one := false
		r.Tools = []tool{searchTool}
		r.ParallelToolCalls = &one // strict arguments need it
		if !mayCall {
			r.ToolChoice = "none"
		}
	}
	return r
}

var searchTool = tool{Type: "function", Function: toolFunction{
	Name:        toolSearch,
	Description: "Looks comparable technologies up in the team's index and returns their names, descriptions and tags, best first.",
	Strict:      true,
	Parameters: json.RawMessage(`{
		"type": "object",
		"additionalProperties": false,
		"required": ["query"],
		"properties": {"query": {"type": "string", "description": "A few technical keywords."}}
	}`),
}}

func (o *OpenAI) describeRequest(span telemetry.Description, c *conversation, sent []chatMessage, content bool) {
	span.Set(
		attribute.String(wire.AttrGenAIOperation, "chat"),
		attribute.String(wire.AttrGenAIProvider, ProviderOpenAI),
		attribute.String(wire.AttrGenAIRequestModel, c.model),
		attribute.String(wire.AttrServerAddress, o.address),
		attribute.Int(wire.AttrServerPort, o.port),
	)
	if o.cfg.Temperature != nil {
		span.Set(attribute.Float64(wire.AttrTemperature, *o.cfg.Temperature))
	}
	if o.cfg.MaxTokens > 0 {
		span.Set(attribute.Int(wire.AttrMaxTokens, o.cfg.MaxTokens))
	}
	if content {
		c.recorded.add(span, sent[len(c.recorded):]...)
		span.SetArray(wire.AttrGenAIInput, c.recorded...)
		if c.search {
			if c.offered == nil {
				c.offered = transcript{span.Mask(searchDefinition)}
			}
			span.SetArray(wire.AttrGenAITools, c.offered...)
		}
	}
}

func describeResponse(span telemetry.Description, r *chatResponse, u commentator.Usage, reply chatMessage, content bool) {
	span.Set(
		attribute.String(wire.AttrGenAIResponseID, r.ID),
		attribute.String(wire.AttrGenAIResponseModel, r.Model),
		attribute.Int64(wire.AttrUsageInput, u.Input),
		attribute.Int64(wire.AttrUsageOutput, u.Output),
		attribute.Int64(wire.AttrUsageCacheRead, u.CacheRead),
		attribute.Int64(wire.AttrUsageCacheCreation, u.CacheCreation),
		attribute.Int64(wire.AttrUsageReasoning, u.Reasoning),
	)
	if reply.finish != "" {
		span.Set(attribute.StringSlice(wire.AttrGenAIFinishReasons, []string{reply.finish}))
	}
	if content && reply.role != "" {
		span.SetArray(wire.AttrGenAIOutput, span.Mask(telemetryJSON(reply)))
	}
}

// usageOf counts a call; one without a response counts with zero tokens.
func usageOf(r *chatResponse) commentator.Usage {
	u := commentator.Usage{Calls: 1}
	if r == nil {
		return u
	}
	u.Input = r.Usage.Prompt
	u.Output = r.Usage.Completion
	u.CacheRead = r.Usage.PromptDetails.Cached
	u.CacheCreation = r.Usage.PromptDetails.CacheWrite
	u.Reasoning = r.Usage.CompletionDetails.Reasoning
	return u
}

func modelOf(r *chatResponse) string {
	if r == nil {
		return ""
	}
	return r.Model
}

// defaultTimeout of one model call: long answers of large models take most of a minute.
const defaultTimeout = 2 * time.Minute
