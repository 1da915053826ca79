package retrieval

import (
	"context"
	"net/url"

	"github.com/technoshare/commentator/internal/commentator"
)

// genericAdapter reads any HTML or plain text page, and PDF files.
type genericAdapter struct {
	fetcher *fetcher
	pdf     *pdfReader
}

func (a *genericAdapter) name() string { return "GenericAdapter" }

func (a *genericAdapter) reads(*url.URL) bool { return true }

func (a *genericAdapter) retrieve(ctx context.Context, link *url.URL, rule rule) (commentator.Evidence, error) {
	fetching, cancel := context.WithTimeout(ctx, rule.timeout)
	defer cancel()
	p, err := a.fetcher.fetch(fetching, link)
	if err != nil {
		return commentator.Evidence{}, err
	}
	d, err := a.read(ctx, p, rule.limits)
	if err != nil {
		return commentator.Evidence{}, err
	}
	return a.evidence(p, d, rule.limits), nil
}

// read turns a page of any format into text.
func (a *genericAdapter) read(ctx context.Context, p *page, l limits) (document, error) {
	if p.format == formatPDF {
		return a.pdf.read(ctx, shorten(p.url.Redacted()), p.body, l.wanted())
	}
	return readDocument(p), nil
}

// evidence turns the text of a page into evidence.
func (a *genericAdapter) evidence(p *page, d document, l limits) commentator.Evidence {
	address := p.url.Redacted()
	g := gather(a.name(), l)
	g.source(address, d.title, p.fetchedAt)
	cut := g.text(d.blocks, address, l.snippets)
	switch shown := shorten(address); {
	case len(g.e.Snippets) == 0 && p.format == formatPDF:
		g.lacks("%s holds no readable text. It may consist of scanned pages; share a file with text.", shown)
	case len(g.e.Snippets) == 0:
		g.lacks("%s holds no readable text. It may be built by scripts in the browser; share a page with text.", shown)
	case cut || d.more:
		g.lacks("%s is longer than what is kept of a page; its end is missing.", shown)
	case g.chars >= fullChars && !d.whole:
		g.lacks("The article of %s could not be told from the rest of the page; menus may be among the text.", shown)
	}
	return g.evidence(shorten(address))
}

// instead reads the page behind a link for an adapter that could not ask the site's API, in a time of
// its own. The evidence says so.
func (a *genericAdapter) instead(ctx context.Context, link *url.URL, rule rule, adapter string, why error) (commentator.Evidence, error) {
	if ctx.Err() != nil {
		return commentator.Evidence{}, why
	}
	e, err := a.retrieve(ctx, link, rule)
	if err != nil {
		return commentator.Evidence{}, err // says more about the link than what the API said
	}
	e.Adapter = adapter
	e.Errors = append([]string{why.Error() + " The page itself was read instead."}, e.Errors...)
	if e.Coverage == commentator.CoverageFull {
		e.Coverage = commentator.CoveragePartial
	}
	return e, nil
}
