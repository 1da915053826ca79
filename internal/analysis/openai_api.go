package analysis

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// The chat completions API as far as it is used: POST {base}/chat/completions, one choice,
// not streamed. Source: OpenAI's API reference, "Chat Completions"; compatible servers
// leave out what they don't have, so nothing of an answer but its choices is needed.
type (
	chatRequest struct {
		Model               string         `json:"model"`
		Messages            []apiMessage   `json:"messages"`
		Temperature         *float64       `json:"temperature,omitempty"`
		MaxCompletionTokens int            `json:"max_completion_tokens,omitempty"`
		ResponseFormat      responseFormat `json:"response_format"`
		Tools               []tool         `json:"tools,omitempty"`
		ToolChoice          string         `json:"tool_choice,omitempty"`
		ParallelToolCalls   *bool          `json:"parallel_tool_calls,omitempty"`
	}
	responseFormat struct {
		Type       string     `json:"type"` // json_schema
		JSONSchema jsonSchema `json:"json_schema"`
	}
	jsonSchema struct {
		Name   string          `json:"name"`
		Strict bool            `json:"strict"`
		Schema json.RawMessage `json:"schema"`
	}
	tool struct {
		Type     string       `json:"type"` // function
		Function toolFunction `json:"function"`
	}
	toolFunction struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Strict      bool            `json:"strict"`
		Parameters  json.RawMessage `json:"parameters"`
	}
	// apiMessage is a message of the request and of the answer. Content is nil where the
	// assistant only calls tools or refuses.
	apiMessage struct {
		Role       string        `json:"role"`
		Content    *string       `json:"content"`
		Refusal    string        `json:"refusal,omitempty"`
		ToolCalls  []apiToolCall `json:"tool_calls,omitempty"`
		ToolCallID string        `json:"tool_call_id,omitempty"`
	}
	apiToolCall struct {
		ID       string      `json:"id"`
		Type     string      `json:"type"` // function
		Function apiFunction `json:"function"`
	}
	apiFunction struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"` // JSON, as the model wrote it
	}

	chatResponse struct {
		ID      string      `json:"id"`
		Model   string      `json:"model"`
		Choices []apiChoice `json:"choices"`
		Usage   apiUsage    `json:"usage"`
	}
	apiChoice struct {
		FinishReason string     `json:"finish_reason"`
		Message      apiMessage `json:"message"`
	}
	apiUsage struct { // in tokens
		Prompt        int64 `json:"prompt_tokens"`     // cached ones included
		Completion    int64 `json:"completion_tokens"` // reasoning included
		PromptDetails struct {
			Cached     int64 `json:"cached_tokens"`
			CacheWrite int64 `json:"cache_write_tokens"`
		} `json:"prompt_tokens_details"`
		CompletionDetails struct {
			Reasoning int64 `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
	}
)

// statusError is an answer other than 200. Code and message are the server's, if it gave any.
type statusError struct {
	status  int
	code    string
	message string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.message) }

// maxResponse is the size of an answer in bytes: hundreds of times what any model writes.
const maxResponse = 16 << 20

// post makes one call. Its errors are *statusError and what net/http and encoding/json return.
func (o *OpenAI) post(ctx context.Context, in chatRequest) (*chatResponse, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(o.cfg.BaseURL, "/")+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+o.cfg.APIKey)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "technoshare-commentator")
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(answer) > maxResponse {
		return nil, fmt.Errorf("read answer: larger than %d bytes", maxResponse)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, parseError(resp.StatusCode, answer)
	}
	out := &chatResponse{}
	if err := json.Unmarshal(answer, out); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	return out, nil
}

// parseError reads {"error": {"code", "message"}}. Servers differ in the type of the code,
// and proxies answer with pages; the status then has to do.
func parseError(status int, answer []byte) *statusError {
	e := &statusError{status: status, message: http.StatusText(status)}
	var body struct {
		Error struct {
			Code    any    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(answer, &body) != nil {
		return e
	}
	if body.Error.Code != nil {
		e.code = fmt.Sprint(body.Error.Code)
	}
	if said := strings.TrimSpace(body.Error.Message); said != "" {
		e.message = said
	}
	return e
}

// noRedirect keeps the key from being sent anywhere but to the server that was set.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
