package slack

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// LinkKey returns what tells the page of a link apart from other pages: host, path and
// query, without what does not change the page. That is the scheme, www., the usual ports,
// credentials, the case of the host, escapes that need not be, the order of the query's
// names, a slash at the end, a fragment, and names that only follow readers around.
//
// Two links with one key are taken for the same page. A link that cannot be read is its own
// key. The key is for comparison: it is not meant to be fetched.
func LinkKey(link string) string {
	link = strings.TrimSpace(link)
	u, err := url.Parse(link)
	if err != nil || u.Host == "" {
		return link
	}
	host := hostKey(u)
	key := host + pathKey(u)
	if query := queryKey(host, u.RawQuery); query != "" {
		key += "?" + query
	}
	if route := u.EscapedFragment(); strings.HasPrefix(route, "!") || strings.HasPrefix(route, "/") {
		key += "#" + route // pages that are programs keep their address there
	}
	return key
}

func hostKey(u *url.URL) string {
	host := strings.TrimRight(u.Hostname(), ".")
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	host = strings.ToLower(host)
	for strings.HasPrefix(host, "www.") && strings.Count(host, ".") > 1 {
		host = host[len("www."):]
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" && port != "80" && port != "443" {
		host += ":" + port
	}
	return host
}

func pathKey(u *url.URL) string {
	if u.Path == "" || u.Path == "/" {
		return ""
	}
	clean := path.Clean("/" + u.Path) // also cuts the slash at the end
	if clean == "/" {
		return ""
	}
	return (&url.URL{Path: clean}).EscapedPath()
}

// queryKey sorts a query by its names and leaves out those of trackers. Values of one name
// keep their order.
func queryKey(host, raw string) string {
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, value = unescape(name), unescape(value)
		if name+value != "" && !isTracker(host, name) {
			pairs = append(pairs, pair{name, value})
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	var out []string
	for _, p := range pairs {
		name := url.QueryEscape(p.name)
		if p.value != "" {
			name += "=" + url.QueryEscape(p.value)
		}
		out = append(out, name)
	}
	return strings.Join(out, "&")
}

// unescape leaves a text as it is that is not escaped well.
func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// trackers are names in queries that say where a reader came from. Names that some site uses
// for its content, such as ref, are not among them.
var trackers = []string{
	"fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "ttclid", "twclid", "li_fat_id", "igsh", "igshid",
	"mc_cid", "mc_eid", "mkt_tok", "_hsenc", "_hsmi", "__hstc", "__hssc", "__hsfp", "hsctatracking", "vero_id", "vero_conv",
	"oly_anon_id", "oly_enc_id", "_openstat", "ref_src", "ref_url", "_ga", "_gl", "srsltid", "cmpid", "s_cid", "wt_mc", "rb_clickid",
}

// trackersOf are such names of single sites and what is below them.
var trackersOf = map[string][]string{
	"youtube.com": {"si", "feature", "pp", "ab_channel"},
	"youtu.be":    {"si", "feature"},
	"twitter.com": {"s", "t"},
	"x.com":       {"s", "t"},
	"spotify.com": {"si"},
	"linkedin.com": {
		"trk", "trackingid", "lipi", "midtoken", "midsig", "trkemail", "rcm",
	},
	"medium.com": {"source"},
}

func isTracker(host, name string) bool {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "utm_") || slices.Contains(trackers, name) {
		return true
	}
	for site, names := range trackersOf {
		if (host == site || strings.HasSuffix(host, "."+site)) && slices.Contains(names, name) {
			return true
		}
	}
	return false
}
