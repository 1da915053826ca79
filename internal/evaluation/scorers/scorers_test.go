package scorers_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/scorers"
	"github.com/technoshare/commentator/internal/gates"
	"github.com/technoshare/commentator/internal/render"
)

var themes = []string{"RAG / Retrieval Systems", "Agentic Workflows"}

// good is a try that every scorer passes.
func good() evaluation.Made {
	cost := 0.02
	m := evaluation.Made{
		Example: evaluation.Example{
			ID: "one", ExpectedTheme: "Agentic Workflows",
			Recorded: commentator.Evidence{Snippets: []commentator.Snippet{{ID: "s1", Content: "Hybrid search merges 2 rankings by reciprocal rank fusion."}}},
		},
		Facts: commentator.Facts{
			KeyFacts: []commentator.Fact{{Fact: "Hybrid search merges 2 rankings.", SupportedBy: []string{"s1"}}}, Unknowns: []string{}, CoverageAssessment: "All.",
		},
		Comment: commentator.Comment{
			TLDR: slices.Repeat([]string{"A sentence."}, 3), Summary: slices.Repeat([]string{"A sentence."}, 10), SimilarTech: []string{},
			Projects: []string{"**Agentic Workflows** — Text.", "**RAG / Retrieval Systems** — Text.", "**General** — Text."},
		},
		Themes: themes, Limits: gates.DefaultLimits, LatencySeconds: 1.5, CostUSD: &cost,
	}
	return finished(m)
}

func finished(m evaluation.Made) evaluation.Made {
	m.Gates = gates.Check(m.Comment, themes, m.Limits)
	m.Rendered = render.Slack(m.Comment)
	return m
}

func scoreOf(t *testing.T, name string, o scorers.Options, m evaluation.Made) (evaluation.Score, bool) {
	t.Helper()
	list, err := scorers.Select([]string{name}, o)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d scorers %s, %v", len(list), name, err)
	}
	s, ok, err := list[0].Score(t.Context(), m)
	if err != nil || (ok && s.Name != name) {
		t.Fatalf("score %+v, %v", s, err)
	}
	return s, ok
}

func TestAGoodCommentPassesEveryScorer(t *testing.T) {
	for _, name := range scorers.Names() {
		s, ok := scoreOf(t, name, scorers.Options{MaxLatency: 2, MaxCost: 0.03}, good())
		if !ok || !s.Pass || s.Reason != "" {
			t.Errorf("%s: %+v, %v", name, s, ok)
		}
	}
}

func TestEachScorerFindsWhatItIsFor(t *testing.T) {
	for _, tc := range []struct {
		scorer string
		damage func(*evaluation.Made)
		value  float64
		why    string
	}{
		{scorers.SchemaValidity, func(m *evaluation.Made) { m.Facts.KeyFacts[0].SupportedBy = nil }, 0, "stage_a_facts: /key_facts/0/supported_by_snippet_ids"},
		{scorers.SchemaValidity, func(m *evaluation.Made) { m.Comment.TLDR = nil }, 0, "stage_b_result: /tldr"},
		{scorers.TLDRSentenceCount, func(m *evaluation.Made) { m.Comment.TLDR = m.Comment.TLDR[1:] }, 0, "2 sentences; exactly 3"},
		{scorers.SummarySentenceCount, func(m *evaluation.Made) { m.Comment.Summary = m.Comment.Summary[1:] }, 0, "9 sentences; 10 to 15"},
		{scorers.ProjectsThemePrefix, func(m *evaluation.Made) { m.Comment.Projects[1] = "**Gardening** — Text." }, 0, "projects[1]"},
		{scorers.ProjectsThemePrefix, func(m *evaluation.Made) { m.Comment.Projects = nil }, 0, "no project bullets"},
		{scorers.ExpectedTheme, func(m *evaluation.Made) { m.Example.ExpectedTheme = "Multimodal / Video AI" }, 0, "the bullets name Agentic Workflows, RAG / Retrieval Systems"},
		{scorers.Gates, func(m *evaluation.Made) { m.Comment.Projects = m.Comment.Projects[2:] }, 0, "at least 2 are needed"},
		{scorers.FactsSupported, func(m *evaluation.Made) { m.Facts.KeyFacts[0].SupportedBy = []string{"s9"} }, 0, "cites s9, which is not there"},
		{scorers.FactsSupported, func(m *evaluation.Made) { m.Facts.KeyFacts[0].Fact = "Hybrid search merges 3 rankings." }, 0, "says 3"},
		{scorers.FactsSupported, func(m *evaluation.Made) { m.Facts.KeyFacts[0].Fact = "Bananas grow on islands with volcanoes." }, 0, "few words"},
		{scorers.FactsSupported, func(m *evaluation.Made) { m.Facts.KeyFacts = nil }, 0, "There are no facts"},
		{scorers.Latency, func(m *evaluation.Made) { m.LatencySeconds = 3 }, 3, "at most 2.00 s"},
		{scorers.Cost, func(m *evaluation.Made) { *m.CostUSD = 0.05 }, 0.05, "at most 0.0300"},
	} {
		m := good()
		tc.damage(&m)
		s, ok := scoreOf(t, tc.scorer, scorers.Options{MaxLatency: 2, MaxCost: 0.03}, finished(m))
		if !ok || s.Pass || s.Value != tc.value || !strings.Contains(s.Reason, tc.why) {
			t.Errorf("%s says %+v, want %g because of %q", tc.scorer, s, tc.value, tc.why)
		}
	}
}

func TestSlackFormattingLooksAtTheText(t *testing.T) {
	for _, tc := range []struct{ old, new, why string }{
		{"\n\n\n*Summary*", "\n\n*Summary*", "3 sections"},
		{"*Projects*", "*Project*", "not *Projects*"},
		{"2) A", "3) A", "Line 2 of section *Summary*"},
		{"• *Agentic Workflows*", "• **Agentic Workflows**", "Markdown's **"},
		{"• *N/A*", "- *N/A*", `does not begin with "• "`},
	} {
		m := good()
		m.Rendered = strings.Replace(m.Rendered, tc.old, tc.new, 1)
		if s, _ := scoreOf(t, scorers.SlackFormatting, scorers.Options{}, m); s.Pass || !strings.Contains(s.Reason, tc.why) {
			t.Errorf("%q for %q: %+v", tc.new, tc.old, s)
		}
	}
}

func TestSlackFormattingLetsCodeHaveStars(t *testing.T) {
	for _, text := range []string{"Call `f(**kwargs)` with `g(**more)`.", "It takes **kwargs.", "``` a ** b ** c ``` is code.", "2 ** 10 and 3 ** 4 are numbers."} {
		m := good()
		m.Comment.TLDR[0] = text
		if s, _ := scoreOf(t, scorers.SlackFormatting, scorers.Options{}, finished(m)); !s.Pass {
			t.Errorf("%q: %+v", text, s)
		}
	}
	for _, text := range []string{"It is **not *that* fast**.", "`code` and **not *that* fast**."} {
		m := good()
		m.Comment.TLDR[0] = text
		if s, _ := scoreOf(t, scorers.SlackFormatting, scorers.Options{}, finished(m)); s.Pass {
			t.Errorf("%q passes", text)
		}
	}
}

func TestWithoutACommentNothingPassesButWhatWasMeasured(t *testing.T) {
	m := good()
	m.Err, m.Facts, m.Comment = errors.New("nonsense"), commentator.Facts{}, commentator.Comment{}
	m = finished(m)
	for _, name := range scorers.Names() {
		s, ok := scoreOf(t, name, scorers.Options{}, m)
		if measured := name == scorers.Latency || name == scorers.Cost; !ok || s.Pass != measured {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestScorersAreSilentWhereThereIsNothingToSay(t *testing.T) {
	m := good()
	m.Example.ExpectedTheme, m.CostUSD = "", nil
	for _, name := range []string{scorers.ExpectedTheme, scorers.Cost} {
		if s, ok := scoreOf(t, name, scorers.Options{}, m); ok {
			t.Errorf("%s says %+v", name, s)
		}
	}
}

func TestUnknownScorersAreNamedWithTheKnownOnes(t *testing.T) {
	if _, err := scorers.Select([]string{"charm"}, scorers.Options{}); err == nil || !strings.Contains(err.Error(), `no scorer "charm"; there are schema_validity, `) {
		t.Errorf("got %v", err)
	}
	if _, err := scorers.Select([]string{scorers.Judge}, scorers.Options{}); err == nil || !strings.Contains(err.Error(), "OPENAI_API_KEY") {
		t.Errorf("got %v", err)
	}
	list, err := scorers.Select([]string{scorers.Gates, scorers.SchemaValidity}, scorers.Options{})
	if err != nil || len(list) != 2 || list[0].Info().Name != scorers.SchemaValidity {
		t.Errorf("got %v, %v", list, err)
	}
}

// kept are verdicts in memory.
type kept map[string]json.RawMessage

func (k kept) Verdict(_ context.Context, key string) (json.RawMessage, bool, error) {
	text, ok := k[key]
	return text, ok, nil
}

func (k kept) KeepVerdict(_ context.Context, key string, verdict json.RawMessage, _ time.Time) error {
	k[key] = verdict
	return nil
}

func TestAJudgeIsAskedOnceAboutOneComment(t *testing.T) {
	asked := 0
	ask := func(context.Context, commentator.Evidence, commentator.Comment) (scorers.Judgement, error) {
		asked++
		return scorers.Judgement{Faithful: true, Useful: asked == 1, Reason: "why"}, nil
	}
	verdicts := kept{}
	o := scorers.Options{Judge: scorers.NewJudge("m", ask, verdicts, time.Now)}
	for range 2 {
		if s, ok := scoreOf(t, scorers.Judge, o, good()); !ok || !s.Pass || s.Reason != "why" {
			t.Errorf("score %+v", s)
		}
	}
	other := good()
	other.Comment.TLDR[0] = "Another sentence."
	if s, _ := scoreOf(t, scorers.Judge, o, other); s.Pass || asked != 2 {
		t.Errorf("asked %d times, %+v", asked, s)
	}
	o.Judge = scorers.NewJudge("another model", ask, verdicts, time.Now)
	if scoreOf(t, scorers.Judge, o, good()); asked != 3 {
		t.Errorf("asked %d times", asked)
	}
	if info := o.Judge.Info(); info.Judge != "another model" || !info.YesNo {
		t.Errorf("info %+v", info)
	}
}
