package render

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/slack-go/slack"
	"golang.org/x/net/idna"
)

const (
	maxLink = 120   // how much of an address is shown
	maxURL  = 2_000 // how long one may be to become a link
)

// linkBlock is a line with the address of a page, or a piece without a block when no link can be
// made of it.
func linkBlock(link string) piece {
	address, ok := webAddress(link)
	if !ok {
		return piece{}
	}
	line := slack.NewRichTextSection(linkTo(address))
	return piece{block: richText(line), size: length(address) + maxLink}
}

func linkTo(address string) slack.RichTextSectionElement {
	return slack.NewRichTextSectionLinkElement(address, shortened(address, maxLink), nil)
}

// host matches names and addresses of hosts, with a port, as they may stand in a link.
var host = regexp.MustCompile(`^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$`)

// webAddress returns a link as an address of http or https without a password and with what must
// not stand in an address encoded. False: no such address can be made of it.
func webAddress(link string) (string, bool) {
	u, err := url.Parse(strings.TrimSpace(link))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" || u.User != nil {
		return "", false
	}
	if u.Host, err = idna.ToASCII(u.Host); err != nil || !host.MatchString(u.Host) {
		return "", false
	}
	u.RawQuery = encoded(u.RawQuery) // the one part that package url leaves as it is
	address := u.String()
	return address, length(address) <= maxURL
}

// encoded percent-encodes what must not stand in a query.
func encoded(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
