package retrieval

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

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

	// Timeout limits one retrieval from the first DNS query to the last byte,
	// redirects included. Defaults to 15 seconds.
	Timeout time.Duration

	// MaxRedirects is how many redirects are followed. Defaults to 5.
	MaxRedirects int

	// MaxSnippets and MaxSnippetChars limit the evidence; a page with more text has
	// coverage partial. They default to 40 and 300 (characters, not bytes): 12,000
	// characters hold an article of about 1,900 words, enough for a summary of 15
	// sentences, and cost a model about 3,000 tokens.
	MaxSnippets     int
	MaxSnippetChars int

	// UserAgent is sent with each request. Defaults to DefaultUserAgent.
	UserAgent string

	// Now stamps the sources. Defaults to time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxRedirects == 0 {
		c.MaxRedirects = DefaultMaxRedirects
	}
	if c.MaxSnippets == 0 {
		c.MaxSnippets = DefaultMaxSnippets
	}
	if c.MaxSnippetChars == 0 {
		c.MaxSnippetChars = DefaultMaxSnippetChars
	}
	if c.UserAgent == "" {
		c.UserAgent = DefaultUserAgent
	}
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
	check(c.MaxSnippetChars >= 80, "MaxSnippetChars %d: want 80 or more, or no sentence fits", c.MaxSnippetChars)
	return errors.Join(errs...)
}

// adapter turns the links of one kind of site into evidence. Its name is recorded as
// retrieval.adapter.
type adapter interface {
	name() string
	retrieve(ctx context.Context, link *url.URL) (commentator.Evidence, error)
}

// Retriever implements commentator.Retriever. It is safe for concurrent use.
type Retriever struct {
	timeout time.Duration
	generic *genericAdapter
}

var _ commentator.Retriever = (*Retriever)(nil)

// New returns a Retriever, or an error that names every wrong field of cfg.
func New(cfg Config) (*Retriever, error) {
	cfg = cfg.withDefaults()
	g, err := newGuard(cfg.AllowHosts)
	if err := errors.Join(cfg.validate(), err); err != nil {
		return nil, fmt.Errorf("configure retrieval: %w", err)
	}
	return newRetriever(cfg, telemetry.Transport(newTransport(g), "")), nil
}

// adapterFor chooses the adapter of a host. Adapters for particular sites go here.
func (r *Retriever) adapterFor(string) adapter { return r.generic }

// Adapter names the adapter that reads the pages of a host.
func (r *Retriever) Adapter(host string) string { return r.adapterFor(host).name() }

// Retrieve fetches the page behind link. Its errors are of type *commentator.Error with
// a code of errors.go, unless ctx itself ended.
func (r *Retriever) Retrieve(ctx context.Context, link string) (commentator.Evidence, error) {
	u, err := parseLink(link)
	if err != nil {
		return failedEvidence(r.generic.name(), err), err
	}
	a := r.adapterFor(u.Hostname())
	limited, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	e, err := a.retrieve(limited, u)
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
