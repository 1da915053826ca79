package telemetry

import (
	"net/netip"
	"regexp"
	"strings"

	"golang.org/x/net/idna"
)

// hostProfile is lookup as browsers do it: with the underscores and hyphens that hosts have.
var hostProfile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false), idna.CheckHyphens(false))

var asciiHost = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// RuleHost brings a host into the one form in which the hosts of rules and of jobs are compared:
// lower case, ASCII, without a dot at the end. What is no host is returned as it is, in lower case,
// and not ok.
func RuleHost(host string) (_ string, ok bool) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return host, true
	}
	ascii, err := hostProfile.ToASCII(host)
	if err != nil || !asciiHost.MatchString(ascii) {
		return host, false
	}
	return ascii, true
}
