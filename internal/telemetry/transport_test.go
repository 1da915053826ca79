package telemetry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/technoshare/commentator/internal/wire"
)

// get makes one request below a stage and returns the spans of the stage.
func get(t *testing.T, base http.RoundTripper, spanName, method, url string) []*tracepb.Span {
	t.Helper()
	p, _ := newTestProvider(t, nil)
	return endStage(t, p, testStages(10)[0], func(ctx context.Context) {
		req, err := http.NewRequestWithContext(ctx, method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := Transport(base, spanName).RoundTrip(req)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	})
}

func testServer(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server.URL
}

func TestTransportRecordsARequest(t *testing.T) {
	url := testServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	address := strings.Replace(url, "http://", "http://user:secret@", 1) + "/page?a=1&token=abc"
	s := get(t, base, "", http.MethodGet, address)[1]
	a := values(s.Attributes)
	if s.Name != "GET" || s.Kind != tracepb.Span_SPAN_KIND_CLIENT || s.Status.GetCode() != tracepb.Status_STATUS_CODE_UNSET {
		t.Errorf("span is %s %v %v", s.Name, s.Kind, s.Status)
	}
	if got := a[wire.AttrURLFull]; got != url+"/page?a=1&token=REDACTED" {
		t.Errorf("url.full is %v", got)
	}
	if a[wire.AttrHTTPMethod] != "GET" || a[wire.AttrHTTPStatus] != int64(200) || a[wire.AttrHTTPBodySize] != int64(5) ||
		a[wire.AttrServerAddress] != "127.0.0.1" || a[wire.AttrServerPort].(int64) == 0 || a[wire.AttrCut] != nil {
		t.Errorf("attributes are %v", a)
	}
}

func TestTransportHidesQueriesOfAPICalls(t *testing.T) {
	url := testServer(t, func(http.ResponseWriter, *http.Request) {})
	for _, tc := range []struct{ spanName, method, name string }{
		{wire.SpanSlackCall, http.MethodPost, wire.SpanSlackCall},
		{"", http.MethodPost, "POST"},
	} {
		s := get(t, http.DefaultTransport, tc.spanName, tc.method, url+"/x?channel=C1")[1]
		if got := values(s.Attributes)[wire.AttrURLFull]; got != url+"/x?channel=REDACTED" || s.Name != tc.name {
			t.Errorf("span %s has url.full %v", s.Name, got)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestTransportRecordsFailures(t *testing.T) {
	url := testServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "hel")
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	s := get(t, base, "", http.MethodGet, url)[1]
	if a := values(s.Attributes); a[wire.AttrErrorType] != "404" || s.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("a 404 is %v %v", a, s.Status)
	}
	s = get(t, base, "", http.MethodGet, "http://127.0.0.1:1/")[1]
	if a := values(s.Attributes); a[wire.AttrErrorType] == nil || a[wire.AttrHTTPStatus] != nil {
		t.Errorf("a refused connection is %v", a)
	}
}

func TestTransportTellsNobodyOfTheTrace(t *testing.T) {
	var headers http.Header
	url := testServer(t, func(_ http.ResponseWriter, r *http.Request) { headers = r.Header })
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	get(t, base, "", http.MethodGet, url)
	for name := range headers {
		if name != "Accept-Encoding" && name != "User-Agent" {
			t.Errorf("the request carries %s", name)
		}
	}
}

type constantTransport struct{ resp *http.Response }

func (c constantTransport) RoundTrip(*http.Request) (*http.Response, error) { return c.resp, nil }

func TestTransportOffCostsNothing(t *testing.T) {
	want := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	transport := Transport(constantTransport{want}, "")
	req, err := http.NewRequest(http.MethodGet, "http://example.org", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got *http.Response
	if n := testing.AllocsPerRun(100, func() { got, err = transport.RoundTrip(req) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got != want || err != nil || got.Body != http.NoBody {
		t.Errorf("the answer was changed: %v, %v", got, err)
	}
}
