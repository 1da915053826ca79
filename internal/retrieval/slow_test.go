package retrieval

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// slowServer is the other end of a connection: it waits before TLS and before the answer.
func slowServer(conn net.Conn, certificates []tls.Certificate, handshake, answer time.Duration) {
	defer conn.Close()
	time.Sleep(handshake)
	if certificates != nil {
		conn = tls.Server(conn, &tls.Config{Certificates: certificates})
	}
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return
	}
	time.Sleep(answer)
	page := article(8)
	response := &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Close: true,
		Header: mediaType("text/html"), Body: io.NopCloser(strings.NewReader(page)), ContentLength: int64(len(page)),
	}
	_ = response.Write(conn) // the other end may have gone
}

// A server may take as long as the setting says, for the connection and for the answer.
func TestASlowServerHasAsLongAsTheSettingSays(t *testing.T) {
	secure := httptest.NewTLSServer(nil)
	certificates, trusted := secure.TLS.Certificates, secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	secure.Close()
	g, err := newGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		certificates               []tls.Certificate
		timeout, handshake, answer time.Duration
		code                       string
	}{
		"the default":                     {nil, DefaultTimeout, 0, 14 * time.Second, ""},
		"longer than the default":         {nil, DefaultTimeout, 0, 16 * time.Second, codeTimeout},
		"minutes for the answer":          {nil, 2 * time.Minute, 0, 110 * time.Second, ""},
		"longer than minutes":             {nil, 2 * time.Minute, 0, 130 * time.Second, codeTimeout},
		"a slow handshake":                {certificates, time.Minute, 15 * time.Second, 30 * time.Second, ""},
		"a slow handshake by the default": {certificates, DefaultTimeout, 6 * time.Second, 0, codeTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var servers sync.WaitGroup
				defer servers.Wait()
				transport := newTransport(g, tc.timeout)
				transport.TLSClientConfig = &tls.Config{RootCAs: trusted}
				transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					servers.Go(func() { slowServer(far, tc.certificates, tc.handshake, tc.answer) })
					return near, nil
				}
				r := newRetriever(Config{Timeout: tc.timeout}.withDefaults(), transport)
				link := "http://example.com/tides"
				if tc.certificates != nil {
					link = "https://example.com/tides"
				}
				e, err := r.Retrieve(t.Context(), link)
				if got := commentator.ErrorCode(err); err != nil && got != tc.code || err == nil && tc.code != "" {
					t.Errorf("error %q, want %q: %v", got, tc.code, err)
				}
				if err == nil && e.Coverage != commentator.CoverageFull {
					t.Errorf("coverage %q, errors %q", e.Coverage, e.Errors)
				}
			})
		})
	}
}

// Who waits longer for a site has also longer for its connection; the default gives a dead one up early.
func TestAConnectionHasAShareOfTheTime(t *testing.T) {
	for longest, want := range map[time.Duration]time.Duration{
		time.Second: leastConnect, DefaultTimeout: 5 * time.Second, time.Minute: 20 * time.Second,
	} {
		if got := connectWithin(longest); got != want {
			t.Errorf("of %v a connection has %v, want %v", longest, got, want)
		}
	}
}
