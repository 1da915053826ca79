package reduce

import (
	"cmp"
	"encoding/json"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/wire"
)

// formatOpenAI names the shape of messages that MLflow's UI lays out as a conversation.
const formatOpenAI = "openai"

const attrSystemInstructions = "gen_ai.system_instructions"

// message is one message of the OTel GenAI conventions:
// role and parts of type text, reasoning, tool_call, tool_call_response, blob, file or uri.
type message struct {
	Role         string `json:"role"`
	Parts        []part `json:"parts"`
	FinishReason string `json:"finish_reason"`
}

type part struct {
	Type      string          `json:"type"`
	Content   json.RawMessage `json:"content"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
	Response  json.RawMessage `json:"response"`
	Result    json.RawMessage `json:"result"` // name of response before semconv 1.38
	MimeType  json.RawMessage `json:"mime_type"`
	Modality  json.RawMessage `json:"modality"`
	FileID    json.RawMessage `json:"file_id"`
	URI       json.RawMessage `json:"uri"`
}

// shown stands for what is no text: its kind, and where it is unless that is the thing itself.
func (p part) shown() string {
	where := cmp.Or(rawText(p.FileID), rawText(p.URI))
	if scheme, _, _ := strings.Cut(where, ":"); strings.EqualFold(scheme, "data") {
		where = ""
	}
	return "[" + strings.TrimSpace(cmp.Or(rawText(p.MimeType), rawText(p.Modality), p.Type)+" "+where) + "]"
}

// chatMessage is a message as OpenAI's chat completions spell it.
type chatMessage struct {
	Role       string     `json:"role"`
	Content    *string    `json:"content"`
	ToolCalls  []toolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

type toolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function functionCall `json:"function"`
}

type functionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type chatRequest struct {
	Model       string        `json:"model,omitempty"`
	Messages    []chatMessage `json:"messages"`
	Temperature *float64      `json:"temperature,omitempty"`
	MaxTokens   *int64        `json:"max_tokens,omitempty"`
	Tools       []chatTool    `json:"tools,omitempty"`
}

type chatAnswer struct {
	Model   string       `json:"model,omitempty"`
	Choices []chatChoice `json:"choices"`
}

type chatChoice struct {
	Index        int         `json:"index"`
	Message      chatMessage `json:"message"`
	FinishReason string      `json:"finish_reason,omitempty"`
}

// chatContent writes the messages of a model call in the form that MLflow's autologging
// of OpenAI gives. Messages that don't follow the conventions are passed on as they are.
func chatContent(s Span, attrs pcommon.Map) {
	formatted := false
	tools := offeredTools(s)
	if len(tools) > 0 {
		putJSON(attrs, attrChatTools, tools)
	}
	if in, ok := parseMessages(s.text(wire.AttrGenAIInput)); ok {
		request := chatRequest{Model: s.text(wire.AttrGenAIRequestModel)}
		if system, ok := parseParts(s.text(attrSystemInstructions)); ok {
			request.Messages = append(request.Messages, flatten(message{Role: "system", Parts: system})...)
		}
		for _, m := range in {
			request.Messages = append(request.Messages, flatten(m)...)
		}
		if v, ok := s.Span.Attributes().Get(wire.AttrTemperature); ok {
			if f, ok := number(v); ok {
				request.Temperature = &f
			}
		}
		if n, ok := s.integer(wire.AttrMaxTokens); ok {
			request.MaxTokens = &n
		}
		request.Tools = tools
		formatted = putJSON(attrs, attrSpanInputs, request)
	}
	if out, ok := parseMessages(s.text(wire.AttrGenAIOutput)); ok {
		answer := chatAnswer{Model: cmp.Or(s.text(wire.AttrGenAIResponseModel), s.text(wire.AttrGenAIRequestModel))}
		reasons := s.texts(wire.AttrGenAIFinishReasons)
		for i, m := range out {
			reason := m.FinishReason
			if reason == "" && i < len(reasons) {
				reason = reasons[i]
			}
			for _, flat := range flatten(m) {
				answer.Choices = append(answer.Choices, chatChoice{Index: i, Message: flat, FinishReason: reason})
			}
		}
		formatted = putJSON(attrs, attrSpanOutputs, answer) || formatted
	}
	show(attrs, attrSpanInputs, wire.AttrGenAIInput)
	show(attrs, attrSpanOutputs, wire.AttrGenAIOutput)
	if formatted {
		putNew(attrs, attrMessageFormat, formatOpenAI)
	}
}

func putJSON(attrs pcommon.Map, key string, value any) bool {
	body, err := plainjson.Marshal(value)
	if err != nil {
		return false
	}
	putNew(attrs, key, values.Clean(string(body), 0))
	return true
}

func parseMessages(text string) ([]message, bool) {
	var ms []message
	if text == "" || json.Unmarshal([]byte(text), &ms) != nil || len(ms) == 0 {
		return nil, false
	}
	for _, m := range ms {
		if m.Role == "" || m.Parts == nil {
			return nil, false
		}
	}
	return ms, true
}

func parseParts(text string) ([]part, bool) {
	var ps []part
	if text == "" || json.Unmarshal([]byte(text), &ps) != nil || len(ps) == 0 {
		return nil, false
	}
	return ps, true
}

// flatten turns one message into OpenAI's form, in which each answer of a tool is a
// message of its own.
func flatten(m message) []chatMessage {
	var texts []string
	var calls []toolCall
	var answers []chatMessage
	for _, p := range m.Parts {
		switch p.Type {
		case "tool_call":
			calls = append(calls, toolCall{ID: p.ID, Type: "function", Function: functionCall{p.Name, rawText(p.Arguments)}})
		case "tool_call_response":
			text := rawText(p.Response)
			if p.Response == nil {
				text = rawText(p.Result)
			}
			answers = append(answers, chatMessage{Role: "tool", ToolCallID: p.ID, Content: &text})
		case "blob", "file", "uri":
			texts = append(texts, p.shown())
		default: // text, reasoning and what may come
			if text := rawText(p.Content); text != "" {
				texts = append(texts, text)
			}
		}
	}
	if len(texts) == 0 && len(calls) == 0 && len(answers) > 0 {
		return answers
	}
	flat := chatMessage{Role: m.Role, ToolCalls: calls}
	if text := strings.Join(texts, "\n"); text != "" || len(calls) == 0 {
		flat.Content = &text
	}
	return append([]chatMessage{flat}, answers...)
}

// rawText is the text of a JSON string, and any other JSON as it is written.
func rawText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
