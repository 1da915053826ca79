package gates

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/technoshare/commentator/internal/commentator"
	"pgregory.net/rapid"
)

var themes = []string{"LLMOps & Evaluation", "RAG / Retrieval Systems", "Agentic Workflows"}

func good() commentator.Comment {
	return commentator.Comment{
		TLDR:    sentences("Point", 3),
		Summary: sentences("Statement", 12),
		Projects: []string{
			"**LLMOps & Evaluation** — It measures answers.",
			"**rag / retrieval systems** — It ranks passages.",
			"**General** — It is worth a look.",
		},
		SimilarTech: []string{"**DuckDB** — An analytical database."},
	}
}

func sentences(word string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s %d holds.", word, i+1)
	}
	return list
}

// Each gate fails for its own reason alone, and says so in a sentence.
func TestCheck(t *testing.T) {
	cases := map[string]struct {
		change func(*commentator.Comment)
		want   []commentator.GateFailure
	}{
		"a good comment passes":         {func(*commentator.Comment) {}, nil},
		"no similar tech is fine":       {func(c *commentator.Comment) { c.SimilarTech = nil }, nil},
		"ten sentences are enough":      {func(c *commentator.Comment) { c.Summary = sentences("S", 10) }, nil},
		"fifteen sentences are allowed": {func(c *commentator.Comment) { c.Summary = sentences("S", 15) }, nil},
		"nine sentences": {
			func(c *commentator.Comment) { c.Summary = sentences("S", 9) },
			[]commentator.GateFailure{{Gate: SummarySentenceCount, Message: "The summary has 9 sentences; 10 to 15 are needed."}},
		},
		"sixteen sentences": {
			func(c *commentator.Comment) { c.Summary = sentences("S", 16) },
			[]commentator.GateFailure{{Gate: SummarySentenceCount, Message: "The summary has 16 sentences; 10 to 15 are needed."}},
		},
		"a tldr of one": {
			func(c *commentator.Comment) { c.TLDR = c.TLDR[:1] },
			[]commentator.GateFailure{{Gate: TLDRSentenceCount, Message: "The tldr has 1 sentence; exactly 3 are needed."}},
		},
		"one theme": {
			func(c *commentator.Comment) { c.Projects[1] = "**General** — It ranks." },
			[]commentator.GateFailure{{Gate: ProjectThemes, Message: "1 project bullet of 3 names one of our themes; at least 2 are needed."}},
		},
		"two bullets": {
			func(c *commentator.Comment) { c.Projects = c.Projects[:2] },
			[]commentator.GateFailure{{Gate: ProjectsCount, Message: "There are 2 project bullets; 3 to 8 are needed."}},
		},
		"one bullet": {
			func(c *commentator.Comment) { c.Projects = c.Projects[1:2] },
			[]commentator.GateFailure{
				{Gate: ProjectThemes, Message: "1 project bullet of 1 names one of our themes; at least 2 are needed."},
				{Gate: ProjectsCount, Message: "There is 1 project bullet; 3 to 8 are needed."},
			},
		},
		"sentences end before quotation marks and brackets, and in all scripts": {
			func(c *commentator.Comment) {
				c.TLDR = []string{`It says "stop."`, "It works (mostly.)", "水位は高い。"}
				c.Summary[0], c.Summary[1] = "“It rose.”", "It rose. (See below.)"
			}, nil,
		},
		"a bullet without theme": {
			func(c *commentator.Comment) { c.Projects[2] = "General: it is worth a look." },
			[]commentator.GateFailure{{Gate: ProjectsFormat, Message: `projects[2] is not of the form "**Theme** — text".`}},
		},
		"a hyphen for a dash": {
			func(c *commentator.Comment) { c.Projects[2] = "**General** - it is worth a look." },
			[]commentator.GateFailure{{Gate: ProjectsFormat, Message: `projects[2] is not of the form "**Theme** — text".`}},
		},
		"nine technologies": {
			func(c *commentator.Comment) { c.SimilarTech = sentences("Tech", 9) },
			[]commentator.GateFailure{{Gate: SimilarTechCount, Message: "There are 9 similar technologies; at most 8 are allowed."}},
		},
		"unfinished sentences": {
			func(c *commentator.Comment) { c.TLDR[0] = "No end"; c.SimilarTech[0] = "A\nb." },
			[]commentator.GateFailure{{Gate: SentenceForm, Message: "tldr[0], similar_tech[0] are not one line that ends with . ! or ?"}},
		},
		"no end before a bracket": {
			func(c *commentator.Comment) { c.TLDR[0] = "No end (really)" },
			[]commentator.GateFailure{{Gate: SentenceForm, Message: "tldr[0] is not one line that ends with . ! or ?"}},
		},
		"only punctuation": {
			func(c *commentator.Comment) { c.Summary[0] = " ..." },
			[]commentator.GateFailure{{Gate: SentenceForm, Message: "summary[0] is not one line that ends with . ! or ?"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := good()
			tc.change(&c)
			got := Check(c, themes, DefaultLimits)
			want := commentator.GateReport{Passed: len(tc.want) == 0, Total: 7, Failures: append([]commentator.GateFailure{}, tc.want...)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An empty comment fails each gate that demands something.
func TestCheckEmpty(t *testing.T) {
	var names []string
	for _, f := range Check(commentator.Comment{}, themes, DefaultLimits).Failures {
		names = append(names, f.Gate)
	}
	want := []string{SummarySentenceCount, TLDRSentenceCount, ProjectThemes, ProjectsCount}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

// Whatever the comment, the report agrees with the counts, is stable, and leaves its input alone.
func TestCheckProperties(t *testing.T) {
	line := rapid.OneOf(
		rapid.SampledFrom([]string{"", "One.", "Two!", "Three?", "No end", "a\nb.", "**General** — x.", "**Agentic Workflows** — y.", "**** — z."}),
		rapid.StringN(0, 20, 80),
	)
	rapid.Check(t, func(t *rapid.T) {
		c := commentator.Comment{
			TLDR:        rapid.SliceOfN(line, 0, 5).Draw(t, "tldr"),
			Summary:     rapid.SliceOfN(line, 0, 18).Draw(t, "summary"),
			Projects:    rapid.SliceOfN(line, 0, 10).Draw(t, "projects"),
			SimilarTech: rapid.SliceOfN(line, 0, 10).Draw(t, "similar"),
		}
		before := fmt.Sprintf("%q", c)
		r := Check(c, themes, DefaultLimits)
		if diff := cmp.Diff(r, Check(c, themes, DefaultLimits)); diff != "" {
			t.Fatalf("two runs differ: %s", diff)
		}
		if fmt.Sprintf("%q", c) != before {
			t.Fatal("the comment was changed")
		}
		if r.Passed != (len(r.Failures) == 0) || r.Total != len(all) {
			t.Fatalf("inconsistent report %+v", r)
		}
		failed := func(gate string) bool {
			return slices.ContainsFunc(r.Failures, func(f commentator.GateFailure) bool { return f.Gate == gate })
		}
		expect := map[string]bool{
			SummarySentenceCount: len(c.Summary) < 10 || len(c.Summary) > 15,
			TLDRSentenceCount:    len(c.TLDR) != 3,
			ProjectsCount:        len(c.Projects) < 3 || len(c.Projects) > 8,
			SimilarTechCount:     len(c.SimilarTech) > 8,
		}
		for gate, want := range expect {
			if failed(gate) != want {
				t.Fatalf("%s: failed = %v, want %v", gate, failed(gate), want)
			}
		}
		for _, f := range r.Failures {
			if f.Message == "" || strings.Contains(f.Message, "\n") {
				t.Fatalf("%s: message %q is not one line", f.Gate, f.Message)
			}
		}
	})
}
