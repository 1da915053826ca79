package retrieval

import (
	"context"
	"net"
	"net/http/httptest"
	"net/url"
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
	_, err = newTransport(g).DialContext(context.Background(), "tcp", net.JoinHostPort("localhost", "80"))
	if commentator.ErrorCode(requestError(&url.URL{Scheme: "http", Host: "localhost"}, err)) != codePrivateAddress {
		t.Errorf("localhost is dialled: %v", err)
	}
}

func TestNoProxyIsUsed(t *testing.T) {
	g, err := newGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	if newTransport(g).Proxy != nil {
		t.Error("a proxy would resolve names behind the guard's back")
	}
}
