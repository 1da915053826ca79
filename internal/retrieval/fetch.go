package retrieval

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
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
	format    format
	charset   string // as the server declared it, may be empty
	body      []byte // as sent, decompressed
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
				if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
					req.Header.Del("Authorization") // net/http keeps it for subdomains, and without TLS
				}
				return checkRedirect(req.URL, via, cfg.MaxRedirects)
			},
		},
		maxBytes: cfg.MaxBytes, userAgent: cfg.UserAgent, now: cfg.Now,
	}
}

// maxRedirectTarget is how long an address may be that a page redirects to, in bytes. It becomes part
// of the evidence, with each snippet.
const maxRedirectTarget = 2_000

// checkRedirect holds a redirect target to the rules of a link. The guard checks its
// address when it is dialled.
func checkRedirect(target *url.URL, via []*http.Request, limit int) error {
	first := shorten(via[0].URL.Redacted())
	if n := len(target.String()); n > maxRedirectTarget {
		return final(codeBadURL, "%s redirects to an address of %d bytes; at most %d are followed. Share the address that the browser ends at.", first, n, maxRedirectTarget)
	}
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

// fetch gets the page behind link.
func (f *fetcher) fetch(ctx context.Context, link *url.URL) (*page, error) {
	header := http.Header{"Accept": {"text/html, application/xhtml+xml, application/pdf;q=0.9, text/plain;q=0.8, text/markdown;q=0.8"}}
	a, err := f.get(ctx, link, header, func(resp *http.Response) error {
		if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); good(resp) && unreadable(kind) {
			return contentTypeError(shorten(resp.Request.URL.Redacted()), kind)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(a.body)) == 0 {
		return nil, final(codeEmptyBody, "%s answered %d with an empty page. Check the link in a browser.", shorten(a.url.Redacted()), a.status)
	}
	p := &page{url: a.url, body: a.body, fetchedAt: a.at}
	if err := p.classify(a.header.Get("Content-Type")); err != nil {
		return nil, err
	}
	return p, nil
}

// answer is what a server sent, whole.
type answer struct {
	url    *url.URL // after redirects
	status int      // 2xx
	header http.Header
	body   []byte // decompressed
	at     time.Time
}

// get asks for link with some headers. It reads no more than the limit, so that neither a
// huge answer nor a small one that unpacks to a huge one takes memory. An answer other than
// 2xx is an error; check, which may be nil, sees it before its body is read, and what it
// returns comes first.
func (f *fetcher) get(ctx context.Context, link *url.URL, header http.Header, check func(*http.Response) error) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link.String(), nil)
	if err != nil {
		return nil, final(codeBadURL, "The link %q cannot be requested: %v.", shorten(link.Redacted()), err)
	}
	maps.Copy(req.Header, header)
	req.Header.Set("User-Agent", f.userAgent)
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, requestError(link, err)
	}
	defer resp.Body.Close()
	if check != nil {
		if err := check(resp); err != nil {
			return nil, err
		}
	}
	shown := shorten(resp.Request.URL.Redacted())
	switch enc := resp.Header.Get("Content-Encoding"); {
	case !good(resp):
		return nil, statusError(resp.Request.URL, resp.StatusCode)
	// The transport asks for gzip, unpacks it and removes the header.
	case enc != "" && !strings.EqualFold(enc, "identity"):
		return nil, final(codeUnsupportedContentType, "%s is encoded as %q, which was not asked for. The server is at fault.", shown, shorten(enc))
	case resp.ContentLength > f.maxBytes:
		return nil, f.tooLarge(shown)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, f.maxBytes+1))
	switch {
	case int64(len(body)) > f.maxBytes:
		return nil, f.tooLarge(shown)
	case err != nil:
		return nil, requestError(link, err)
	}
	return &answer{
		url: resp.Request.URL, status: resp.StatusCode, header: resp.Header, body: body,
		at: f.now().UTC().Truncate(time.Millisecond),
	}, nil
}

func good(resp *http.Response) bool { return resp.StatusCode >= 200 && resp.StatusCode <= 299 }

func (f *fetcher) tooLarge(shown string) error {
	return final(codeTooLarge, "%s is larger than %d bytes. Share a smaller page or raise RETRIEVAL_MAX_BYTES.", shown, f.maxBytes)
}
