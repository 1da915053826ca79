package evaluation_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/test/golden"
)

const fixturePath = "testdata/eval_results.json"

// fixture has two examples: one that passes twice, and one with a bad comment and a dead server.
func fixture() *evaluation.Results {
	cost := 0.0125
	score := func(name string, value float64, pass bool, reason string) evaluation.Score {
		return evaluation.Score{Name: name, Value: value, Pass: pass, Reason: reason}
	}
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	usage := commentator.Usage{Calls: 2, Input: 3200, Output: 900, CacheRead: 1024}
	return &evaluation.Results{
		Schema: evaluation.SchemaVersion,
		ID:     "7f1c2a34-5b6d-4e8f-9a0b-1c2d3e4f5a6b", TraceID: strings.Repeat("ab", 16),
		Dataset:  evaluation.DatasetRef{Name: "technoshare_eval", Version: "1", Hash: strings.Repeat("0d", 32), Examples: 2},
		Analyser: evaluation.AnalyserCassette,
		Prompts: []evaluation.PromptRef{
			{Stage: commentator.StageA, Name: "stage_a_extract_facts", SHA256: strings.Repeat("a1", 32)},
			{Stage: commentator.StageB, Name: "stage_b_compose_reply", SHA256: strings.Repeat("b2", 32)},
		},
		Models: []evaluation.ModelRef{
			{Stage: commentator.StageA, Provider: "openai", Model: "gpt-4o"},
			{Stage: commentator.StageB, Provider: "openai", Model: "gpt-4o"},
		},
		Revision: "0123456789abcdef0123456789abcdef01234567", Repetitions: 2,
		Scorers: []evaluation.ScorerInfo{
			{Name: "schema_validity", Required: true, Unit: "1"},
			{Name: "facts_supported", Required: true, Unit: "1"},
			{Name: "latency", LowerIsBetter: true, Unit: "s"},
		},
		StartedAt: at, EndedAt: at.Add(75 * time.Second),
		Tries: []evaluation.Try{
			{
				Example: "hybrid-search", ExampleHash: strings.Repeat("11", 32), Tags: []string{"rag", "long"}, Repetition: 1,
				TraceID: strings.Repeat("01", 16), Passed: true, Error: evaluation.ErrorNone,
				Scores:         []evaluation.Score{score("schema_validity", 1, true, ""), score("facts_supported", 1, true, ""), score("latency", 2.5, true, "")},
				LatencySeconds: 2.5, Tokens: usage, CostUSD: &cost,
			},
			{
				Example: "hybrid-search", ExampleHash: strings.Repeat("11", 32), Tags: []string{"rag", "long"}, Repetition: 2,
				TraceID: strings.Repeat("02", 16), Passed: true, Error: evaluation.ErrorNone,
				Scores:         []evaluation.Score{score("schema_validity", 1, true, ""), score("facts_supported", 0.95, true, ""), score("latency", 2.25, true, "")},
				LatencySeconds: 2.25, Tokens: usage, CostUSD: &cost,
			},
			{
				Example: "trace-sampling", ExampleHash: strings.Repeat("22", 32), Tags: []string{"llmops"}, Repetition: 1,
				TraceID: strings.Repeat("03", 16), Error: evaluation.ErrorNone,
				Scores:         []evaluation.Score{score("schema_validity", 1, true, ""), score("facts_supported", 0.5, false, "2 of 4 facts are not in the snippets that they cite."), score("latency", 3, true, "")},
				LatencySeconds: 3, Tokens: usage,
			},
			{
				Example: "trace-sampling", ExampleHash: strings.Repeat("22", 32), Tags: []string{"llmops"}, Repetition: 2,
				TraceID: strings.Repeat("04", 16), Error: evaluation.ErrorInfrastructure, Scores: []evaluation.Score{},
				Message: "model server 127.0.0.1:9 can't be reached; check OPENAI_BASE_URL", CostUSD: new(float64),
			},
		},
	}
}

func TestResultsFileIsTheFixture(t *testing.T) {
	path := filepath.Join(t.TempDir(), evaluation.ResultsFile)
	if err := fixture().Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, fixturePath, got) // other versions read this form
	r, err := evaluation.ParseResults(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fixture(), r); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestInfrastructureErrorsAreLeftOutOfRates(t *testing.T) {
	s := fixture().Summary()
	want := evaluation.Summary{Total: 2, Passed: 1, Failed: 1, PassRate: 0.5, InfrastructureErrors: 1, CostUSD: 0.025, CostUnknown: 1}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	second := fixture().ByExample()[1]
	if rate, ok := second.PassRate(); rate != 0 || !ok {
		t.Errorf("pass rate %v, %v", rate, ok)
	}
	if mean, ok := second.Mean("facts_supported"); mean != 0.5 || !ok {
		t.Errorf("mean %v, %v", mean, ok)
	}
	second.Tries = second.Tries[1:]
	if _, ok := second.PassRate(); ok {
		t.Error("an example of which nothing is known has a pass rate")
	}
}

func TestBrokenResultsAreRefusedWithThePlace(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(*evaluation.Results)
		want   string
	}{
		"schema":       {func(r *evaluation.Results) { r.Schema = 99 }, "schema_version is 99"},
		"id":           {func(r *evaluation.Results) { r.ID = "x" }, "evaluation_id"},
		"hash":         {func(r *evaluation.Results) { r.Dataset.Hash = "" }, "dataset.hash"},
		"analyser":     {func(r *evaluation.Results) { r.Analyser = "guess" }, `analyser "guess"`},
		"twice":        {func(r *evaluation.Results) { r.Tries[1].Repetition = 1 }, `tries[1] (example "hybrid-search", repetition 1) is there twice`},
		"missing":      {func(r *evaluation.Results) { r.Tries = r.Tries[:3] }, "`stopped` does not say why"},
		"repetition":   {func(r *evaluation.Results) { r.Tries[1].Repetition = 3 }, "not within 1 to 2"},
		"passed":       {func(r *evaluation.Results) { r.Tries[2].Passed = true }, "contradict"},
		"unknown":      {func(r *evaluation.Results) { r.Tries[0].Scores[0].Name = "charm" }, `score "charm" is of no scorer`},
		"nan":          {func(r *evaluation.Results) { r.Tries[0].Scores[2].Value = math.NaN() }, `score "latency" is NaN`},
		"kind":         {func(r *evaluation.Results) { r.Tries[0].Error = "bad luck" }, `error_kind "bad luck"`},
		"other hash":   {func(r *evaluation.Results) { r.Tries[1].ExampleHash = strings.Repeat("33", 32) }, "not that of the other repetitions"},
		"infra scores": {func(r *evaluation.Results) { r.Tries[3].Scores = r.Tries[2].Scores }, "there can be no scores"},
	} {
		t.Run(name, func(t *testing.T) {
			r := fixture()
			tc.damage(r)
			if err := r.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
}

func TestWhatIsNoResultsFileIsSaidSo(t *testing.T) {
	if _, err := evaluation.ParseResults([]byte(`{"schema_version": "one"}`)); err == nil || !strings.Contains(err.Error(), "this is no eval_results.json") {
		t.Errorf("got %v", err)
	}
}
