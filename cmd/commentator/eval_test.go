package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/evaluation"
)

// makeResults writes what an evaluation would have come to: results FILE DAY PROMPT N:TRIES…, where
// DAY is one of November, PROMPT two hexadecimal digits, and N examples had those TRIES: P for
// one that passed, F for one that failed, L for one that was lost; as many for all.
func makeResults(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: results FILE DAY PROMPT N:TRIES...")
	}
	day, err := strconv.Atoi(args[1])
	ts.Check(err)
	ended := time.Date(2026, 11, day, 5, 0, 0, 0, time.UTC)
	cost := 0.0125
	r := &evaluation.Results{
		Schema: evaluation.SchemaVersion, ID: fmt.Sprintf("00000000-0000-4000-8000-0000000000%02d", day), TraceID: strings.Repeat("ab", 16),
		Dataset: evaluation.DatasetRef{Name: "technoshare_eval", Version: "1", Hash: strings.Repeat("0d", 32)}, Analyser: evaluation.AnalyserCassette,
		Prompts:     []evaluation.PromptRef{{Stage: commentator.StageA, Name: "stage_a_extract_facts", SHA256: strings.Repeat(args[2], 32)}},
		Models:      []evaluation.ModelRef{{Stage: commentator.StageA, Provider: "openai", Model: "gpt-4o"}},
		Repetitions: len(strings.SplitN(args[3], ":", 2)[1]), Scorers: []evaluation.ScorerInfo{{Name: "gates", Required: true, Unit: "1"}}, StartedAt: ended.Add(-time.Minute), EndedAt: ended,
	}
	for _, arg := range args[3:] {
		count, tries, _ := strings.Cut(arg, ":")
		n, err := strconv.Atoi(count)
		ts.Check(err)
		for range n {
			r.Dataset.Examples++
			for i, c := range tries {
				t := evaluation.Try{
					Example: fmt.Sprintf("example-%03d", r.Dataset.Examples), ExampleHash: strings.Repeat("11", 32), Tags: []string{"rag"}, Repetition: i + 1,
					TraceID: strings.Repeat("cd", 16), Passed: c == 'P', Error: evaluation.ErrorNone, LatencySeconds: 1.5, CostUSD: &cost,
					Scores: []evaluation.Score{{Name: "gates", Pass: c == 'P', Reason: "summary has 9 sentences"}},
				}
				if c == 'L' {
					t.Error, t.Message, t.Scores, t.CostUSD = evaluation.ErrorInfrastructure, "model server can't be reached", []evaluation.Score{}, nil
				}
				r.Tries = append(r.Tries, t)
			}
		}
	}
	ts.Check(r.Validate())
	ts.Check(r.Save(ts.MkAbs(args[0])))
}
