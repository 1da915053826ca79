package main

import (
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
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

func TestWhatComesFromASourceOfStrategiesIsSaid(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	for want, r := range map[string]telemetry.RemoteState{
		"http://h/s says since 2026-01-02 03:04:05: full for all jobs (revision 5fe1fda0)":                                         {Says: "full for all jobs", Revision: "5fe1fda0"},
		"http://h/s gives no strategy since 2026-01-02 03:04:05, and gave none before: refused":                                    {Problem: "refused"},
		"http://h/s gives no strategy since 2026-01-02 03:04:05: refused; its last one was: full for all jobs (revision 5fe1fda0)": {Problem: "refused", Says: "full for all jobs", Revision: "5fe1fda0"},
	} {
		r.Endpoint, r.Since = "http://h/s", since
		if got := remoteLine(r); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	}
}
