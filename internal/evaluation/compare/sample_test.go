package compare

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/evaluation"
)

func TestResultsAreReducedToCounts(t *testing.T) {
	cost := 0.02
	try := func(n int, passed bool, kind evaluation.ErrorKind, price *float64, scores ...evaluation.Score) evaluation.Try {
		return evaluation.Try{Example: "wal", ExampleHash: "h", Tags: []string{"database"}, Repetition: n, Passed: passed, Error: kind, LatencySeconds: float64(n), CostUSD: price, Scores: scores}
	}
	r := &evaluation.Results{ID: "e", EndedAt: time.Unix(9, 0), Dataset: evaluation.DatasetRef{Name: "links", Examples: 1}, Repetitions: 3, Tries: []evaluation.Try{
		try(1, true, evaluation.ErrorNone, &cost, evaluation.Score{Name: "gates", Pass: true}),
		try(2, false, evaluation.ErrorModel, &cost, evaluation.Score{Name: "gates"}),
		try(3, false, evaluation.ErrorInfrastructure, nil),
	}}
	want := Example{ID: "wal", Hash: "h", Tags: []string{"database"}, Passed: 1, Counted: 2, Lost: 1, Scorers: map[string]Count{"gates": {1, 2}}, LatencySeconds: 1.5, CostUSD: &cost}
	if diff := cmp.Diff([]Example{want}, FromResults(r).Examples); diff != "" {
		t.Error(diff)
	}
	r.Tries[1].CostUSD = nil
	if got := FromResults(r).Examples[0].CostUSD; got != nil {
		t.Errorf("the cost of a try is not known, and the mean is %v", *got)
	}
}

func TestABaselineIsReadAsItWasWritten(t *testing.T) {
	cost := 0.0125
	s := made(3, 2)
	s.EndedAt, s.Prompts = time.Date(2026, 11, 26, 5, 0, 0, 0, time.UTC), []evaluation.PromptRef{{Stage: "stage_a", Name: "extract", SHA256: "00"}}
	s.Examples[0].Scorers, s.Examples[0].CostUSD = map[string]Count{"gates": {2, 3}}, &cost
	text, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(s, again); diff != "" {
		t.Error(diff)
	}
	if n := bytes.Count(text, []byte("\n    {\"id\":")); n != 2 {
		t.Errorf("%d lines are examples, want one each:\n%s", n, text)
	}
}

func TestWhatIsNoSampleIsRefused(t *testing.T) {
	good, err := made(3, 2).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, says string }{
		{"", "neither a baseline nor eval_results.json"},
		{"[]", "neither a baseline nor eval_results.json"},
		{`{"verdict":"PASS"}`, "neither `format` nor `schema_version`"},
		{`{"schema_version":99}`, "schema_version is 99"},
		{strings.Replace(string(good), Format, "eval-baseline/9", 1), `format is "eval-baseline/9"`},
		{strings.Replace(string(good), `"passed":3`, `"passed":4`, 1), "examples[0] (example-000): 4 passed of 3 counted"},
		{strings.Replace(string(good), "example-001", "example-000", 1), "the id is there twice"},
		{strings.Replace(string(good), `"repetitions"`, `"repetition"`, 1), `unknown field "repetition"`},
		{strings.Replace(string(good), `"examples": [`, `"examples": [[`, 1), "neither a baseline"},
	} {
		if _, err := Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want %q", err, c.says)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.json")); err == nil || !strings.Contains(err.Error(), "eval baseline") {
		t.Errorf("a file that is not there: %v", err)
	}
	path := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("the error does not name the file: %v", err)
	}
}
