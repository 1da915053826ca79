package retrieval

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// page is a fetched document of a kind that can be read.
type page struct {
	url       *url.URL // after redirects
	html      bool     // else plain text
	charset   string   // as the server declared it, may be empty
	body      []byte   // as sent, decompressed
	fetchedAt time.Time
}

// fetcher gets pages over HTTP within limits. It sends no cookies and keeps none.
type fetcher struct {
	client    *http.Client
	maxBytes  int64
	userAgent string
	now       func() time.Time
}

func newFetcher(cfg Config, transport http.RoundTripper) *fetcher {
	return &fetcher{
		client: &http.Client{
			Transport: transport,
			CheckRedirect: func(req *http.Request, via []*http.Request) error {
				return checkRedirect(req.URL, via, cfg.MaxRedirects)
			},
		},
		maxBytes: cfg.MaxBytes, userAgent: cfg.UserAgent, now: cfg.Now,
	}
}

// checkRedirect holds a redirect target to the rules of a link. The guard checks its
// address when it is dialled.
func checkRedirect(target *url.URL, via []*http.Request, limit int) error {
	first := shorten(via[0].URL.Redacted())
	if err := checkLink(target); err != nil {
		var e *commentator.Error
		errors.As(err, &e)
		return final(e.Code, "%s redirects to a bad address. %s", first, e.Message)
	}
	for _, earlier := range via {
		if earlier.URL.String() == target.String() {
			return final(codeRedirectLoop, "%s redirects in a circle, back to %s. The site is at fault; look for another address of the page.", first, shorten(target.Redacted()))
		}
	}
	if len(via) > limit {
		return final(codeRedirectLoop, "%s redirects more than %d times. Share the address that the browser ends at.", first, limit)
	}
	return nil
}

// fetch gets link. It reads no more than the limit, so that neither a huge page nor a
// small one that unpacks to a huge one takes memory.
func (f *fetcher) fetch(ctx context.Context, link *url.URL) (*page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link.String(), nil)
	if err != nil {
		return nil, final(codeBadURL, "The link %q cannot be requested: %v.", shorten(link.Redacted()), err)
	}
	req.Header.Set("User-Agent", f.userAgent)
	req.Header.Set("Accept", "text/html, application/xhtml+xml, text/plain;q=0.8, text/markdown;q=0.8")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, requestError(link, err)
	}
	defer resp.Body.Close()
	return f.read(link, resp)
}

func (f *fetcher) read(link *url.URL, resp *http.Response) (*page, error) {
	shown := shorten(resp.Request.URL.Redacted())
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, statusError(resp.Request.URL, resp.StatusCode)
	}
	// The transport asks for gzip, unpacks it and removes the header.
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, final(codeUnsupportedContentType, "%s is encoded as %q, which was not asked for. The server is at fault.", shown, shorten(enc))
	}
	declared := resp.Header.Get("Content-Type")
	if kind, _, _ := mime.ParseMediaType(declared); unreadable(kind) {
		return nil, contentTypeError(shown, kind)
	}
	if resp.ContentLength > f.maxBytes {
		return nil, f.tooLarge(shown)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, f.maxBytes+1))
	switch {
	case int64(len(body)) > f.maxBytes:
		return nil, f.tooLarge(shown)
	case err != nil:
		return nil, requestError(link, err)
	case len(bytes.TrimSpace(body)) == 0:
		return nil, final(codeEmptyBody, "%s answered %d with an empty page. Check the link in a browser.", shown, resp.StatusCode)
	}
	p := &page{url: resp.Request.URL, body: body, fetchedAt: f.now().UTC().Truncate(time.Millisecond)}
	if err := p.classify(declared); err != nil {
		return nil, err
	}
	return p, nil
}

func (f *fetcher) tooLarge(shown string) error {
	return final(codeTooLarge, "%s is larger than %d bytes. Share a smaller page or raise RETRIEVAL_MAX_BYTES.", shown, f.maxBytes)
}
