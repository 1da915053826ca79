package telemetry

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/wire"
)

// Transport records each request as a CLIENT span below the stage that the request's
// context belongs to. The span is named after the method unless spanName is given; with a
// spanName, or another method than GET, it is the call of an API and all query values are
// left out of url.full. A nil base is http.DefaultTransport.
//
// No trace context or baggage goes into a request: pages, models and Slack are not told
// of our traces.
func Transport(base http.RoundTripper, spanName string) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{base: base, spanName: spanName}
}

// SlackTransport records the calls of Slack's Web API by which a stage posts and searches, each
// under the name of its method. Other methods are not recorded.
func SlackTransport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	recorded := map[string]http.RoundTripper{}
	for _, method := range []string{wire.SpanSlackCall, wire.SpanSlackSearch} {
		recorded[method] = Transport(base, method)
	}
	return &slackTransport{base, recorded}
}

type slackTransport struct {
	base     http.RoundTripper
	recorded map[string]http.RoundTripper // by method
}

func (t *slackTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if r := t.recorded[path.Base(req.URL.Path)]; r != nil {
		return r.RoundTrip(req)
	}
	return t.base.RoundTrip(req)
}

// CloseIdleConnections passes on what http.Client asks of its transport.
func (t *slackTransport) CloseIdleConnections() { closeIdle(t.base) }

type transport struct {
	base     http.RoundTripper
	spanName string
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	name := cmp.Or(t.spanName, req.Method, http.MethodGet)
	// The context of the request stays as it is: nothing below it may see the span.
	_, span := StartDetail(req.Context(), name, trace.SpanKindClient)
	if !span.Recording() {
		return t.base.RoundTrip(req)
	}
	span.Set(requestAttributes(req, t.spanName != "" || name != http.MethodGet)...)
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		span.End(err)
		return resp, err
	}
	span.Set(attribute.Int(wire.AttrHTTPStatus, resp.StatusCode))
	if resp.StatusCode == http.StatusSwitchingProtocols {
		span.End(nil)
		return resp, nil
	}
	resp.Body = &countedBody{ReadCloser: resp.Body, span: span, status: resp.StatusCode}
	return resp, nil
}

// CloseIdleConnections passes on what http.Client asks of its transport.
func (t *transport) CloseIdleConnections() { closeIdle(t.base) }

func closeIdle(base http.RoundTripper) {
	if c, ok := base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func requestAttributes(req *http.Request, dropQuery bool) []attribute.KeyValue {
	u := req.URL
	attrs := []attribute.KeyValue{
		attribute.String(wire.AttrHTTPMethod, cmp.Or(req.Method, http.MethodGet)),
		attribute.String(wire.AttrURLFull, shownURL(u, dropQuery)),
		attribute.String(wire.AttrServerAddress, u.Hostname()),
	}
	if port := serverPort(u); port > 0 {
		attrs = append(attrs, attribute.Int(wire.AttrServerPort, port))
	}
	return attrs
}

// shownURL returns a URL without user information and, if asked for, without the values
// of its query; secrets that remain in a query are masked where all texts are.
func shownURL(u *url.URL, dropQuery bool) string {
	shown := *u
	if u.User != nil {
		shown.User = nil
	}
	if dropQuery && u.RawQuery != "" {
		values := u.Query()
		for _, v := range values {
			for i := range v {
				v[i] = redact.Redacted
			}
		}
		shown.RawQuery = values.Encode()
	}
	return shown.String()
}

func serverPort(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	switch u.Scheme {
	case "http":
		return 80
	case "https":
		return 443
	default:
		return 0
	}
}

// countedBody ends the span when the body was read to its end, failed or was closed.
type countedBody struct {
	io.ReadCloser
	span   Detail
	status int
	size   int64
	once   sync.Once
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.size += int64(n)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		b.end(nil)
	default:
		b.end(err)
	}
	return n, err
}

func (b *countedBody) Close() error {
	err := b.ReadCloser.Close()
	b.end(nil)
	return err
}

func (b *countedBody) end(err error) {
	b.once.Do(func() {
		b.span.Set(attribute.Int64(wire.AttrHTTPBodySize, b.size))
		if err == nil && b.status >= http.StatusBadRequest {
			err = httpStatusError(b.status)
		}
		b.span.End(err)
	})
}

// httpStatusError makes an answer of 400 or more an error of the span; its error.type is
// the status, as the HTTP conventions ask.
type httpStatusError int

func (e httpStatusError) Error() string {
	return strconv.Itoa(int(e)) + " " + http.StatusText(int(e))
}
