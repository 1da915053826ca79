// Package openaitest is an OpenAI-compatible chat completions server without a model. It
// answers from the evidence in the request: the same request always gets the same answer.
// Tests use it, and demonstrations that need model calls without a key.
//
// It is strict where a real server is: a request without a key, a model, a strict JSON
// schema that compiles, or with tool calls that nobody answered, is refused.
package openaitest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Fault is an answer that a server gives when something is wrong.
type Fault struct {
	// Status of the answer; 0 means 200.
	Status int
	// Code and Message fill the error object of a status from 400 on.
	Code    string
	Message string
	// Content, with status 200, is the assistant's text in place of the right one.
	Content string
	// Finish, with status 200, is the reason in place of "stop", such as "length".
	Finish string
	// Refusal, with status 200, is the model's refusal in place of an answer.
	Refusal string
	// Raw, with status 200, is the whole body in place of a completion.
	Raw string
	// Hang keeps the request open until the client gives up.
	Hang bool
}

// Handler is the server. Its zero value is ready; it is safe for concurrent use.
type Handler struct {
	// Key that clients must send. Empty: any key will do.
	Key string
	// Searches is how often the model searches before it answers stage A. Default: once.
	Searches int
	// Models are listed at GET /models. Empty: the server has no such list.
	Models []string

	mu       sync.Mutex
	faults   []Fault
	requests []Request
}

// Fail makes the next requests meet these faults, one each, in order. A Fault that is
// the zero value lets its request pass.
func (h *Handler) Fail(faults ...Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, faults...)
}

// Requests returns what was asked so far, refused requests too.
func (h *Handler) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Request(nil), h.requests...)
}

// Request is a chat completions request, as far as this server looks at it.
type Request struct {
	Model               string          `json:"model"`
	Messages            []Message       `json:"messages"`
	Temperature         *float64        `json:"temperature"`
	MaxCompletionTokens int             `json:"max_completion_tokens"`
	ToolChoice          string          `json:"tool_choice"`
	ParallelToolCalls   *bool           `json:"parallel_tool_calls"`
	Tools               []Tool          `json:"tools"`
	ResponseFormat      *ResponseFormat `json:"response_format"`

	Header http.Header `json:"-"`
}

// Message of a conversation.
type Message struct {
	Role       string     `json:"role"`
	Content    string     `json:"content"`
	Refusal    string     `json:"refusal,omitempty"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

// ToolCall is a call that the model wants made.
type ToolCall struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Function Function `json:"function"`
}

// Function is a call's name and arguments.
type Function struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// Tool is a tool that the model may call.
type Tool struct {
	Type     string `json:"type"`
	Function struct {
		Name       string `json:"name"`
		Strict     bool   `json:"strict"`
		Parameters any    `json:"parameters"`
	} `json:"function"`
}

// ResponseFormat binds the answer to a schema.
type ResponseFormat struct {
	Type       string `json:"type"`
	JSONSchema struct {
		Name   string `json:"name"`
		Strict bool   `json:"strict"`
		Schema any    `json:"schema"`
	} `json:"json_schema"`
}

// maxBody of a request; a page's evidence is a few kilobytes.
const maxBody = 4 << 20

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/models") && len(h.Models) > 0 {
		h.list(w, r)
		return
	}
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/chat/completions") {
		fail(w, http.StatusNotFound, "unknown_url", fmt.Sprintf("there is no %s %s", r.Method, r.URL.Path))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		fail(w, http.StatusRequestEntityTooLarge, "too_large", "the request is too large")
		return
	}
	var req Request
	if err := json.Unmarshal(body, &req); err != nil {
		fail(w, http.StatusBadRequest, "invalid_json", "the request can't be decoded: "+err.Error())
		return
	}
	req.Header = r.Header.Clone()
	fault := h.record(req)
	if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !ok || key == "" || h.Key != "" && key != h.Key {
		fail(w, http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided: "+key)
		return
	}
	if problem := check(req); problem != "" {
		fail(w, http.StatusBadRequest, "invalid_request", problem)
		return
	}
	switch {
	case fault.Hang:
		<-r.Context().Done()
	case fault.Status >= 400:
		fail(w, fault.Status, fault.Code, fault.Message)
	case fault.Raw != "":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, fault.Raw)
	default:
		complete(w, req, fault, body, max(h.Searches, 1))
	}
}

// record keeps the request and takes the fault that it meets.
func (h *Handler) record(req Request) Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, req)
	if len(h.faults) == 0 {
		return Fault{}
	}
	fault := h.faults[0]
	h.faults = h.faults[1:]
	return fault
}

// check returns what a real server would refuse.
func check(req Request) string {
	if req.Model == "" {
		return "model is missing"
	}
	if len(req.Messages) == 0 {
		return "messages is empty"
	}
	f := req.ResponseFormat
	if f == nil || f.Type != "json_schema" || !f.JSONSchema.Strict || f.JSONSchema.Name == "" {
		return "response_format must be a strict json_schema with a name"
	}
	if err := compile(f.JSONSchema.Name, f.JSONSchema.Schema); err != nil {
		return "response_format: " + err.Error()
	}
	for _, t := range req.Tools {
		if t.Type != "function" || t.Function.Name == "" || !t.Function.Strict {
			return "tools must be strict functions with a name"
		}
		if err := compile(t.Function.Name, t.Function.Parameters); err != nil {
			return "tools: " + err.Error()
		}
	}
	open := map[string]bool{}
	for i, m := range req.Messages {
		if m.Role == "tool" {
			if !open[m.ToolCallID] {
				return fmt.Sprintf("messages[%d] answers no tool call", i)
			}
			delete(open, m.ToolCallID)
			continue
		}
		if len(open) > 0 {
			return fmt.Sprintf("messages[%d]: a tool call before it was not answered", i)
		}
		for _, c := range m.ToolCalls {
			open[c.ID] = true
		}
	}
	if len(open) > 0 {
		return "the last tool calls were not answered"
	}
	return ""
}

// compile checks that a schema is one, and strict: an object that names all its keys.
func compile(name string, schema any) error {
	object, _ := schema.(map[string]any)
	if object["type"] != "object" || object["additionalProperties"] != false {
		return fmt.Errorf("schema %s must be an object without additionalProperties", name)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name+".json", schema); err != nil {
		return fmt.Errorf("add schema %s: %w", name, err)
	}
	if _, err := c.Compile(name + ".json"); err != nil {
		return fmt.Errorf("compile schema %s: %w", name, err)
	}
	return nil
}

// list answers with the models, as OpenAI's GET /models does.
func (h *Handler) list(w http.ResponseWriter, r *http.Request) {
	if token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); token == "" || h.Key != "" && token != h.Key {
		fail(w, http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided")
		return
	}
	models := make([]any, len(h.Models))
	for i, id := range h.Models {
		models[i] = map[string]any{"id": id, "object": "model", "created": created.Unix(), "owned_by": "openaitest"}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": models})
}

// created stamps every completion, so that answers are the same on any day.
var created = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// complete writes the completion of a request.
func complete(w http.ResponseWriter, req Request, fault Fault, body []byte, searches int) {
	message, finish := reply(req, searches)
	if fault.Content != "" {
		message, finish = Message{Role: "assistant", Content: fault.Content}, "stop"
	}
	if fault.Refusal != "" {
		message = Message{Role: "assistant", Refusal: fault.Refusal}
	}
	if fault.Finish != "" {
		finish = fault.Finish
	}
	sum := sha256.Sum256(body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", "req_"+hex.EncodeToString(sum[12:24]))
	_ = json.NewEncoder(w).Encode(map[string]any{
		"id":                 "chatcmpl-" + hex.EncodeToString(sum[:12]),
		"object":             "chat.completion",
		"created":            created.Unix(),
		"model":              req.Model + "-2024-08-06",
		"system_fingerprint": "fp_openaitest",
		"choices":            []any{map[string]any{"index": 0, "message": message, "finish_reason": finish, "logprobs": nil}},
		"usage":              usage(req, message),
	})
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(1))
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error": map[string]any{"message": message, "type": "invalid_request_error", "param": nil, "code": code},
	})
}
