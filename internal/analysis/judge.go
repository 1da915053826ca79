package analysis

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

//go:embed schema_judgement.json
var judgementSchemaJSON []byte

var judgementSchema = mustSchema("judgement", judgementSchemaJSON)

// Judgement is what a model says of a comment.
type Judgement struct {
	Faithful bool   `json:"faithful"` // nothing in the comment goes beyond the snippets
	Useful   bool   `json:"useful"`   // a reader knows what the page is about and what for
	Reason   string `json:"reason"`   // a sentence or two
}

// Judge asks a model what it thinks of a comment, by a rubric.
func (o *OpenAI) Judge(ctx context.Context, model, rubric string, e commentator.Evidence, c commentator.Comment) (Judgement, commentator.Analysis, error) {
	in := struct {
		Sources  []sourceInput       `json:"sources"`
		Snippets []snippetInput      `json:"snippets"`
		Comment  commentator.Comment `json:"comment"`
	}{Sources: sources(e), Comment: c, Snippets: []snippetInput{}}
	for _, s := range e.Snippets {
		in.Snippets = append(in.Snippets, snippetInput{ID: s.ID, Content: s.Content})
	}
	talk := &conversation{
		model: model, span: wire.SpanChatPrefix + model, schema: judgementSchema,
		messages: []chatMessage{{role: roleSystem, content: rubric}, {role: roleUser, content: toJSON(in)}},
	}
	var out Judgement
	err := o.run(ctx, talk, &out)
	used := commentator.Analysis{Provider: ProviderOpenAI, Model: model, Temperature: o.cfg.Temperature, MaxTokens: o.cfg.MaxTokens, Usage: talk.usage}
	if err != nil {
		return Judgement{}, used, fmt.Errorf("judge comment: %w", err)
	}
	return out, used, nil
}
