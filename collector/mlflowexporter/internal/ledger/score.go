package ledger

import (
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// Score is the last verdict of one source under one name, one that was taken back too, and
// how far it is.
type Score struct {
	reduce.Score
	// Place is the experiment for which the rest holds, as in Run.
	Place string `json:"place,omitempty"`
	// Held is set when the trace has an assessment of this source, of whatever version.
	Held bool `json:"held,omitempty"`
	// Traced is set when the trace needs nothing more of this version, Counted when the run
	// does not.
	Traced  bool `json:"traced,omitempty"`
	Counted bool `json:"counted,omitempty"`
}

// Take makes s the verdict of its source unless a later one is known.
func (j *Job) Take(s reduce.Score) {
	if j.Scores == nil {
		j.Scores = map[string]*Score{}
	}
	if old := j.Scores[s.OldID]; old != nil && old.RunKey == s.RunKey && j.Scores[s.ID] == nil {
		s.ID = s.OldID // its assessment was made under it
	}
	known := j.Scores[s.ID]
	switch {
	case known == nil:
		j.Scores[s.ID] = &Score{Score: s}
	case known.Version.Before(s.Version):
		known.Score, known.Traced, known.Counted = s, false, false
	}
}

// Waiting reports whether the verdict is not in MLflow yet.
func (s *Score) Waiting() bool { return !s.Counted || (s.InTrace && !s.Traced) }

// At makes a place the one that the verdict is brought to. In another one, such as the
// database that took the place of an old one, nothing of it is there.
func (s *Score) At(place string) {
	if s.Place != place {
		s.Place, s.Held, s.Traced, s.Counted = place, false, false, false
	}
}

// Waiting reports whether a verdict waits for a run or a trace.
func (j *Job) Waiting() bool {
	for _, s := range j.Scores {
		if s.Waiting() {
			return true
		}
	}
	return false
}
