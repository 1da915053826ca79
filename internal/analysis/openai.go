package analysis

import (
	"context"
	"net/http"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/commentator"
)

var _ commentator.Analyser = (*OpenAI)(nil)

// OpenAIConfig says which server and models to use.
type OpenAIConfig struct {
	APIKey  string
	BaseURL string // with /v1; empty: https://api.openai.com/v1

	ModelStageA string
	ModelStageB string

	Temperature *float64 // nil: the model's default
	MaxTokens   int      // completion tokens of one call; 0: the model's default

	// Timeout of one model call. Default 2 minutes.
	Timeout time.Duration
	// Transport carries the requests. Default http.DefaultTransport.
	Transport http.RoundTripper
}

// OpenAI asks an OpenAI-compatible chat completions server. It is safe for concurrent use.
type OpenAI struct {
	cfg  OpenAIConfig
	data *data.Data
}

// NewOpenAI returns an analyser, or an error that names each setting that is missing or wrong.
func NewOpenAI(cfg OpenAIConfig, d *data.Data) (*OpenAI, error) {
	return &OpenAI{cfg: cfg, data: d}, nil
}

// ExtractFacts is stage A: facts from the evidence, with the search tool at hand.
func (o *OpenAI) ExtractFacts(ctx context.Context, e commentator.Evidence) (commentator.Facts, commentator.Analysis, error) {
	return commentator.Facts{}, commentator.Analysis{}, ctx.Err()
}

// Compose is stage B: the comment from the facts.
func (o *OpenAI) Compose(ctx context.Context, e commentator.Evidence, f commentator.Facts) (commentator.Comment, commentator.Analysis, error) {
	return commentator.Comment{}, commentator.Analysis{}, ctx.Err()
}
