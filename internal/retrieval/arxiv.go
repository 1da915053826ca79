package retrieval

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/technoshare/commentator/internal/commentator"
)

// arxivAdapter reads papers of arXiv: authors, dates, categories and abstract from its API,
// the text of the paper from its PDF.
type arxivAdapter struct {
	generic   *genericAdapter
	api, site string
	pace      *rate.Limiter // of requests to the API
}

func newArxivAdapter(cfg Config, generic *genericAdapter) *arxivAdapter {
	return &arxivAdapter{
		generic: generic, api: cfg.ArxivAPI, site: cfg.ArxivSite,
		pace: rate.NewLimiter(rate.Every(cfg.ArxivInterval), 1),
	}
}

func (a *arxivAdapter) name() string { return "ArxivAdapter" }

// paperPath matches the paths under which a paper can be read. Its identifier has had the
// form 0704.0001 since April 2007, with five digits behind the point since 2015, and
// hep-th/9901001 or math.GT/0309136 before; a version may follow.
var paperPath = regexp.MustCompile(`^/(?:abs|pdf|html|format|ps|src|e-print)/(\d{4}\.\d{4,5}|[a-z][a-z-]*(?:\.[A-Z]{2})?/\d{7})(v[1-9]\d*)?(?:\.pdf)?/?$`)

// paperID returns the identifier in a link, with its version if it names one, and "" for
// links to something else.
func paperID(link *url.URL) string {
	m := paperPath.FindStringSubmatch(link.Path)
	if m == nil {
		return ""
	}
	return m[1] + m[2]
}

func (a *arxivAdapter) reads(link *url.URL) bool { return paperID(link) != "" }

func (a *arxivAdapter) retrieve(ctx context.Context, link *url.URL, rule rule) (commentator.Evidence, error) {
	id := paperID(link)
	if err := a.pace.Wait(ctx); err != nil {
		return commentator.Evidence{}, transient(codeRateLimited, "Too many papers of arXiv wait: its API takes one request in a few seconds. %s is tried again later.", shorten(link.Redacted()))
	}
	fetching, cancel := context.WithTimeout(ctx, rule.timeout)
	defer cancel()
	got, paper, err := a.ask(fetching, id)
	if err != nil {
		if worthWaiting(ctx, err) {
			return commentator.Evidence{}, err
		}
		return a.generic.instead(ctx, link, rule, a.name(), err)
	}

	g := gather(a.name(), rule.limits)
	page := a.site + "/abs/" + id
	g.source(page, paper.title, got.at)
	g.fact(paper.about(), page)
	if rule.FetchAbstract && g.text([]string{paper.abstract}, page, g.left()) {
		g.lacks("The abstract of %s is longer than what is kept of a page; its end is missing.", page)
	}
	if rule.FetchPDFText {
		a.addPDF(ctx, fetching, g, paper, id)
	}
	if ctx.Err() != nil {
		return commentator.Evidence{}, ctx.Err()
	}
	return g.evidence(page), nil
}

// addPDF adds the text of the paper. What is wrong with the PDF is no error: there is the
// abstract.
func (a *arxivAdapter) addPDF(ctx, fetching context.Context, g *gathering, paper paper, id string) {
	if g.left() == 0 {
		g.lacks("The text of the paper is left out: the abstract takes all that is kept of a page.")
		return
	}
	link, err := url.Parse(a.site + "/pdf/" + id)
	if err != nil {
		g.lacks("The text of the paper is missing. %v", err)
		return
	}
	p, err := a.generic.fetcher.fetch(fetching, link)
	var d document
	switch {
	case err != nil:
	case p.format != formatPDF: // a page that says why there is none
		err = final(codeUnsupportedContentType, "%s is no PDF.", link)
	default:
		d, err = a.generic.read(ctx, p, g.limits)
	}
	if err != nil {
		g.lacks("The text of the paper is missing. %v", err)
		return
	}
	address := p.url.Redacted()
	g.source(address, paper.title, p.fetchedAt)
	before := len(g.e.Snippets)
	cut := g.text(body(d.blocks), address, g.left()) || d.more
	switch {
	case len(g.e.Snippets) == before:
		g.lacks("%s holds no readable text. It may consist of scanned pages.", address)
	case cut:
		g.lacks("%s is longer than what is kept of a page; its end is missing.", address)
	}
}

// introduction matches the heading of the first section.
var introduction = regexp.MustCompile(`(?i)^(?:(?:\d+|I)\.?\s*)?introduction$`)

// body leaves out what stands before the first section: the title, addresses and, once more,
// the abstract. A paper without such a heading stays whole.
func body(blocks []string) []string {
	first := slices.IndexFunc(blocks[:min(len(blocks), 60)], introduction.MatchString)
	return blocks[first+1:]
}

// ask gets what the API knows of a paper.
func (a *arxivAdapter) ask(ctx context.Context, id string) (*answer, paper, error) {
	link, err := url.Parse(a.api + "/api/query?" + url.Values{"id_list": {id}, "max_results": {"1"}}.Encode())
	if err != nil {
		return nil, paper{}, final(codeBadURL, "The address of arXiv's API is wrong: %v. Correct it.", err)
	}
	header := http.Header{"Accept": {"application/atom+xml"}}
	got, err := a.generic.fetcher.get(ctx, link, header, func(resp *http.Response) error {
		if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
			return arxivBusy(resp.Header.Get("Retry-After"), a.generic.fetcher.now())
		}
		return nil
	})
	if err != nil {
		return nil, paper{}, err
	}
	if strings.HasPrefix(string(got.body), "Rate exceeded") { // plain text, with any status
		return nil, paper{}, arxivBusy("", got.at)
	}
	p, err := parsePaper(got.body)
	switch {
	case errors.Is(err, errNoPaper):
		err = final(codeNotFound, "arXiv's API has no paper %s. It may be too new, or the link is wrong.", id)
	case err != nil:
		err = final(codeAPIRefused, "arXiv's API gave nothing about %s (%v). Check the link.", id, err)
	}
	return got, p, err
}

// arxivBusy says when the API may be asked again. Retry-After is a number of seconds or a date.
func arxivBusy(retryAfter string, now time.Time) error {
	wait, when := time.Minute, "in a minute"
	if seconds, err := strconv.ParseUint(retryAfter, 10, 32); err == nil {
		wait, when = time.Duration(seconds)*time.Second, fmt.Sprintf("in %d s", seconds)
	} else if at, err := http.ParseTime(retryAfter); err == nil {
		wait, when = max(0, at.Sub(now)), "at "+at.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	return later(wait, "arXiv's API takes no more requests from here for now. It may be asked again %s.", when)
}
