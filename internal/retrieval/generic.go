package retrieval

import (
	"context"
	"net/http"
	"net/url"

	"github.com/technoshare/commentator/internal/commentator"
)

// fullChars is how much text, in characters, a page needs to count as full coverage.
// Ten sentences of ordinary length, the least that a summary is made of, are about that.
const fullChars = 1000

// genericAdapter reads any HTML or plain text page.
type genericAdapter struct {
	fetcher     *fetcher
	maxSnippets int
	maxChars    int
}

func newRetriever(cfg Config, transport http.RoundTripper) *Retriever {
	return &Retriever{
		timeout: cfg.Timeout,
		generic: &genericAdapter{
			fetcher:     newFetcher(cfg, transport),
			maxSnippets: cfg.MaxSnippets,
			maxChars:    cfg.MaxSnippetChars,
		},
	}
}

func (a *genericAdapter) name() string { return "GenericAdapter" }

func (a *genericAdapter) retrieve(ctx context.Context, link *url.URL) (commentator.Evidence, error) {
	p, err := a.fetcher.fetch(ctx, link)
	if err != nil {
		return commentator.Evidence{}, err
	}
	return a.evidence(p), nil
}

// evidence turns a fetched page into evidence. The coverage is
//
//	full     the article was found, has at least fullChars characters, and is all in
//	         the snippets;
//	partial  there is text, but less than that, or more than the snippets hold, or the
//	         article could not be told from the rest of the page;
//	failed   there is no text. That is no error: the gates decide.
//
// Errors says in a sentence what is missing, so that it is empty exactly with full.
func (a *genericAdapter) evidence(p *page) commentator.Evidence {
	address := p.url.Redacted()
	d := readDocument(p)
	snippets, cut := makeSnippets(d.blocks, address, a.maxSnippets, a.maxChars)
	e := commentator.Evidence{
		Adapter:  a.name(),
		Sources:  []commentator.Source{{URL: address, Title: d.title, FetchedAt: p.fetchedAt}},
		Snippets: snippets,
		Coverage: commentator.CoveragePartial,
		Errors:   []string{},
	}
	chars := 0
	for _, s := range snippets {
		chars += len([]rune(s.Content))
	}
	switch shown := shorten(address); {
	case len(snippets) == 0:
		e.Snippets = []commentator.Snippet{}
		e.Coverage = commentator.CoverageFailed
		e.Errors = append(e.Errors, shown+" holds no readable text. It may be built by scripts in the browser; share a page with text.")
	case cut:
		e.Errors = append(e.Errors, shown+" is longer than what is kept of a page; its end is missing.")
	case chars < fullChars:
		e.Errors = append(e.Errors, shown+" holds little readable text.")
	case !d.whole:
		e.Errors = append(e.Errors, "The article of "+shown+" could not be told from the rest of the page; menus may be among the text.")
	default:
		e.Coverage = commentator.CoverageFull
	}
	return e
}
