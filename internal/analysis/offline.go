package analysis

import (
	"context"
	"fmt"
	"strings"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/commentator"
)

var _ commentator.Analyser = (*Offline)(nil)

// What Offline calls itself in commentator.Analysis.
const (
	ProviderOffline = "offline"
	ModelExtractive = "extractive-1"
)

// How many sentences the offline analyser chooses.
const (
	maxFacts   = 20
	tldrCount  = 3
	summaryMin = 10
	summaryMax = 15

	maxSimilar = 5
	queryWords = 8
)

// Offline is an extractive analyser: every sentence it returns is a sentence of the
// evidence, white space aside. It needs no model, key or network, is deterministic, and
// is safe for concurrent use. A page with fewer than ten sentences gives a shorter
// summary, which the gates then refuse.
type Offline struct {
	index  *index
	themes []themeMatcher
}

// NewOffline returns an analyser for the themes and the index of d.
func NewOffline(d *data.Data) *Offline {
	return &Offline{index: newIndex(d.Tech), themes: newThemeMatchers(d.Themes)}
}

// ExtractFacts chooses the sentences that say most about the page, and looks similar
// technologies up. It fails only when ctx has ended.
func (o *Offline) ExtractFacts(ctx context.Context, e commentator.Evidence) (commentator.Facts, commentator.Analysis, error) {
	if err := ctx.Err(); err != nil {
		return commentator.Facts{}, commentator.Analysis{}, fmt.Errorf("extract facts: %w", err)
	}
	d := newDocument(e)
	f := commentator.Facts{KeyFacts: []commentator.Fact{}, Unknowns: unknowns(e), CoverageAssessment: assess(e, d)}
	for _, i := range d.best(maxFacts, func(int) bool { return true }) {
		f.KeyFacts = append(f.KeyFacts, commentator.Fact{Fact: d.lines[i].text, SupportedBy: d.lines[i].snippets})
	}

	a := analysisOf(e)
	if query := d.topics(queryWords); len(query) > 0 {
		a.ToolCalls++
		for _, t := range o.index.call(ctx, strings.Join(query, " ")) {
			if len(f.Related) < maxSimilar && !d.subject(t.Name) {
				f.Related = append(f.Related, t.Name)
				a.Sources = append(a.Sources, sourceOf(t))
			}
		}
	}
	return f, a, nil
}

// Compose builds the comment: tldr and summary from the facts, project bullets from all
// sentences, similar tech from what stage A found.
func (o *Offline) Compose(ctx context.Context, e commentator.Evidence, f commentator.Facts) (commentator.Comment, commentator.Analysis, error) {
	if err := ctx.Err(); err != nil {
		return commentator.Comment{}, commentator.Analysis{}, fmt.Errorf("compose comment: %w", err)
	}
	d := newDocument(e)
	facts := map[string]bool{}
	for _, fact := range f.KeyFacts {
		facts[fact.Fact] = true
	}
	found := 0
	for _, l := range d.lines {
		if facts[l.text] {
			found++
		}
	}
	// A version that cut sentences otherwise may have found the facts: then any sentence will do.
	isFact := func(i int) bool { return facts[d.lines[i].text] || found < len(facts) }

	tldr := d.best(tldrCount, isFact)
	inTLDR := map[int]bool{}
	if len(facts) >= tldrCount+summaryMin { // enough to say nothing twice
		for _, i := range tldr {
			inTLDR[i] = true
		}
	}
	summary := d.best(summaryMax, func(i int) bool { return isFact(i) && !inTLDR[i] })

	c := commentator.Comment{
		TLDR: d.texts(tldr), Summary: d.texts(summary), Projects: d.projects(o.themes), SimilarTech: []string{},
	}
	a := analysisOf(e)
	for _, name := range f.Related {
		if t, ok := o.index.entry(name); ok {
			c.SimilarTech = append(c.SimilarTech, "**"+t.Name+"** — "+t.Description)
			a.Sources = append(a.Sources, sourceOf(t))
		}
	}
	return c, a, nil
}

func analysisOf(e commentator.Evidence) commentator.Analysis {
	return commentator.Analysis{Provider: ProviderOffline, Model: ModelExtractive, Sources: sourceURLs(e)}
}

func sourceURLs(e commentator.Evidence) []string {
	var list []string
	for _, s := range e.Sources {
		list = append(list, s.URL)
	}
	return list
}

// unknowns says what the evidence lacks.
func unknowns(e commentator.Evidence) []string {
	list := []string{}
	switch e.Coverage {
	case commentator.CoveragePartial:
		list = append(list, "What the unread part of the page says.")
	case commentator.CoverageFailed:
		list = append(list, "What the page says.")
	}
	return append(list, e.Errors...)
}

func assess(e commentator.Evidence, d *document) string {
	return fmt.Sprintf("Coverage %s: %d snippets with %d sentences that can stand alone.", e.Coverage, len(e.Snippets), len(d.lines))
}
