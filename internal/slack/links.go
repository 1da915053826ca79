package slack

import (
	"regexp"
	"slices"
	"strings"
)

// inAngles matches what Slack marks up itself: <https://host/path|label>, <@U1>, <#C1|name>,
// <!here>, <mailto:a@b>. bare matches an address as a person types it.
var (
	inAngles = regexp.MustCompile(`<([^<>|\s]+)(?:\|[^<>]*)?>`)
	bare     = regexp.MustCompile(`(?i)\b(?:https?://|www\.)[^\s<>|"]+`)
	entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
)

// Links returns the first limit links of a message in reading order, each page once: links
// with one LinkKey are the same. A www. address without a scheme gets https.
func Links(text string, limit int) []string {
	var links, keys []string
	add := func(link string) {
		if strings.HasPrefix(strings.ToLower(link), "www.") {
			link = "https://" + link
		}
		if len(links) >= limit {
			return
		}
		if key := LinkKey(link); !slices.Contains(keys, key) {
			links, keys = append(links, link), append(keys, key)
		}
	}
	addBare := func(plain string) {
		for _, link := range bare.FindAllString(plain, -1) {
			if link = trim(entities.Replace(link)); bare.MatchString(link) { // "www..." and "https://" are none
				add(link)
			}
		}
	}
	rest := 0
	for _, at := range inAngles.FindAllStringSubmatchIndex(text, -1) {
		addBare(text[rest:at[0]])
		rest = at[1]
		if link := text[at[2]:at[3]]; bare.MatchString(link) && bare.FindStringIndex(link)[0] == 0 {
			add(entities.Replace(link))
		}
	}
	addBare(text[rest:])
	return links
}

// trim cuts the punctuation of the sentence around a link. A bracket that the link itself
// opened stays: https://en.wikipedia.org/wiki/Go_(game).
func trim(link string) string {
	for link != "" {
		last := link[len(link)-1]
		switch last {
		case '.', ',', ';', '>', ':', '!', '?', '\'', '*', '_', '~', '`':
		case ')':
			if strings.Count(link, "(") >= strings.Count(link, ")") {
				return link
			}
		case ']':
			if strings.Count(link, "[") >= strings.Count(link, "]") {
				return link
			}
		default:
			return link
		}
		link = link[:len(link)-1]
	}
	return link
}
