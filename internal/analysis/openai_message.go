package analysis

import (
	"encoding/json"

	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/telemetry"
)

// Roles of messages.
const (
	roleSystem    = "system"
	roleUser      = "user"
	roleAssistant = "assistant"
	roleTool      = "tool"
)

// chatMessage is a message of a conversation, apart from any server's format.
type chatMessage struct {
	role    string
	content string
	calls   []toolCall // of the assistant
	callID  string     // that a tool answers
	finish  string     // why the model stopped; of the assistant
	refusal string     // of the assistant
}

type toolCall struct {
	id, name, arguments string
}

// api is the message as the chat completions API wants it.
func (m chatMessage) api() apiMessage {
	p := apiMessage{Role: m.role, ToolCallID: m.callID}
	if m.content != "" || len(m.calls) == 0 {
		p.Content = &m.content
	}
	for _, c := range m.calls {
		p.ToolCalls = append(p.ToolCalls, apiToolCall{ID: c.id, Type: "function", Function: apiFunction{Name: c.name, Arguments: c.arguments}})
	}
	return p
}

// fromChoice reads the model's message.
func fromChoice(c apiChoice) chatMessage {
	m := chatMessage{role: roleAssistant, refusal: c.Message.Refusal, finish: c.FinishReason}
	if c.Message.Content != nil {
		m.content = *c.Message.Content
	}
	for _, t := range c.Message.ToolCalls {
		m.calls = append(m.calls, toolCall{id: t.ID, name: t.Function.Name, arguments: t.Function.Arguments})
	}
	return m
}

// The JSON of gen_ai.input.messages and gen_ai.output.messages (semantic conventions 1.41).
type (
	telemetryMessage struct {
		Role         string          `json:"role"`
		Parts        []telemetryPart `json:"parts"`
		FinishReason string          `json:"finish_reason,omitempty"`
	}
	telemetryPart struct {
		Type      string          `json:"type"` // text, tool_call or tool_call_response
		Content   string          `json:"content,omitempty"`
		ID        string          `json:"id,omitempty"`
		Name      string          `json:"name,omitempty"`
		Arguments json.RawMessage `json:"arguments,omitempty"`
		Response  json.RawMessage `json:"response,omitempty"`
	}
)

// telemetryJSON encodes a message as the semantic conventions say.
func telemetryJSON(m chatMessage) string {
	t := telemetryMessage{Role: m.role, Parts: []telemetryPart{}, FinishReason: finishReason(m.finish)}
	switch {
	case m.role == roleTool:
		t.Parts = append(t.Parts, telemetryPart{Type: "tool_call_response", ID: m.callID, Response: rawJSON(m.content)})
	case m.content != "":
		t.Parts = append(t.Parts, telemetryPart{Type: "text", Content: m.content})
	case m.refusal != "":
		t.Parts = append(t.Parts, telemetryPart{Type: "text", Content: m.refusal})
	}
	for _, c := range m.calls {
		t.Parts = append(t.Parts, telemetryPart{Type: "tool_call", ID: c.id, Name: c.name, Arguments: rawJSON(c.arguments)})
	}
	return spanJSON(t)
}

// telemetryTool is an item of gen_ai.tool.definitions: the API's, without its nesting.
type telemetryTool struct {
	Type string `json:"type"`
	toolFunction
}

// searchDefinition is the search tool as spans carry it.
var searchDefinition = spanJSON(telemetryTool{searchTool.Type, searchTool.Function})

// transcript is the messages of a conversation, or its tools, as spans carry them. Each is encoded and
// masked once, since every call carries all messages before it. Spans alone look at it.
type transcript []telemetry.Text

func (t *transcript) add(span telemetry.Description, messages ...chatMessage) {
	for _, m := range messages {
		*t = append(*t, span.Mask(telemetryJSON(m)))
	}
}

// finishReason is the conventions' word for the API's: messages say tool_call, the
// attribute gen_ai.response.finish_reasons keeps the API's tool_calls.
func finishReason(api string) string {
	if api == "tool_calls" {
		return "tool_call"
	}
	return api
}

// rawJSON returns text itself when it is JSON, without escapes of HTML, else as a JSON string.
func rawJSON(text string) json.RawMessage {
	if json.Valid([]byte(text)) {
		return plainjson.Append(nil, []byte(text))
	}
	return json.RawMessage(spanJSON(text))
}
