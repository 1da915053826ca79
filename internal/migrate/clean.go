package migrate

import (
	"regexp"
	"strings"
	"time"
)

// replacement stands for what no text of a database may hold.
const replacement = "\uFFFD"

// clean replaces NUL characters and bytes that are no UTF-8, which PostgreSQL refuses.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, replacement), "\x00", replacement)
}

// oldTime is SQLite's CURRENT_TIMESTAMP.
const oldTime = "2006-01-02 15:04:05"

// parseTime reads a time in UTC: SQLite's own, or ISO 8601 as Python writes it, with or without
// a fraction and an offset.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{oldTime, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Truncate(time.Microsecond), true
		}
	}
	return time.Time{}, false
}

// slackTS is what Slack's timestamps look like until the year 2286; as texts they are in order.
var slackTS = regexp.MustCompile(`^[0-9]{10}\.[0-9]{6}$`)

// oldLink finds what the old program took for a link. It cut the characters of trailing; Slack's
// own <address|text> ends an address too.
var (
	oldLink  = regexp.MustCompile(`(?i)(?:https?://|\bwww\.)[^\s<>|"]+`)
	entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
)

const trailing = ")>.,;]"

// firstLink returns the one link that the old program worked on, with https before an address
// that has no scheme; empty: the text holds none.
func firstLink(text string) string {
	for _, link := range oldLink.FindAllString(text, -1) {
		link = strings.TrimRight(entities.Replace(link), trailing)
		bare := strings.ToLower(link)
		if strings.HasPrefix(bare, "www.") {
			link, bare = "https://"+link, bare[len("www."):]
		}
		if bare = strings.TrimPrefix(strings.TrimPrefix(bare, "http://"), "https://"); bare != "" && bare != "www" {
			return link
		}
	}
	return ""
}
