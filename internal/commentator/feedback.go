package commentator

import "time"

// Values of Verdict.Value and of what a reaction says.
const (
	VerdictUp        = 1
	VerdictDown      = -1
	VerdictTakenBack = 0 // of a person who has no reaction left that says anything
)

// Verdict is what a person says of a comment by reactions to it: that of the newest reaction
// that is still there.
type Verdict struct {
	JobID int64
	User  string // Slack user id
	Value int    // VerdictUp, VerdictDown or VerdictTakenBack
	// At orders the verdicts of one person on one job: Slack's time of the newest event, which
	// is in microseconds. A verdict that changed because of an older event, which came late, is
	// some nanoseconds behind it.
	At time.Time
}
