package scorers

import (
	"context"
	"fmt"

	"github.com/technoshare/commentator/internal/evaluation"
)

// Latency is how long both stages took, in seconds: measured, and a matter of passing when there
// is a limit.
const Latency = "latency"

type latency float64

// Info describes the scorer.
func (l latency) Info() evaluation.ScorerInfo {
	return evaluation.ScorerInfo{Name: Latency, Required: l > 0, LowerIsBetter: true, Unit: "s"}
}

// Score judges a try.
func (l latency) Score(_ context.Context, m evaluation.Made) (evaluation.Score, bool, error) {
	out := evaluation.Score{Name: Latency, Value: m.LatencySeconds, Pass: l == 0 || m.LatencySeconds <= float64(l)}
	if !out.Pass {
		out.Reason = fmt.Sprintf("It took %.2f s; at most %.2f s are allowed.", m.LatencySeconds, float64(l))
	}
	return out, true, nil
}
