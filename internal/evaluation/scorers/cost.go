package scorers

import (
	"context"
	"fmt"

	"github.com/technoshare/commentator/internal/evaluation"
)

// Cost is what the model calls of a try cost, in USD: measured, and a matter of passing when there
// is a limit. It has nothing to say when a model has no price.
const Cost = "cost"

type cost float64

// Info describes the scorer.
func (c cost) Info() evaluation.ScorerInfo {
	return evaluation.ScorerInfo{Name: Cost, Required: c > 0, LowerIsBetter: true, Unit: "USD"}
}

// Score judges a try.
func (c cost) Score(_ context.Context, m evaluation.Made) (evaluation.Score, bool, error) {
	if m.CostUSD == nil {
		return evaluation.Score{}, false, nil
	}
	out := evaluation.Score{Name: Cost, Value: *m.CostUSD, Pass: c == 0 || *m.CostUSD <= float64(c)}
	if !out.Pass {
		out.Reason = fmt.Sprintf("It cost %.4f USD; at most %.4f are allowed.", *m.CostUSD, float64(c))
	}
	return out, true, nil
}
