package reports

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/net/html"

	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/compare"
	"github.com/technoshare/commentator/internal/evaluation/trend"
	"github.com/technoshare/commentator/test/golden"
)

// hostile is what a person may call an example, a tag, a prompt.
const hostile = `<script>alert("1")</script>|::error::%,*x*`

func sample(id string, passed ...int) *compare.Sample {
	s := &compare.Sample{
		Format: compare.Format, EvaluationID: id, Revision: "0123456789abcdef", Analyser: evaluation.AnalyserCassette, Repetitions: 3,
		Dataset: evaluation.DatasetRef{Name: "technoshare_eval", Version: "1", Hash: strings.Repeat("0d", 32), Examples: len(passed)},
		Prompts: []evaluation.PromptRef{{Stage: "stage_a", Name: "extract", SHA256: strings.Repeat("a1", 32)}},
		Models:  []evaluation.ModelRef{{Stage: "stage_a", Provider: "openai", Model: "gpt-4o"}, {Stage: "stage_b", Provider: "openai", Model: "gpt-4o"}},
	}
	for i, n := range passed {
		cost := 0.01 * float64(len(id))
		s.Examples = append(s.Examples, compare.Example{
			ID: fmt.Sprintf("example-%02d", i), Hash: "h", Tags: []string{"rag"}, Passed: n, Counted: 3,
			Scorers: map[string]compare.Count{"gates": {n, 3}, "schema_validity": {3, 3}}, LatencySeconds: float64(len(id)), CostUSD: &cost,
		})
	}
	return s
}

func gate() compare.Config {
	cfg := compare.Defaults
	cfg.Threshold = compare.DefaultThreshold
	return cfg
}

// failed has everything that a report can show.
func failed() *compare.Result {
	base, cand := sample("base", times(40, 3)...), sample("candidate", append(append(times(9, 0), 2), times(30, 3)...)...)
	base.Examples[20].Passed = 1
	cand.Examples[0].ID, base.Examples[0].ID = hostile, hostile
	cand.Examples[5].Tags = []string{hostile}
	cand.Examples[39].Hash = "changed"
	cand.Examples[38].Counted, cand.Examples[38].Passed, cand.Examples[38].Lost = 2, 2, 1
	return compare.Compare(base, cand, gate())
}

func times(n, k int) (out []int) {
	for range n {
		out = append(out, k)
	}
	return out
}

func TestReportsLookAsTheyDid(t *testing.T) {
	r := failed()
	if r.Verdict != compare.Fail {
		t.Fatalf("%s: %q", r.Verdict, r.Reasons)
	}
	golden.Equal(t, filepath.Join("testdata", "fail.txt"), []byte(Text(r)))
	golden.Equal(t, filepath.Join("testdata", "fail.md"), []byte(Markdown(r)))
	golden.Equal(t, filepath.Join("testdata", "fail.annotations"), []byte(Annotations(r)))
	junit, err := JUnit(r)
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, filepath.Join("testdata", "fail.xml"), junit)
	few := compare.Compare(sample("base", times(10, 3)...), sample("candidate", times(10, 3)...), gate())
	golden.Equal(t, filepath.Join("testdata", "inconclusive.annotations"), []byte(Annotations(few)))
	golden.Equal(t, filepath.Join("testdata", "trend.txt"), []byte(TrendText(trended())))
	golden.Equal(t, filepath.Join("testdata", "trend.md"), []byte(TrendMarkdown(trended())))
}

// Versions with the same prompts are told apart by their models, and a change of the model is drawn.
func TestATrendShowsAChangeOfTheModel(t *testing.T) {
	result := func(day int, model string) *evaluation.Results {
		r := &evaluation.Results{
			ID: fmt.Sprint(day), EndedAt: time.Date(2026, 11, day, 5, 0, 0, 0, time.UTC), Analyser: evaluation.AnalyserLive,
			Prompts: []evaluation.PromptRef{{Stage: "stage_a", Name: "extract", SHA256: strings.Repeat("a1", 32)}},
			Models:  []evaluation.ModelRef{{Stage: "stage_a", Provider: "openai", Model: model}},
		}
		r.Tries = []evaluation.Try{{Example: "one", Repetition: 1, Passed: true, Error: evaluation.ErrorNone}}
		return r
	}
	changed := trend.Of([]*evaluation.Results{result(1, "gpt-4o"), result(2, "gpt-5")}, 0)
	same := trend.Of([]*evaluation.Results{result(1, "gpt-4o"), result(2, "gpt-4o")}, 0)
	for _, name := range []string{"a1a1a1a1 gpt-4o (live)", "a1a1a1a1 gpt-5 (live)"} {
		if text := TrendText(changed); strings.Count(text, name) != 2 {
			t.Errorf("%s is not in both tables:\n%s", name, text)
		}
		if !strings.Contains(TrendSVG(changed), ">"+name+"<") {
			t.Errorf("%s is not in the plot", name)
		}
	}
	if text := TrendText(same); strings.Contains(text, "gpt") {
		t.Errorf("one version needs no model:\n%s", text)
	}
	const mark = `class="mark"`
	if n, m := strings.Count(TrendSVG(changed), mark), strings.Count(TrendSVG(same), mark); n != 1 || m != 0 {
		t.Errorf("%d lines where the model changes, %d where it does not", n, m)
	}
}

// What models say reaches a terminal as text.
func TestReasonsAreTextToATerminal(t *testing.T) {
	of := trended()
	of.Patterns.Reasons = []trend.Reason{{Text: "error: \x1b]0;title\x07\x1b[2J\u009b31m\nPASS", Tries: 1, Examples: []string{"one"}}}
	for name, text := range map[string]string{"text": TrendText(of), "markdown": TrendMarkdown(of)} {
		if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) || !strings.Contains(text, "31m PASS") {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// A page shows its plots, and asks for nothing from anywhere.
func TestPagesNeedNothingElse(t *testing.T) {
	page, err := HTML(failed())
	if err != nil {
		t.Fatal(err)
	}
	over, err := TrendHTML(trended())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		page  []byte
		plots int
	}{{"comparison", page, 3}, {"trend", over, 1}} {
		root, err := html.Parse(bytes.NewReader(c.page))
		if err != nil {
			t.Fatal(err)
		}
		plots, text := 0, ""
		for n := range root.Descendants() {
			switch {
			case n.Type == html.TextNode:
				text += n.Data
			case n.Type == html.ElementNode && n.Data == "svg":
				plots++
			case n.Type == html.ElementNode && (n.Data == "script" || n.Data == "link" || n.Data == "img" || n.Data == "iframe"):
				t.Errorf("%s: there is an element %s", c.name, n.Data)
			}
			for _, a := range n.Attr {
				if a.Key == "src" || a.Key == "href" || strings.Contains(a.Val, "url(") {
					t.Errorf("%s: %s=%q asks for something", c.name, a.Key, a.Val)
				}
			}
		}
		if plots != c.plots || !strings.Contains(text, hostile) {
			t.Errorf("%s: %d plots, want %d; the names are shown as they are: %v", c.name, plots, c.plots, strings.Contains(text, hostile))
		}
	}
}

func TestXMLIsWellFormed(t *testing.T) {
	junit, err := JUnit(failed())
	if err != nil {
		t.Fatal(err)
	}
	one := trended()
	one.Points = one.Points[:1]
	none := &trend.Trend{}
	for name, text := range map[string]string{"JUnit": string(junit), "SVG": TrendSVG(trended()), "SVG of one point": TrendSVG(one), "SVG of none": TrendSVG(none)} {
		dec := xml.NewDecoder(strings.NewReader(text))
		for {
			_, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, text)
			}
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s: something is no number:\n%s", name, text)
		}
	}
}

// What CI counts is what was compared.
func TestJUnitCounts(t *testing.T) {
	for _, c := range []struct {
		name                      string
		result                    *compare.Result
		failures, errors, skipped int
	}{
		{"FAIL", failed(), 11, 0, 1},
		{"PASS", compare.Compare(sample("base", times(40, 3)...), sample("candidate", append(times(39, 3), 2)...), gate()), 0, 0, 0},
		{"INCONCLUSIVE", compare.Compare(sample("base", times(10, 3)...), sample("candidate", times(10, 3)...), gate()), 0, 1, 0},
	} {
		text, err := JUnit(c.result)
		if err != nil {
			t.Fatal(err)
		}
		var got junitSuites
		if err := xml.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		s := got.Suites[0]
		if s.Failures != c.failures || s.Errors != c.errors || s.Skipped != c.skipped || s.Tests != len(s.Cases) || s.Tests != 1+c.result.Pairs+len(c.result.Excluded) {
			t.Errorf("%s: %d failures, %d errors, %d skipped of %d", c.name, s.Failures, s.Errors, s.Skipped, s.Tests)
		}
	}
}

// GitHub reads a command up to the end of the line, and takes ten of a kind.
func TestAnnotationsAreCommands(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(Annotations(failed())), "\n")
	for _, l := range lines {
		if !strings.HasPrefix(l, "::error title=") || strings.Count(l, "::") < 2 || strings.Contains(strings.TrimPrefix(l, "::error title=")[:10], ":") {
			t.Errorf("%q", l)
		}
	}
	if len(lines) != maxAnnotations {
		t.Errorf("%d annotations", len(lines))
	}
}

func trended() *trend.Trend {
	cost := 0.012
	result := func(n int, prompt string, passed ...bool) *evaluation.Results {
		r := &evaluation.Results{
			ID: fmt.Sprintf("%08d-0000", n), EndedAt: time.Date(2026, 11, n, 5, 0, 0, 0, time.UTC), Revision: fmt.Sprintf("%040d", n), Analyser: evaluation.AnalyserLive,
			Dataset: evaluation.DatasetRef{Name: "links", Examples: len(passed)}, Prompts: []evaluation.PromptRef{{Name: "extract", SHA256: strings.Repeat(prompt, 32)}}, Repetitions: 1,
			Scorers: []evaluation.ScorerInfo{{Name: "gates", Required: true}},
		}
		for i, ok := range passed {
			try := evaluation.Try{
				Example: fmt.Sprintf("example-%d", i), Tags: []string{hostile}, Repetition: 1, Passed: ok, Error: evaluation.ErrorNone, LatencySeconds: float64(n) / 10, CostUSD: &cost,
				Scores: []evaluation.Score{{Name: "gates", Pass: ok, Reason: "summary has 9 sentences"}},
			}
			if i == 3 {
				try.Passed, try.Error, try.Scores, try.CostUSD = false, evaluation.ErrorInfrastructure, nil, nil
			}
			r.Tries = append(r.Tries, try)
		}
		return r
	}
	return trend.Of([]*evaluation.Results{result(9, "b2", true, false, false, true), result(2, "a1", true, true, true, true), result(16, "b2", true, true, false, false)}, 0)
}
