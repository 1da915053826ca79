package retrieval

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// privateAddressError is what the guard answers a dial with.
type privateAddressError struct{ addr string }

func (e *privateAddressError) Error() string { return "private address " + e.addr }

// guard decides which addresses may be connected to. It sits in net.Dialer.Control, so
// it sees the address that is really dialled, after name resolution: a name that
// resolves to a private address, at once or after a first harmless answer, is refused
// like the address itself.
type guard struct {
	public *ssrf.Guardian // public addresses and the allowed blocks, any port
	addrs  map[netip.AddrPort]bool
	hosts  map[string]bool // "name" or "name:port", lower case
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// newGuard parses the entries that Config.AllowHosts describes.
func newGuard(allow []string) (*guard, error) {
	g := &guard{addrs: map[netip.AddrPort]bool{}, hosts: map[string]bool{}}
	var prefixes []netip.Prefix
	var errs []error
	for _, entry := range allow {
		entry = strings.ToLower(strings.TrimSpace(entry))
		if entry == "" {
			continue
		}
		if entry == "loopback" {
			prefixes = append(prefixes, loopback...)
		} else if p, err := netip.ParsePrefix(entry); err == nil {
			prefixes = append(prefixes, p.Masked())
		} else if a, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
			prefixes = append(prefixes, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
		} else if ap, err := netip.ParseAddrPort(entry); err == nil {
			g.addrs[netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())] = true
		} else if err := checkHostEntry(entry); err == nil {
			g.hosts[entry] = true
		} else {
			errs = append(errs, fmt.Errorf("AllowHosts entry %q: %w; want \"loopback\", an address, a CIDR block, host or host:port", entry, err))
		}
	}
	var v4, v6 []netip.Prefix
	for _, p := range prefixes {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	g.public = ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	return g, errors.Join(errs...)
}

func checkHostEntry(entry string) error {
	name, port, hasPort := strings.Cut(entry, ":")
	if hasPort {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("port %q is no number from 1 to 65535", port)
		}
	}
	if name == "" || strings.ContainsAny(name, " /@*[]") || numericHost.MatchString(name) {
		return fmt.Errorf("%q is no host name", name)
	}
	return nil
}

// control is a net.Dialer.Control.
func (g *guard) control(network, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &privateAddressError{address}
	}
	if g.addrs[netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())] {
		return nil
	}
	if err := g.public.Safe(network, address, nil); err != nil {
		return &privateAddressError{ap.Addr().String()}
	}
	return nil
}

// allowsHost reports whether the host of a dial target is trusted by name.
func (g *guard) allowsHost(hostport string) bool {
	hostport = strings.ToLower(hostport)
	host, _, err := net.SplitHostPort(hostport)
	return err == nil && (g.hosts[host] || g.hosts[hostport])
}

// leastConnect is for how long a connection may be tried at least.
const leastConnect = 5 * time.Second

// connectWithin is how long each step of a connection may take, TCP's with the name's and TLS's: a part
// of the longest retrieval, so that a server that is away is given up early, and one that is slow has
// more time when somebody gave it more. It is no more than that since net/http goes on connecting when
// the retrieval has ended.
func connectWithin(longest time.Duration) time.Duration { return max(leastConnect, longest/3) }

// newTransport returns a transport that dials through g for retrievals that take longest at most. It
// uses no proxy: a proxy would resolve names itself, behind the guard's back. How long a connected
// server may take for an answer is the retrieval's own limit alone.
func newTransport(g *guard, longest time.Duration) *http.Transport {
	open := &net.Dialer{Timeout: connectWithin(longest)}
	guarded := *open
	guarded.Control = g.control
	return &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if g.allowsHost(addr) {
				return open.DialContext(ctx, network, addr)
			}
			return guarded.DialContext(ctx, network, addr)
		},
		TLSHandshakeTimeout:    connectWithin(longest),
		MaxResponseHeaderBytes: 256 << 10,
		ForceAttemptHTTP2:      true,
		// A host is rarely asked twice; so nothing stays open, and nothing has to be closed.
		DisableKeepAlives: true,
	}
}
