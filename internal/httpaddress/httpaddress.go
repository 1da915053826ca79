// Package httpaddress reads addresses of servers as people write them into settings. It knows no server:
// worker, Collector and mlflowctl refuse the same.
package httpaddress

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Parse reads the address of a server: http or https, with a host, perhaps with
// credentials and a path. A password that is not escaped makes url.Parse see a port, a path,
// a query or a fragment in it, so what url.Parse says is not repeated, nor is anything
// before an @, and an address with an @ behind its host is refused.
func Parse(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" ||
		strings.Contains(u.Path, "@") || u.RawQuery != "" || u.Fragment != "" {
		if i := strings.LastIndex(s, "@"); i >= 0 {
			return nil, fmt.Errorf("%q is not an address: want http://host[:port][/prefix] or https://…, with user:password@ before the host, in the password / as %%2F, ? as %%3F, # as %%23 and @ as %%40", "…"+s[i:])
		}
		return nil, fmt.Errorf("%q is not an address: want http://host[:port][/prefix] or https://…", s)
	}
	// url.Parse takes any digits for a port, and no host before it.
	if port, err := strconv.Atoi(cmp.Or(u.Port(), "80")); err != nil || port < 1 || port > 65535 || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is not an address: want http://host[:port][/prefix] or https://…, with the name of a host and a port of 1 to 65535", u.Scheme+"://"+u.Host+u.Path)
	}
	return u, nil
}
