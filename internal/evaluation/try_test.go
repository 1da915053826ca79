package evaluation_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/evaluation"
)

// deaf is a scorer whose judge is not heard the first times that it is asked.
type deaf struct {
	times, asked int
	then         func() // what follows when it was not heard
}

func (*deaf) Info() evaluation.ScorerInfo { return evaluation.ScorerInfo{Name: "deaf", Unit: "1"} }

func (d *deaf) Score(context.Context, evaluation.Made) (evaluation.Score, bool, error) {
	if d.asked++; d.asked > d.times {
		return evaluation.Score{Name: "deaf", Value: 1, Pass: true}, true, nil
	}
	if d.then != nil {
		d.then()
	}
	return evaluation.Score{}, false, errors.New("nobody answers")
}

// oneTry evaluates one example with one scorer.
func oneTry(t *testing.T, s evaluation.Scorer, change func(*evaluation.Config)) (*evaluation.Results, error) {
	t.Helper()
	return evaluate(t, "", func(c *evaluation.Config) {
		c.Examples, c.Scorers, c.Parallel = c.Examples[:1], []evaluation.Scorer{s}, 1
		change(c)
	})
}

func TestAJudgeIsAskedAgain(t *testing.T) {
	for _, tc := range []struct{ times, asked, lost int }{{0, 1, 0}, {2, 3, 0}, {3, 3, 1}} {
		s, waits := &deaf{times: tc.times}, 0
		res, err := oneTry(t, s, func(c *evaluation.Config) {
			c.Retries = 2
			c.Wait = func(context.Context, int) error { waits++; return nil }
		})
		if err != nil {
			t.Fatal(err)
		}
		if lost := res.Summary().InfrastructureErrors; s.asked != tc.asked || waits != tc.asked-1 || lost != tc.lost {
			t.Errorf("unheard %d times: asked %d times, waited %d times, %d tries lost", tc.times, s.asked, waits, lost)
		}
	}
}

// What a cassette lacks of a judge ends the evaluation as what it lacks of a stage does, at once.
func TestAMissOfAJudgeEndsTheEvaluation(t *testing.T) {
	var missed error
	s := &deaf{times: 1, then: func() { missed = errors.New("the cassette has no answer") }}
	_, err := oneTry(t, s, func(c *evaluation.Config) {
		c.Retries = 2
		c.Fatal = func() error { return missed }
		c.Wait = func(context.Context, int) error { t.Error("it waits to ask again"); return nil }
	})
	var fatal *evaluation.FatalError
	if !errors.As(err, &fatal) || !strings.Contains(err.Error(), "no answer") || s.asked != 1 {
		t.Errorf("asked %d times, got %v", s.asked, err)
	}
}
