package retrieval

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// public returns a Retriever without exceptions, as in production.
func public(t *testing.T) *Retriever {
	return newTest(t, func(c *Config) { c.AllowHosts = nil; c.Timeout = 5 * time.Second })
}

func TestPrivateAddressesAreRefusedInEverySpelling(t *testing.T) {
	s := serveBody(t, "text/html", article(8))
	port := portOf(t, s)
	for host, code := range map[string]string{
		"127.0.0.1":              codePrivateAddress,
		"127.8.9.10":             codePrivateAddress,
		"localhost":              codePrivateAddress,
		"LOCALHOST":              codePrivateAddress,
		"[::1]":                  codePrivateAddress,
		"[0:0:0:0:0:0:0:1]":      codePrivateAddress,
		"[::ffff:127.0.0.1]":     codePrivateAddress,
		"[::ffff:7f00:1]":        codePrivateAddress,
		"[64:ff9b::7f00:1]":      codePrivateAddress,
		"[2002:7f00:1::]":        codePrivateAddress,
		"[::127.0.0.1]":          codePrivateAddress,
		"0.0.0.0":                codePrivateAddress,
		"[::]":                   codePrivateAddress,
		"10.0.0.1":               codePrivateAddress,
		"100.64.0.1":             codePrivateAddress,
		"169.254.169.254":        codePrivateAddress,
		"172.16.0.1":             codePrivateAddress,
		"192.168.1.1":            codePrivateAddress,
		"192.0.0.192":            codePrivateAddress,
		"198.18.0.1":             codePrivateAddress,
		"224.0.0.1":              codePrivateAddress,
		"255.255.255.255":        codePrivateAddress,
		"[fd00::1]":              codePrivateAddress,
		"[fe80::1]":              codePrivateAddress,
		"[fe80::1%25lo]":         codePrivateAddress,
		"127.0.0.①":              codePrivateAddress, // IDNA folds it to a digit
		"①②⑦.0.0.1":              codeBadURL,
		"%31%32%37.0.0.1":        codeBadURL,
		"127.1":                  codeBadURL,
		"127.0.1":                codeBadURL,
		"2130706433":             codeBadURL,
		"0x7f000001":             codeBadURL,
		"0x7f.0.0.1":             codeBadURL,
		"0177.0.0.1":             codeBadURL,
		"017700000001":           codeBadURL,
		"127.0.0.1.":             codeBadURL,
		"3232235777":             codeBadURL,
		"0300.0250.01.01":        codeBadURL,
		"00000000000000.0.0.0x1": codeBadURL,
	} {
		t.Run(host, func(t *testing.T) {
			refused(t, public(t), "http://"+host+":"+port+"/", code, true)
		})
	}
}

func portOf(t *testing.T, s *httptest.Server) string {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

func TestAllowHosts(t *testing.T) {
	s := serveBody(t, "text/html", article(8))
	port := portOf(t, s)
	for _, tt := range []struct {
		allow, host string
		ok          bool
	}{
		{"loopback", "127.0.0.1", true},
		{"Loopback", "localhost", true},
		{"loopback", "10.0.0.1", false},
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1:" + port, "127.0.0.1", true},
		{"127.0.0.1:" + port, "localhost", true},
		{"127.0.0.1:1", "127.0.0.1", false},
		{"127.0.0.2", "127.0.0.1", false},
		{"127.0.0.0/8", "127.0.0.1", true},
		{"::ffff:127.0.0.1", "127.0.0.1", true},
		{"[::1]", "127.0.0.1", false},
		{"localhost", "localhost", true},
		{"localhost", "LocalHost", true},
		{"localhost:" + port, "localhost", true},
		{"localhost:1", "localhost", false},
		{"localhost", "127.0.0.1", false},
		{"10.0.0.0/8, 127.0.0.1", "127.0.0.1", false}, // one entry, not a list
		{"", "127.0.0.1", false},
	} {
		t.Run(tt.allow+" for "+tt.host, func(t *testing.T) {
			r, err := New(Config{AllowHosts: []string{tt.allow}, Timeout: 5 * time.Second})
			if err != nil {
				if tt.ok {
					t.Error(err)
				}
				return
			}
			_, err = r.Retrieve(t.Context(), "http://"+tt.host+":"+port+"/")
			if tt.ok && err != nil || !tt.ok && commentator.ErrorCode(err) != codePrivateAddress {
				t.Errorf("allowed %v, want %v: %v", err == nil, tt.ok, err)
			}
		})
	}
}

func TestAllowHostsRefusesWhatItCannotRead(t *testing.T) {
	for _, entry := range []string{"10.0.0.0/99", "http://host", "user@host", "*.example.com", "host:", "host:0", "host:99999", "host:x", "127.1", "a b"} {
		if _, err := newGuard([]string{entry}); err == nil {
			t.Errorf("%q is accepted", entry)
		}
	}
}

// The guard sees the address that is dialled. So a name with a harmless first answer and a
// private second one (DNS rebinding) gains nothing.
func TestGuardChecksTheDialledAddress(t *testing.T) {
	g, err := newGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.control("tcp4", "93.184.215.14:8080", nil); err != nil {
		t.Errorf("a public address is refused: %v", err)
	}
	for _, addr := range []string{"127.0.0.1:80", "[::1]:80", "[::ffff:10.0.0.1]:80", "no address"} {
		if g.control("tcp", addr, nil) == nil {
			t.Errorf("%s is let through", addr)
		}
	}
	_, err = newTransport(g, DefaultTimeout).DialContext(context.Background(), "tcp", net.JoinHostPort("localhost", "80"))
	if commentator.ErrorCode(requestError(&url.URL{Scheme: "http", Host: "localhost"}, err)) != codePrivateAddress {
		t.Errorf("localhost is dialled: %v", err)
	}
}

func TestNoProxyIsUsed(t *testing.T) {
	g, err := newGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	if newTransport(g, DefaultTimeout).Proxy != nil {
		t.Error("a proxy would resolve names behind the guard's back")
	}
}

// The guard stands before every request of every adapter: a rule or an address of an API
// opens no way around it.
func TestGuardHoldsForEveryAdapter(t *testing.T) {
	s := newService(t, map[string]reply{
		askPaper:            {body: recorded(t, "arxiv/paper.xml")},
		"/pdf/2411.01234v2": {header: mediaType("text/html"), body: article(8)},
		askRepo:             {body: recorded(t, "github/repo.json")},
	})
	closed := func(c *Config) { c.AllowHosts = nil }
	for path, tt := range map[string]struct{ rule, adapter string }{
		"/abs/2411.01234v2":               {"arxiv", "ArxivAdapter"},
		"/pdf/2411.01234v2":               {"arxiv", "ArxivAdapter"},
		"/harbour-lab/tidebook":           {"github", "GithubAdapter"},
		"/harbour-lab/tidebook/issues/12": {"github", "GithubAdapter"},
		"/page":                           {"generic", "GenericAdapter"},
	} {
		r := newSpecial(t, s, "127.0.0.1: {adapter: "+tt.rule+"}\n", closed)
		refusedBy(t, r, s.URL+path, tt.adapter, codePrivateAddress, true)
	}
	if asked := s.requests(); len(asked) > 0 {
		t.Errorf("private addresses were asked for %q", asked)
	}

	// One host is allowed; the others that an adapter goes to are not.
	site := newService(t, map[string]reply{"/pdf/2411.01234v2": {header: mediaType("application/pdf"), body: "%PDF-1.4\n"}})
	r := newSpecial(t, s, "www.arxiv.org: {adapter: arxiv, fetch_pdf_text: true}\n", func(c *Config) {
		c.AllowHosts, c.ArxivSite = []string{s.Listener.Addr().String()}, site.URL
	})
	e := get(t, r, "https://www.arxiv.org/abs/2411.01234v2")
	if len(e.Errors) != 1 || !strings.Contains(e.Errors[0], "is not a public address") || len(site.requests()) > 0 {
		t.Errorf("errors %q, requests %q", e.Errors, site.requests())
	}
	api := newService(t, map[string]reply{askRepo: {status: http.StatusMovedPermanently, header: http.Header{"Location": {"http://10.1.2.3/repos/x"}}}})
	r = newSpecial(t, api, "127.0.0.1: {adapter: github}\n")
	refusedBy(t, r, api.URL+"/harbour-lab/tidebook", "GithubAdapter", "http_404", true) // the page is read instead
	if want := []string{askRepo, "/harbour-lab/tidebook"}; !slices.Equal(api.requests(), want) {
		t.Errorf("requests %q, want %q", api.requests(), want)
	}
}

// Answers of APIs have the limit of pages.
func TestHugeAnswersOfAPIsAreRefused(t *testing.T) {
	huge := reply{body: strings.Repeat(" ", DefaultMaxBytes+1)}
	s := newService(t, map[string]reply{
		askPaper: huge, "/abs/2411.01234v2": {header: mediaType("text/html"), body: article(8)},
		askRepo: huge, "/harbour-lab/tidebook": {header: mediaType("text/html"), body: article(8)},
	})
	for path, rule := range map[string]string{"/abs/2411.01234v2": "arxiv", "/harbour-lab/tidebook": "github"} {
		e := get(t, newSpecial(t, s, "127.0.0.1: {adapter: "+rule+"}\n"), s.URL+path)
		if len(e.Errors) != 1 || !strings.Contains(e.Errors[0], "is larger than") {
			t.Errorf("%s: errors %q", path, e.Errors)
		}
	}
}

// A site whose API hangs costs its time and no more; the page is read in a time of its own.
func TestHangingAPIs(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") || strings.HasPrefix(r.URL.Path, "/repos/") {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte(article(8)))
	})
	for path, rule := range map[string]string{"/abs/2411.01234v2": "arxiv", "/harbour-lab/tidebook": "github"} {
		r := newSpecial(t, &service{Server: s}, "127.0.0.1: {adapter: "+rule+", timeout: 0.2}\n")
		if e := get(t, r, s.URL+path); len(e.Errors) != 1 || !strings.Contains(e.Errors[0], "did not answer in time") {
			t.Errorf("%s: errors %q", path, e.Errors)
		}
	}
}
