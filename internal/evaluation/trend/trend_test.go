package trend

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/evaluation"
)

// made is an evaluation on a day of November: by example, P for a try that passed, F for one that
// did not, L for one that was lost.
func made(day int, prompt string, tries map[string]string) *evaluation.Results {
	r := &evaluation.Results{
		ID: fmt.Sprint(day), EndedAt: time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC), Analyser: evaluation.AnalyserCassette,
		Prompts: []evaluation.PromptRef{{Name: "extract", SHA256: prompt}}, Scorers: []evaluation.ScorerInfo{{Name: "gates", Required: true}, {Name: "latency"}},
	}
	for id, all := range tries {
		tag, _, _ := strings.Cut(id, "-")
		for i, c := range all {
			t := evaluation.Try{Example: id, ExampleHash: "h", Tags: []string{tag}, Repetition: i + 1, Passed: c == 'P', Error: evaluation.ErrorNone, LatencySeconds: float64(i + 1)}
			t.Scores = []evaluation.Score{{Name: "gates", Pass: t.Passed, Reason: fmt.Sprintf("summary has %d sentences, as %q says", i+7, id)}, {Name: "latency", Value: 9, Reason: "slow"}}
			if c == 'L' {
				t.Error, t.Scores = evaluation.ErrorInfrastructure, nil
			}
			if c == 'M' {
				t.Error, t.Message, t.Scores = evaluation.ErrorModel, "the answer is cut off after 4096 tokens", nil
			}
			r.Tries = append(r.Tries, t)
		}
	}
	return r
}

func TestEvaluationsAreSortedByTimeAndVersion(t *testing.T) {
	first := made(1, "old", map[string]string{"rag-1": "PP", "rag-2": "PP"})
	second := made(8, "new", map[string]string{"rag-1": "PF", "rag-2": "LL"})
	third := made(15, "old", map[string]string{"rag-1": "PP", "rag-2": "PF"})
	got := Of([]*evaluation.Results{third, first, second, first}, 0)
	if len(got.Points) != 3 || got.Points[0].EvaluationID != "1" || got.Points[2].EvaluationID != "15" {
		t.Errorf("points %+v", got.Points)
	}
	if p := got.Points[1]; p.PassRate != 0.5 || p.Examples != 1 || p.Tries != 2 || p.Lost != 2 || p.LatencySeconds != 1.5 || p.CostUSD != nil {
		t.Errorf("the second %+v", p)
	}
	if len(got.Versions) != 2 || got.Versions[0].Evaluations != 2 || got.Versions[0].Last.Day() != 15 || got.Versions[0].PassRate != (1+0.75)/2 || got.Versions[1].Evaluations != 1 {
		t.Errorf("versions %+v", got.Versions)
	}
	if last := Of([]*evaluation.Results{third, first, second}, 2); len(last.Points) != 2 || last.Points[0].EvaluationID != "8" {
		t.Errorf("the last two %+v", last.Points)
	}
	if none := Of(nil, 0); len(none.Points) != 0 {
		t.Errorf("of none %+v", none)
	}
}

// The same results give the same bytes, and lists are never null.
func TestATrendIsRepeatable(t *testing.T) {
	tries := map[string]string{}
	for i := range 97 {
		tries[fmt.Sprintf("rag-%d", i)] = []string{"PPF", "PFF", "PPPPPFF"}[i%3]
	}
	results := []*evaluation.Results{made(1, "old", tries)}
	first := Of(results, 0)
	for range 50 {
		if again := Of(results, 0); again.Points[0].PassRate != first.Points[0].PassRate || again.Points[0].Interval != first.Points[0].Interval {
			t.Fatalf("pass rate %v, then %v", first.Points[0].Figures, again.Points[0].Figures)
		}
	}
	text, err := json.Marshal(Of([]*evaluation.Results{made(1, "old", map[string]string{"rag-1": "PP"})}, 0).Patterns)
	if err != nil || strings.Contains(string(text), "null") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestPatternsOfWhatFails(t *testing.T) {
	old := made(1, "old", map[string]string{"rag-1": "PPP", "rag-2": "PPP", "video-1": "FFF", "video-2": "FPP"})
	cur := made(8, "new", map[string]string{"rag-1": "PPP", "rag-2": "PFM", "video-1": "FFF", "video-2": "PPL"})
	p := Of([]*evaluation.Results{old, cur}, 0).Patterns
	if !slices.Equal(p.Never, []string{"video-1"}) || !slices.Equal(p.Sometimes, []string{"rag-2"}) || !slices.Equal(p.Newly, []string{"rag-2"}) {
		t.Errorf("%+v", p)
	}
	if !slices.Equal(p.Tags, []Share{{"video", 3, 5}, {"rag", 2, 6}}) {
		t.Errorf("tags %+v", p.Tags)
	}
	if !slices.Equal(p.Scorers, []Share{{"latency", 10, 10}, {"gates", 4, 10}}) {
		t.Errorf("scorers %+v", p.Scorers)
	}
	if len(p.Reasons) != 2 || p.Reasons[0].Text != "gates: summary has # sentences, as “…” says" || p.Reasons[0].Tries != 4 || p.Reasons[1].Text != "error: the answer is cut off after # tokens" {
		t.Errorf("reasons %+v", p.Reasons)
	}
}
