package retrieval

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// numericHost matches hosts whose last label is a number, decimal, octal or hexadecimal:
// "127.1", "0x7f.1", "2130706433". Browsers and libc read them as IPv4 addresses.
var numericHost = regexp.MustCompile(`^(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?$`)

// parseLink accepts absolute http and https addresses without credentials. Redirect
// targets go through checkLink as well.
func parseLink(link string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(link))
	if err != nil {
		return nil, final(codeBadURL, "The link %q is not an address: %v. Check it for stray characters.", shorten(link), unwrapURLError(err))
	}
	if err := checkLink(u); err != nil {
		return nil, err
	}
	return u, nil
}

func checkLink(u *url.URL) error {
	shown := shorten(u.Redacted())
	switch {
	case u.Scheme == "":
		return final(codeBadURL, "The link %q is not a web address. It must start with http:// or https://.", shown)
	case u.Scheme != "http" && u.Scheme != "https":
		return final(codeUnsupportedScheme, "The link %q uses %s. Only http and https pages can be read.", shown, u.Scheme)
	case u.Hostname() == "":
		return final(codeBadURL, "The link %q names no host. Write it as https://host/path.", shown)
	case u.User != nil:
		return final(codeBadURL, "The link %q carries a user name or password. Share it without.", shown)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return final(codeBadURL, "The link %q names port %s, which does not exist. Ports are numbers from 1 to 65535; check it.", shown, shorten(port))
		}
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil && numericHost.MatchString(u.Hostname()) {
		return final(codeBadURL, "The host of %q is an unusual spelling of an IP address. Write it as four decimal numbers.", shown)
	}
	return nil
}

// shorten keeps messages readable when a link is pages long.
func shorten(s string) string {
	const limit = 200
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	return string(r[:limit]) + "…"
}
