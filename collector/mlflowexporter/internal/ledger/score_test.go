package ledger_test

import (
	"testing"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// A verdict whose assessment was made under the id that all jobs of a trace shared keeps that id; one
// on another job of the trace has its own.
func TestVerdictKeepsTheIDOfItsAssessment(t *testing.T) {
	verdict := func(id, old, run string, second uint64) reduce.Score {
		return reduce.Score{ID: id, OldID: old, RunKey: run, Version: reduce.Version{EndUnixNano: second}}
	}
	var j ledger.Job
	j.Take(verdict("shared", "", "trace-2", 1))
	j.Scores["shared"].Held = true
	j.Take(verdict("own 2", "shared", "trace-2", 3))
	j.Take(verdict("own 2", "shared", "trace-2", 2))
	j.Take(verdict("own 3", "shared", "trace-3", 1))
	if s := j.Scores["shared"]; len(j.Scores) != 2 || s.Version.EndUnixNano != 3 || !s.Held {
		t.Errorf("the ledger knows %v", j.Scores)
	}
	if s := j.Scores["own 3"]; s == nil || s.Held || s.RunKey != "trace-3" {
		t.Errorf("of the other job it knows %+v", s)
	}
}
