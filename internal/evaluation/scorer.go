package evaluation

import (
	"context"

	"github.com/technoshare/commentator/internal/commentator"
)

// Made is what came of a try: what a scorer looks at.
type Made struct {
	Example  Example
	Facts    commentator.Facts
	Comment  commentator.Comment
	Rendered string // the comment as Slack shows it
	Themes   []string
	Limits   commentator.GateLimits
	Gates    commentator.GateReport
	// Err is what kept a comment from being made: the model's fault. Facts and Comment are as
	// far as it came.
	Err            error
	LatencySeconds float64
	CostUSD        *float64 // nil: not known
}

// Scorer judges a try. It must be safe for concurrent use.
type Scorer interface {
	Info() ScorerInfo
	// Score returns false when the scorer has nothing to say of this try. An error is one of
	// infrastructure: of a judge that cannot be reached.
	Score(ctx context.Context, m Made) (Score, bool, error)
}
