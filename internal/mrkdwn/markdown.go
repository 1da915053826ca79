package mrkdwn

import (
	"regexp"
	"strings"
)

var link = regexp.MustCompile(`<(https?://[^|>\s]+)\|([^>\n]+)>`)

// Markdown lays a text of Slack out as Markdown. Slack writes *bold*, • and 1) where Markdown wants
// **bold**, - and 1. with a blank line before a list. Escapes stay, since they are Markdown's too; Plain
// takes them away, and must come after: what it makes of an escaped < may look like a link.
func Markdown(s string) string {
	var lines []string
	inList := false
	if HasLabels(s) {
		s = link.ReplaceAllString(s, "[$2]($1)")
	}
	for line := range strings.Lines(strings.TrimSpace(s)) {
		line = strings.TrimRight(line, "\r\n\t ")
		line, item := listItem(bold(line))
		last := ""
		if len(lines) > 0 {
			last = lines[len(lines)-1]
		}
		if line == "" && last == "" {
			continue
		}
		if line != "" && last != "" && item != inList {
			lines = append(lines, "")
		}
		inList = item
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// HasLabels reports whether a text may have links that show a label of their own.
func HasLabels(s string) bool { return strings.IndexByte(s, '|') >= 0 }

// listItem returns a line as Markdown wants items of lists, and whether it is one.
func listItem(line string) (string, bool) {
	if text, ok := strings.CutPrefix(line, "• "); ok {
		return "- " + text, true
	}
	rest := strings.TrimLeft(line, "0123456789")
	number := line[:len(line)-len(rest)]
	if number == "" {
		return line, strings.HasPrefix(line, "- ")
	}
	if text, ok := strings.CutPrefix(rest, ") "); ok {
		return number + ". " + text, true
	}
	return line, strings.HasPrefix(rest, ". ")
}

// bold turns *this* into **this**; 2 * 3 * 4 stays.
func bold(line string) string {
	if strings.IndexByte(line, '*') < 0 {
		return line
	}
	var b strings.Builder
	for {
		before, after, _ := strings.Cut(line, "*")
		inside, rest, ok := strings.Cut(after, "*")
		if !ok {
			b.WriteString(line)
			return b.String()
		}
		b.WriteString(before)
		if inside == "" || strings.TrimSpace(inside) != inside {
			b.WriteByte('*')
			line = after
			continue
		}
		b.WriteString("**" + inside + "**")
		line = rest
	}
}
