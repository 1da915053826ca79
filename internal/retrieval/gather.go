package retrieval

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/technoshare/commentator/internal/commentator"
)

// fullChars is how much text, in characters, evidence needs to count as full coverage.
// Ten sentences of ordinary length, the least that a summary is made of, are about that.
const fullChars = 1000

// limits bound the evidence of a link.
type limits struct {
	snippets int // in all
	chars    int // of each
}

// wanted is how many characters of a document are worth reading: not all of them end in a
// snippet.
func (l limits) wanted() int { return 2 * l.snippets * l.chars }

// gathering puts the evidence of a link together, from one document or several.
type gathering struct {
	limits limits
	e      commentator.Evidence
	chars  int
}

func gather(adapter string, l limits) *gathering {
	return &gathering{limits: l, e: commentator.Evidence{
		Adapter: adapter, Sources: []commentator.Source{}, Snippets: []commentator.Snippet{}, Errors: []string{},
	}}
}

// left is how many snippets may still be added.
func (g *gathering) left() int { return g.limits.snippets - len(g.e.Snippets) }

// maxTitle is how many characters of a title are kept: it is part of what models are asked.
const maxTitle = 300

func (g *gathering) source(address, title string, at time.Time) {
	title = cutWords(title, maxTitle)[0]
	g.e.Sources = append(g.e.Sources, commentator.Source{URL: address, Title: title, FetchedAt: at})
}

// fact adds a sentence as a snippet of its own, if there is room.
func (g *gathering) fact(sentence, address string) {
	if sentence != "" && g.left() > 0 {
		g.add(cutWords(sentence, g.limits.chars)[0], address)
	}
}

// text adds the sentences of blocks, at most so many snippets, and reports whether the text
// went on.
func (g *gathering) text(blocks []string, address string, most int) (cut bool) {
	snippets, cut := makeSnippets(blocks, address, max(0, min(most, g.left())), g.limits.chars)
	for _, s := range snippets {
		g.add(s.Content, address)
	}
	return cut
}

func (g *gathering) add(content, address string) {
	g.chars += utf8.RuneCountInString(content)
	g.e.Snippets = append(g.e.Snippets, commentator.Snippet{
		ID: fmt.Sprintf("s%d", len(g.e.Snippets)+1), Content: content, SourceURL: address,
	})
}

// lacks says in a sentence what is missing.
func (g *gathering) lacks(format string, args ...any) {
	g.e.Errors = append(g.e.Errors, fmt.Sprintf(format, args...))
}

// evidence closes the gathering. The coverage is
//
//	full     all that was asked for is in the snippets, and has at least fullChars
//	         characters;
//	partial  there is text, but less than that, or something is missing;
//	failed   there is no text. That is no error: the gates decide.
//
// Errors says in a sentence what is missing, so that it is empty exactly with full.
func (g *gathering) evidence(shown string) commentator.Evidence {
	e := g.e
	switch {
	case len(e.Snippets) == 0:
		e.Coverage = commentator.CoverageFailed
		if len(e.Errors) == 0 {
			e.Errors = append(e.Errors, shown+" holds no readable text.")
		}
	case len(e.Errors) == 0 && g.chars < fullChars:
		e.Coverage = commentator.CoveragePartial
		e.Errors = append(e.Errors, shown+" holds little readable text.")
	case len(e.Errors) > 0:
		e.Coverage = commentator.CoveragePartial
	default:
		e.Coverage = commentator.CoverageFull
	}
	return e
}
