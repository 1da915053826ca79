package openaitest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/technoshare/commentator/internal/sentence"
)

// What the requests of the two stages hold, as far as an answer needs it.
type (
	stageA struct {
		Sources []struct {
			Title string `json:"title"`
		} `json:"sources"`
		Snippets []struct {
			ID      string `json:"id"`
			Content string `json:"content"`
		} `json:"snippets"`
	}
	stageB struct {
		Themes []struct {
			Name string `json:"name"`
		} `json:"themes"`
		Facts []struct {
			Fact string `json:"fact"`
		} `json:"facts"`
		Related []struct {
			Name        string `json:"name"`
			Description string `json:"description"`
		} `json:"related"`
	}
)

// How much the stand-in for a model says.
const (
	maxFacts   = 18
	maxRelated = 4
	tldrCount  = 3
	summaryMax = 12
)

// reply makes the message that a helpful model might give, and its finish reason. It searches
// so many times before it answers stage A, as long as it may.
func reply(req Request, searches int) (Message, string) {
	evidence := firstUser(req)
	if len(req.Tools) == 0 {
		return composed(evidence), "stop"
	}
	if n := searched(req); req.ToolChoice != "none" && n < searches {
		return search(evidence, n), "tool_calls"
	}
	return extracted(evidence), "stop"
}

func firstUser(req Request) []byte {
	for _, m := range req.Messages {
		if m.Role == "user" {
			return []byte(m.Content)
		}
	}
	return nil
}

func searched(req Request) (n int) {
	for _, m := range req.Messages {
		if m.Role == "tool" {
			n++
		}
	}
	return n
}

// search asks for technologies like the one that the page's title and its n-th snippet, from
// 0, name.
func search(evidence []byte, n int) Message {
	var in stageA
	_ = json.Unmarshal(evidence, &in) // no evidence: a search for nothing in particular
	query := "software"
	if len(in.Sources) > 0 && in.Sources[0].Title != "" {
		query = in.Sources[0].Title
	}
	if len(in.Snippets) > n {
		words := strings.Fields(in.Snippets[n].Content)
		query += " " + strings.Join(words[:min(len(words), 12)], " ")
	}
	return Message{Role: "assistant", ToolCalls: []ToolCall{{
		ID: fmt.Sprintf("call_search_%d", n+1), Type: "function", Function: Function{Name: "search", Arguments: encode(map[string]string{"query": query})},
	}}}
}

// extracted answers stage A: the sentences that can stand alone, in reading order.
func extracted(evidence []byte) Message {
	var in stageA
	_ = json.Unmarshal(evidence, &in)
	type fact struct {
		Fact        string   `json:"fact"`
		SupportedBy []string `json:"supported_by_snippet_ids"`
	}
	facts := []fact{}
	for _, s := range in.Snippets {
		for _, text := range sentence.Alone(s.Content) {
			if len(facts) < maxFacts {
				facts = append(facts, fact{text, []string{s.ID}})
			}
		}
	}
	return Message{Role: "assistant", Content: encode(map[string]any{
		"key_facts": facts, "unknowns": []string{"Who uses it in production."},
		"coverage_assessment": fmt.Sprintf("All %d snippets could be judged.", len(in.Snippets)),
	})}
}

// composed answers stage B from the facts, as far as they go.
func composed(evidence []byte) Message {
	var in stageB
	_ = json.Unmarshal(evidence, &in)
	texts := []string{}
	for _, f := range in.Facts {
		texts = append(texts, f.Fact)
	}
	tldr := texts[:min(len(texts), tldrCount)]
	summary := texts
	if len(texts) >= tldrCount+10 {
		summary = texts[tldrCount:]
	}
	projects := []string{}
	for i, t := range in.Themes {
		if i < min(len(texts), 4) {
			projects = append(projects, "**"+t.Name+"** — "+texts[len(texts)-1-i])
		}
	}
	similar := []string{}
	for _, r := range in.Related[:min(len(in.Related), maxRelated)] {
		similar = append(similar, "**"+r.Name+"** — "+r.Description)
	}
	return Message{Role: "assistant", Content: encode(map[string]any{
		"tldr": tldr, "summary": summary[:min(len(summary), summaryMax)], "projects": projects, "similar_tech": similar,
	})}
}

// usage counts tokens as models of today do: about four bytes each, prompts cached in
// blocks of 128 as far as an earlier request of the same conversation sent them.
func usage(req Request, answer Message) map[string]any {
	prompt, cached := 0, 0
	for _, m := range req.Messages {
		if m.Role == "assistant" {
			cached = prompt / 128 * 128
		}
		prompt += tokens(m)
	}
	completion := tokens(answer)
	reasoning := 0
	if strings.HasPrefix(req.Model, "o") || strings.HasPrefix(req.Model, "gpt-5") {
		reasoning = 64
	}
	return map[string]any{
		"prompt_tokens": prompt, "completion_tokens": completion + reasoning, "total_tokens": prompt + completion + reasoning,
		"prompt_tokens_details":     map[string]any{"cached_tokens": cached, "audio_tokens": 0},
		"completion_tokens_details": map[string]any{"reasoning_tokens": reasoning, "audio_tokens": 0},
	}
}

func tokens(m Message) int {
	n := len(m.Content) + len(m.Refusal)
	for _, c := range m.ToolCalls {
		n += len(c.Function.Name) + len(c.Function.Arguments)
	}
	return 4 + (n+3)/4
}

// encode turns maps of texts into JSON, which can't fail.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
