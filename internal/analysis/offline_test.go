package analysis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/gates"
)

// result is all that the offline analyser says about a page.
type result struct {
	Facts           commentator.Facts
	FactsAnalysis   commentator.Analysis
	Comment         commentator.Comment
	CommentAnalysis commentator.Analysis
}

// fataler is what *testing.T and *rapid.T share.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func offline(t fataler, o *analysis.Offline, e commentator.Evidence) result {
	t.Helper()
	var r result
	var err error
	if r.Facts, r.FactsAnalysis, err = o.ExtractFacts(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	if r.Comment, r.CommentAnalysis, err = o.Compose(context.Background(), e, r.Facts); err != nil {
		t.Fatal(err)
	}
	return r
}

// Real pages give the comments that were looked at and found good, byte for byte.
func TestOfflineGolden(t *testing.T) {
	for _, page := range pages {
		t.Run(page, func(t *testing.T) {
			isGolden(t, page+".json", offline(t, analysis.NewOffline(data.Default()), evidence(t, page)))
		})
	}
}

// A job between its stages is composed also from facts that another version cut out otherwise.
func TestOfflineComposesFromFactsOfAnEarlierVersion(t *testing.T) {
	o, e := analysis.NewOffline(data.Default()), evidence(t, "wal")
	r := offline(t, o, e)
	for i := range r.Facts.KeyFacts {
		r.Facts.KeyFacts[i].Fact = "“" + r.Facts.KeyFacts[i].Fact
	}
	c, _, err := o.Compose(t.Context(), e, r.Facts)
	if err != nil || len(c.TLDR) != len(r.Comment.TLDR) || len(c.Summary) < len(r.Comment.Summary) {
		t.Errorf("%d and %d sentences, not %d and %d; %v", len(c.TLDR), len(c.Summary), len(r.Comment.TLDR), len(r.Comment.Summary), err)
	}
}

// Articles pass the gates; pages without ten sentences fail by their own lack of text.
func TestOfflineAndGates(t *testing.T) {
	want := map[string][]string{
		"wal": nil, "whentouse": nil, "testing": nil,
		"features": {gates.SummarySentenceCount},
		"sitemap":  {gates.SummarySentenceCount, gates.TLDRSentenceCount, gates.ProjectThemes, gates.ProjectsCount},
	}
	d := data.Default()
	for _, page := range pages {
		t.Run(page, func(t *testing.T) {
			r := offline(t, analysis.NewOffline(d), evidence(t, page))
			var got []string
			for _, f := range gates.Check(r.Comment, d.ThemeNames(), gates.DefaultLimits).Failures {
				got = append(got, f.Gate)
			}
			if diff := cmp.Diff(want[page], got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The same evidence gives the same result, with one analyser or two, however often.
func TestOfflineIsDeterministic(t *testing.T) {
	shared := analysis.NewOffline(data.Default())
	for _, page := range pages {
		e := evidence(t, page)
		first := fmt.Sprintf("%#v", offline(t, shared, e))
		for range 3 {
			if again := fmt.Sprintf("%#v", offline(t, analysis.NewOffline(data.Default()), e)); again != first {
				t.Fatalf("%s: two runs differ", page)
			}
		}
	}
}

// No model is asked, so none is counted; the one search is.
func TestOfflineAnalysis(t *testing.T) {
	r := offline(t, analysis.NewOffline(data.Default()), evidence(t, "testing"))
	a := r.FactsAnalysis
	if a.Provider != "offline" || a.Model != "extractive-1" || a.Usage != (commentator.Usage{}) || a.ToolCalls != 1 || a.PromptName != "" {
		t.Errorf("stage A: %+v", a)
	}
	if len(a.Sources) < 2 || a.Sources[0] != "https://sqlite.org/testing.html" || !strings.HasPrefix(a.Sources[1], "similar_tech.yaml#") {
		t.Errorf("sources: %q", a.Sources)
	}
	if b := r.CommentAnalysis; b.ToolCalls != 0 || b.Usage != (commentator.Usage{}) || b.Model != "extractive-1" {
		t.Errorf("stage B: %+v", b)
	}
}

// A page about a technology doesn't list it as similar to itself.
func TestOfflineLeavesTheSubjectOut(t *testing.T) {
	r := offline(t, analysis.NewOffline(data.Default()), evidence(t, "whentouse"))
	if len(r.Comment.SimilarTech) == 0 {
		t.Fatal("nothing similar was found")
	}
	for _, s := range r.Comment.SimilarTech {
		if strings.HasPrefix(s, "**SQLite** ") {
			t.Errorf("the subject is listed: %s", s)
		}
	}
}

// A context that ended is an error, not half a result.
func TestOfflineCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := analysis.NewOffline(data.Default())
	if _, _, err := o.ExtractFacts(ctx, commentator.Evidence{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stage A: %v", err)
	}
	if _, _, err := o.Compose(ctx, commentator.Evidence{}, commentator.Facts{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stage B: %v", err)
	}
}

// Whatever the evidence: nothing is made up, everything names its snippets, and the counts
// are those that the gates want as soon as the page gives them.
func TestOfflineProperties(t *testing.T) {
	d := data.Default()
	o := analysis.NewOffline(d)
	word := rapid.SampledFrom(strings.Fields("the index Query evaluation of a video SQLite é 中文 **bold** x_1 (see 3.2) e.g. Dr. data pipeline `code` tests \xff"))
	sentence := rapid.Map(rapid.SliceOfN(word, 1, 14), func(w []string) string { return "The " + strings.Join(w, " ") })
	end := rapid.SampledFrom([]string{". ", "! ", "? ", ".\n", "\n\n", " ", "… ", `." `})
	content := rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		for range rapid.IntRange(0, 8).Draw(t, "sentences") {
			b.WriteString(sentence.Draw(t, "sentence") + end.Draw(t, "end"))
		}
		return b.String()
	})
	rapid.Check(t, func(t *rapid.T) {
		e := commentator.Evidence{Coverage: commentator.CoverageFull, Sources: []commentator.Source{{URL: "https://example.org/", Title: rapid.String().Draw(t, "title")}}}
		for i := range rapid.IntRange(0, 8).Draw(t, "snippets") {
			c := rapid.OneOf(content, rapid.String()).Draw(t, "content")
			e.Snippets = append(e.Snippets, commentator.Snippet{ID: fmt.Sprintf("s%d", i+1), Content: c})
		}
		r := offline(t, o, e)
		for _, f := range r.Facts.KeyFacts {
			for _, id := range f.SupportedBy {
				if !holds(e, f.Fact, id) {
					t.Fatalf("%s doesn't hold %q", id, f.Fact)
				}
			}
			if len(f.SupportedBy) == 0 {
				t.Fatalf("nothing supports %q", f.Fact)
			}
		}
		c := r.Comment
		sentences := append(append([]string{}, c.TLDR...), c.Summary...)
		for _, p := range c.Projects {
			_, text, ok := strings.Cut(p, "** — ")
			if !ok {
				t.Fatalf("bullet %q", p)
			}
			sentences = append(sentences, text)
		}
		for _, s := range sentences {
			if !holds(e, s) {
				t.Fatalf("no snippet holds %q", s)
			}
		}
		facts := len(r.Facts.KeyFacts)
		if (len(c.Summary) >= 10) != (facts >= 10) || len(c.Summary) > 15 || len(c.TLDR) != min(3, facts) || len(c.Projects) > 5 || len(c.SimilarTech) > 8 {
			t.Fatalf("%d facts give %d, %d, %d, %d", facts, len(c.TLDR), len(c.Summary), len(c.Projects), len(c.SimilarTech))
		}
		for _, f := range gates.Check(c, d.ThemeNames(), gates.DefaultLimits).Failures {
			if f.Gate == gates.SentenceForm || f.Gate == gates.ProjectsFormat || f.Gate == gates.SimilarTechCount {
				t.Fatalf("%+v in %q", f, c)
			}
		}
	})
}
