// Package mlflow is a thin client of MLflow's tracking server: the REST calls that the
// exporter and mlflowctl need, and OTLP over HTTP, on net/http with its own transport.
//
// It makes exactly the requests it is asked for: no retries, no caching. Errors of the
// server come back as *Error, which says whether the same request may succeed later.
package mlflow

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/httpaddress"
)

const (
	// DefaultTimeout bounds one call. It exceeds 20 s because MLflow on SQLite waits that
	// long for a lock before it answers.
	DefaultTimeout = 60 * time.Second
	// maxBody bounds what is read of an answer, in bytes.
	maxBody = 64 << 20
	// maxErrorBody bounds what is read of an answer that reports an error, in bytes.
	maxErrorBody = 64 << 10
)

// Config says where the server is and how to talk to it.
type Config struct {
	// Endpoint is the address of the tracking server, with its --static-prefix as path if
	// it has one. Required; http or https.
	Endpoint string
	// Headers are sent with every request to the host of Endpoint, and to no other.
	Headers map[string]string
	// HostHeader replaces the Host header, for servers that accept certain names only.
	HostHeader string
	// Timeout bounds each call; 0 means DefaultTimeout. For a download, which takes as long as the file
	// is large, it bounds the wait for the answer to begin and each silence in it.
	Timeout time.Duration
	// TLS is used for https endpoints; nil means the defaults of crypto/tls.
	TLS *tls.Config
	// Proxy chooses a proxy per request, http.ProxyFromEnvironment for instance; nil means
	// none.
	Proxy func(*http.Request) (*url.URL, error)
	// MaxConns bounds the connections to one host; requests above it wait for one. 0 means 4.
	MaxConns int
	// Wrap, if set, wraps the transport, for authentication extensions.
	Wrap func(http.RoundTripper) (http.RoundTripper, error)
	// UserAgent is sent as User-Agent; empty means Go's default.
	UserAgent string
}

// Client talks to one tracking server. It is safe for concurrent use.
type Client struct {
	base    *url.URL
	http    *http.Client
	patient *http.Client // http without its Timeout, for downloads
	timeout time.Duration
	idle    func()
	headers http.Header
	host    string
}

// New makes a client; it sends nothing.
func New(cfg Config) (*Client, error) {
	base, err := httpaddress.Parse(strings.TrimRight(cfg.Endpoint, "/"))
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	tr := newTransport(cfg)
	var rt http.RoundTripper = tr
	if cfg.Wrap != nil {
		if rt, err = cfg.Wrap(rt); err != nil {
			return nil, fmt.Errorf("wrap transport: %w", err)
		}
	}
	c := &Client{base: base, idle: tr.CloseIdleConnections, headers: http.Header{}, host: cfg.HostHeader}
	for k, v := range cfg.Headers {
		c.headers.Set(k, v)
	}
	if u := base.User; u != nil && c.headers.Get("Authorization") == "" {
		p, _ := u.Password()
		r := http.Request{Header: c.headers}
		r.SetBasicAuth(u.Username(), p)
	}
	base.User = nil
	if cfg.UserAgent != "" {
		c.headers.Set("User-Agent", cfg.UserAgent)
	}
	c.http = &http.Client{
		Transport: rt,
		Timeout:   cfg.Timeout,
		// A redirect is never followed: it would carry content and credentials to a place
		// that nobody configured. do reports it as an error.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	patient := *c.http
	patient.Timeout = 0
	c.patient, c.timeout = &patient, cfg.Timeout
	return c, nil
}

// Endpoint is the configured address, without credentials and trailing slash.
func (c *Client) Endpoint() string { return c.base.String() }

// AsHost is the same client with another Host header.
func (c *Client) AsHost(host string) *Client {
	other := *c
	other.host = host
	return &other
}

// Base is the configured address, without credentials.
func (c *Client) Base() *url.URL {
	u := *c.base
	return &u
}

// Close closes idle connections.
func (c *Client) Close() { c.idle() }

// request is one call, before it is sent.
type request struct {
	method string
	path   string // below the endpoint, escaped; or an absolute URL
	query  url.Values
	header http.Header
	body   []byte
	max    int64 // bytes of answer to read; 0 means maxBody
}

// do sends a request and reads the answer, up to r.max bytes.
func (c *Client) do(ctx context.Context, r request) ([]byte, http.Header, error) {
	res, call, err := c.send(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	limit := r.max
	if limit == 0 {
		limit = maxBody
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, nil, transportError(call, err)
	}
	if int64(len(b)) > limit {
		return nil, nil, fmt.Errorf("%s: answer exceeds %d bytes", call, limit)
	}
	return b, res.Header, nil
}

// send sends a request and gives the answer, whose body the caller closes, and the name of the
// call. An answer that reports an error is one.
func (c *Client) send(ctx context.Context, r request) (*http.Response, string, error) {
	return c.sendBy(ctx, c.http, r)
}

func (c *Client) sendBy(ctx context.Context, by *http.Client, r request) (*http.Response, string, error) {
	target := r.path
	if strings.HasPrefix(r.path, "/") {
		target = c.base.String() + r.path
	}
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	// bytes.Reader gives ContentLength and GetBody, so that net/http can itself repeat a
	// request whose idle connection the server closed before any of it was sent.
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, "", fmt.Errorf("build request: %w", err)
	}
	foreign := req.URL.Host != c.base.Host || req.URL.Scheme != c.base.Scheme
	if !foreign {
		for k, v := range c.headers {
			req.Header[k] = v
		}
		if c.host != "" {
			req.Host = c.host
		}
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	call := r.method + " " + req.URL.Path
	res, err := by.Do(req)
	if err != nil {
		return nil, "", transportError(call, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		defer res.Body.Close()
		b, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
		if err != nil && res.StatusCode != http.StatusRequestEntityTooLarge {
			// Which failure it reports is in the part that did not come. Of a request that is too large
			// a server often waits for no end.
			e := transportError(call, err)
			e.RetryAfter = retryAfter(res.Header)
			return nil, "", e
		}
		return nil, "", responseError(call, res, b)
	}
	return res, call, nil
}

// call sends in as JSON (nil: no body) and decodes the answer into out (nil: ignored).
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	r := request{method: method, path: path, query: query, header: http.Header{}}
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		r.body = b
	}
	if method != http.MethodGet {
		// MLflow refuses POST and PUT without it.
		r.header.Set("Content-Type", "application/json")
	}
	b, _, err := c.do(ctx, r)
	var e *Error
	if errors.As(err, &e) && e.NoRoute() && everywhere(path) {
		e.elsewhere = true // a wrong prefix, or a proxy without a server behind it
	}
	if err != nil {
		return err
	}
	name := method + " " + path
	switch {
	case !isObject(b) || (out == nil && !json.Valid(b)):
		return strangeError(name, b, nil)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		e := strangeError(name, b, err)
		var cut *json.SyntaxError
		e.strange = errors.As(err, &cut) // else it is JSON, of an MLflow that nobody knows
		return e
	}
	return nil
}

// everywhere reports whether a route is one that every MLflow has.
func everywhere(path string) bool {
	return strings.HasPrefix(path, api2+"/runs/") || strings.HasPrefix(path, api2+"/experiments/")
}

// put is do for calls that MLflow answers with nothing, or with what is no JSON: a page is refused.
func (c *Client) put(ctx context.Context, r request) error {
	b, header, err := c.do(ctx, r)
	if err == nil && len(b) > 0 && (isHTML(string(b)) || strings.HasPrefix(header.Get("Content-Type"), "text/html")) {
		path, _, _ := strings.Cut(r.path, "?")
		return strangeError(r.method+" "+path, b, nil)
	}
	return err
}

// clip shortens s to at most n bytes of whole characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
