// Package retention removes what MLflow has kept for long enough: runs with what was logged to
// them, their traces, their artifacts, and what earlier removals left behind.
//
// What belongs together goes or stays together: a run, the runs nested in it, the traces of any
// of them, and whatever names one of these as its own (a run that judged a trace, one that was
// given a trace of another). Such a group goes when all of it is older than the rule allows and
// nothing protects any of it, see Reason.
//
// It works beside a running MLflow. MLflow's API deletes what it can delete for good (traces),
// and what others see (the job's run goes to the trash first); runs it never removes, so that
// they are taken out of its database as `mlflow gc` does: SQLite, in short transactions, each of
// which looks again whether the group may go. The order in a group (trash, files, traces, rows)
// is such that whoever is killed anywhere leaves nothing without an owner: the rows that name
// what is left go last, and the next time finds them.
//
// Nothing is remembered between two times but two tags on the experiment.
package retention

import (
	"errors"
	"fmt"
	"time"
)

const (
	// Mark is the tag of an experiment that says up to when runs may have been removed on purpose:
	// all of them started before that time, RFC 3339 in UTC. It never moves back.
	Mark = "technoshare.retention.before"
	// LastTime is the tag of an experiment that says when something was last removed from it.
	LastTime = "technoshare.retention.at"
	// Keep is the tag that keeps a run or a trace, and what belongs to it, whatever its value.
	Keep = "technoshare.keep"
	// Settled is how old files and rows without an owner must be: what is younger may be on its
	// way in, or being restored.
	Settled = 24 * time.Hour
	// MinAge is the least that a rule may ask for: what is younger may still get telemetry.
	MinAge = 24 * time.Hour
)

// Rule says what may go: what is both older than Age and not among the last ones.
type Rule struct {
	Last int           // job runs of each experiment that stay however old they are
	Age  time.Duration // what started within it stays
	Now  time.Time
}

// Cutoff is the time before which a run must have started to go.
func (r Rule) Cutoff() time.Time { return r.Now.Add(-r.Age) }

// Validate names each problem.
func (r Rule) Validate() error {
	var problems []error
	if r.Last < 0 {
		problems = append(problems, fmt.Errorf("--keep-last is %d: want 0 or more", r.Last))
	}
	if r.Age < MinAge {
		problems = append(problems, fmt.Errorf("--keep-for is %v: want 1d or more, what is younger may still be written to", r.Age))
	}
	return errors.Join(problems...)
}

// Reason says why a group stays.
type Reason string

// The reasons, the strongest first.
const (
	Open      Reason = "open"      // a run or trace in it is not finished
	Kept      Reason = "kept"      // it has the tag Keep
	Referred  Reason = "referred"  // something else needs it: a model, a prompt, a dataset, a review, an issue
	Elsewhere Reason = "elsewhere" // part of it is in an experiment that was not asked for
	Remote    Reason = "remote"    // its files cannot be read or removed from here
	Last      Reason = "last"      // it is among the last ones of its experiment
	Young     Reason = "young"
)

var strength = map[Reason]int{Open: 7, Kept: 6, Referred: 5, Elsewhere: 4, Remote: 3, Last: 2, Young: 1}
