package reduce

import (
	"testing"

	"github.com/technoshare/commentator/internal/wire"
)

// An empty id of the run's trace is as one that is not told.
func TestMemberWithAnEmptyID(t *testing.T) {
	for id, dropped := range map[string]int{"": 0, " ": 1, "nightly": 1} {
		plan := Reduce([]Span{newSpan(t, Member, "try", 1, map[string]any{wire.AttrRunTraceID: id})}, simple)
		if len(plan.Dropped) != dropped || len(plan.Runs) != 0 || len(plan.Traces) != 1 {
			t.Errorf("%q: dropped %v, runs %v, %d traces", id, plan.Dropped, plan.Runs, len(plan.Traces))
		}
	}
}
