package main

import (
	"testing"

	"github.com/technoshare/commentator/internal/commentator"
)

func TestARemoteDecisionIsExplained(t *testing.T) {
	for want, d := range map[string]commentator.Decision{
		"full, by revision 5fe1fda0 of the strategy of http://h/sampling: full for a share of 0.25 of the jobs": {
			Detail: commentator.DetailFull, By: commentator.ByRemote, Rule: "http://h/sampling: full for a share of 0.25 of the jobs", Ratio: 0.25, Revision: "5fe1fda0",
		},
		"tracking, by the strategy of http://h/sampling, which had given none yet: full for none of the jobs": {
			Detail: commentator.DetailTracking, By: commentator.ByRemote, Rule: "http://h/sampling, which had given none yet: full for none of the jobs",
		},
		"full, by the strategy of http://h/sampling": { // of an older release
			Detail: commentator.DetailFull, By: commentator.ByRemote, Rule: "http://h/sampling",
		},
	} {
		if got := explain(d); got != want {
			t.Errorf("explained as %q, want %q", got, want)
		}
	}
}
