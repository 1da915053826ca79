package retrieval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

// The defaults of Config.
const (
	DefaultMaxBytes        = 5 << 20
	DefaultTimeout         = 15 * time.Second
	DefaultMaxRedirects    = 5
	DefaultMaxSnippets     = 40
	DefaultMaxSnippetChars = 300
	DefaultUserAgent       = "TechnoShareCommentator/1.0 (link summaries)"
	DefaultArxivAPI        = "https://export.arxiv.org"
	DefaultArxivSite       = "https://arxiv.org"
	DefaultArxivInterval   = 3 * time.Second
	DefaultGithubAPI       = "https://api.github.com"
)

// Config says how pages are fetched and how much of them is kept. The zero value is
// usable; a zero field takes its default.
type Config struct {
	// AllowHosts lists destinations that may be reached in spite of the guard against
	// private addresses. An entry is "loopback", an IP address, a CIDR block or a host
	// name, the address and the name with an optional ":port". A name is trusted
	// whatever it resolves to. Defaults to none: public addresses only.
	AllowHosts []string

	// MaxBytes limits a page, counted after decompression. Defaults to 5 MiB.
	MaxBytes int64

	// Timeout limits one retrieval from the first DNS query to the last byte, redirects and
	// all requests of an adapter included. A page that is read because a site's API did not
	// answer gets as long again, and reading the text of a PDF, once it is here, has a limit of its
	// own. Defaults to 15 seconds. A rule's own timeout comes first.
	Timeout time.Duration

	// MaxRedirects is how many redirects are followed. Defaults to 5.
	MaxRedirects int

	// MaxSnippets and MaxSnippetChars limit the evidence; a page with more text has
	// coverage partial. They default to 40 and 300 (characters, not bytes): 12,000
	// characters hold an article of about 1,900 words, enough for a summary of 15
	// sentences, and cost a model about 3,000 tokens. A rule's own numbers come first.
	MaxSnippets     int
	MaxSnippetChars int

	// Rules say how the pages of a domain are read. Defaults to none: any page is read by
	// the generic adapter.
	Rules data.Rules

	// PDFCacheDir is a folder for the compiled code of the PDF reader, about 20 MB, which is
	// created with the first PDF. It holds code that is run, so nobody else may write to it.
	// Several processes may share it. Defaults to none: the code is compiled for each PDF,
	// which takes about 3 seconds and 290 MB.
	PDFCacheDir string

	// GithubToken goes with requests to GitHub's API, and to no other place. It may be a
	// token without any permission; 60 requests an hour become 5,000. Defaults to none.
	GithubToken string

	// ArxivAPI, ArxivSite and GithubAPI are the addresses of the services, without a slash at
	// the end. They default to the real ones.
	ArxivAPI, ArxivSite, GithubAPI string

	// ArxivInterval is the least time between two requests to arXiv's API. Defaults to 3
	// seconds, which its terms of use ask for.
	ArxivInterval time.Duration

	// Logger is told what concerns no single link. Defaults to none.
	Logger *slog.Logger

	// UserAgent is sent with each request. Defaults to DefaultUserAgent.
	UserAgent string

	// Now stamps the sources. Defaults to time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.MaxRedirects = cmp.Or(c.MaxRedirects, DefaultMaxRedirects)
	c.MaxSnippets = cmp.Or(c.MaxSnippets, DefaultMaxSnippets)
	c.MaxSnippetChars = cmp.Or(c.MaxSnippetChars, DefaultMaxSnippetChars)
	c.UserAgent = cmp.Or(c.UserAgent, DefaultUserAgent)
	c.ArxivAPI = cmp.Or(c.ArxivAPI, DefaultArxivAPI)
	c.ArxivSite = cmp.Or(c.ArxivSite, DefaultArxivSite)
	c.GithubAPI = cmp.Or(c.GithubAPI, DefaultGithubAPI)
	c.ArxivInterval = cmp.Or(c.ArxivInterval, DefaultArxivInterval)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// validate joins what is wrong with c. It expects the defaults to be filled in.
func (c Config) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.MaxBytes > 0, "MaxBytes %d: want a positive number of bytes", c.MaxBytes)
	check(c.Timeout > 0, "Timeout %v: want a positive duration", c.Timeout)
	check(c.MaxRedirects > 0, "MaxRedirects %d: want a positive number", c.MaxRedirects)
	check(c.MaxSnippets > 0, "MaxSnippets %d: want a positive number", c.MaxSnippets)
	check(c.ArxivInterval > 0, "ArxivInterval %v: want a positive duration", c.ArxivInterval)
	check(c.MaxSnippetChars >= 80, "MaxSnippetChars %d: want 80 or more, or no sentence fits", c.MaxSnippetChars)
	for name, address := range map[string]string{"ArxivAPI": c.ArxivAPI, "ArxivSite": c.ArxivSite, "GithubAPI": c.GithubAPI} {
		_, err := parseLink(address)
		check(err == nil, "%s %q: want an http or https address", name, address)
	}
	return errors.Join(errs...)
}

// rule is a rule of a domain with every choice made.
type rule struct {
	data.Rule
	limits  limits
	timeout time.Duration // for all requests of an adapter together
}

// adapter turns the links of one kind of site into evidence. Its name is recorded as
// retrieval.adapter.
type adapter interface {
	name() string
	// reads reports whether link leads to something that the adapter knows. What it does not
	// know is left to the generic adapter.
	reads(link *url.URL) bool
	retrieve(ctx context.Context, link *url.URL, rule rule) (commentator.Evidence, error)
}

// Retriever implements commentator.Retriever. It is safe for concurrent use.
type Retriever struct {
	rules    data.Rules
	defaults rule
	generic  *genericAdapter
	special  map[string]adapter // by the name that rules know
}

var _ commentator.Retriever = (*Retriever)(nil)

// New returns a Retriever, or an error that names every wrong field of cfg.
func New(cfg Config) (*Retriever, error) {
	cfg = cfg.withDefaults()
	g, err := newGuard(cfg.AllowHosts)
	if err := errors.Join(cfg.validate(), err); err != nil {
		return nil, fmt.Errorf("configure retrieval: %w", err)
	}
	return newRetriever(cfg, telemetry.Transport(newTransport(g, max(cfg.Timeout, cfg.Rules.MaxTimeout())), "")), nil
}

func newRetriever(cfg Config, transport http.RoundTripper) *Retriever {
	generic := &genericAdapter{fetcher: newFetcher(cfg, transport), pdf: newPDFReader(cfg.PDFCacheDir, cfg.Logger)}
	return &Retriever{
		rules:    cfg.Rules,
		defaults: rule{limits: limits{snippets: cfg.MaxSnippets, chars: cfg.MaxSnippetChars}, timeout: cfg.Timeout},
		generic:  generic,
		special: map[string]adapter{
			data.AdapterArxiv:  newArxivAdapter(cfg, generic),
			data.AdapterGithub: newGithubAdapter(cfg, generic),
		},
	}
}

// AdapterNames are the names that evidence has for adapters.
var AdapterNames = []string{(*arxivAdapter)(nil).name(), (*githubAdapter)(nil).name(), (*genericAdapter)(nil).name()}

// adapterFor chooses the adapter and the rule of a link.
func (r *Retriever) adapterFor(link *url.URL) (adapter, rule) {
	of := r.rules.For(link.Hostname())
	chosen := rule{
		Rule: of,
		limits: limits{
			snippets: cmp.Or(of.MaxSnippets, r.defaults.limits.snippets),
			chars:    cmp.Or(of.MaxChars, r.defaults.limits.chars),
		},
		timeout: cmp.Or(of.Timeout, r.defaults.timeout),
	}
	if a, ok := r.special[of.Adapter]; ok && a.reads(link) {
		return a, chosen
	}
	return r.generic, chosen
}

// Adapter names the adapter that reads the page behind a link.
func (r *Retriever) Adapter(link string) string {
	u, err := parseLink(link)
	if err != nil {
		return r.generic.name()
	}
	a, _ := r.adapterFor(u)
	return a.name()
}

// Retrieve fetches what is behind link. Its errors are of type *commentator.Error with
// a code of errors.go, unless ctx itself ended.
func (r *Retriever) Retrieve(ctx context.Context, link string) (commentator.Evidence, error) {
	u, err := parseLink(link)
	if err != nil {
		return failedEvidence(r.generic.name(), err), err
	}
	a, rule := r.adapterFor(u)
	e, err := a.retrieve(ctx, u, rule)
	if err != nil && ctx.Err() != nil {
		// The caller gave up; that says nothing about the page.
		err = fmt.Errorf("retrieve %s: %w", u.Redacted(), ctx.Err())
	}
	if err != nil {
		return failedEvidence(a.name(), err), err
	}
	return e, nil
}

// failedEvidence is what is known when nothing was fetched. Its lists are empty, not
// nil, so that evidence.json holds [] and never null.
func failedEvidence(adapter string, err error) commentator.Evidence {
	return commentator.Evidence{
		Adapter:  adapter,
		Sources:  []commentator.Source{},
		Snippets: []commentator.Snippet{},
		Coverage: commentator.CoverageFailed,
		Errors:   []string{err.Error()},
	}
}
