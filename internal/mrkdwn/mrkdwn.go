// Package mrkdwn shows texts of Slack as people read them, plain or as Markdown.
package mrkdwn

import "strings"

// entities are all that Slack escapes.
var entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

// Plain returns a text without Slack's markup of links, channels and groups, and without its escapes:
// <https://example.org|the page> is "the page (https://example.org)". Names of people stay as they are,
// since redaction knows them by their markup, and so does what is no markup.
func Plain(s string) string {
	if !strings.ContainsAny(s, "<&") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		at := strings.IndexByte(s, '<')
		if at < 0 {
			break
		}
		b.WriteString(entities.Replace(s[:at]))
		s = s[at:]
		end := strings.IndexAny(s[1:], "<>\n") + 1
		if end == 0 || s[end] != '>' {
			b.WriteByte('<')
			s = s[1:]
			continue
		}
		if plain := shown(s[1:end]); plain != "" {
			b.WriteString(entities.Replace(plain))
		} else {
			b.WriteString(s[:end+1])
		}
		s = s[end+1:]
	}
	b.WriteString(entities.Replace(s))
	return b.String()
}

// shown is what Slack shows of what stands between < and >, with the address of a link. It is empty
// for what stays as it is.
func shown(inside string) string {
	target, label, _ := strings.Cut(inside, "|")
	if target == "" {
		return ""
	}
	switch target[0] {
	case '@':
		return ""
	case '#': // <#C123|general>
		if label == "" {
			return target
		}
		return "#" + label
	case '!': // <!here>, <!subteam^S1|@team>, <!date^…|Monday>
		if label == "" && !strings.Contains(target, "^") {
			return "@" + target[1:]
		}
		return label
	}
	scheme, address, ok := strings.Cut(target, ":")
	switch {
	case !ok || !isScheme(scheme) || !strings.HasPrefix(address, "//") && scheme != "mailto" && scheme != "tel":
		return ""
	case label == "" || label == target:
		return target
	case strings.Trim(address, "/") == strings.Trim(label, "/"): // Slack marks example.org up as <http://example.org|example.org>
		if strings.HasPrefix(address, "//") {
			return target
		}
		return label
	}
	return label + " (" + target + ")"
}

func isScheme(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (i == 0 || (s[i] < '0' || s[i] > '9')) {
			return false
		}
	}
	return s != ""
}
