// Package render lays a comment out as text for the place where it is read. It is pure.
package render

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/technoshare/commentator/internal/commentator"
)

// sectionBreak is the end of a section's last line and two blank lines.
const sectionBreak = "\n\n\n"

// The titles of the sections, as readers and the old deployment's formatting check know them.
const (
	titleTLDR     = "tldr"
	titleSummary  = "Summary"
	titleProjects = "Projects"
	titleSimilar  = "Similar tech"
)

// noneSimilar stands for the items of a section without any.
var noneSimilar = []string{"• *N/A*"}

// Slack returns the comment as Slack mrkdwn: four sections, two blank lines between
// them. It neither judges nor cuts; a comment that the gates refuse is rendered too.
// Whatever the comment says, the text mentions nobody and holds no link markup of its own.
func Slack(c commentator.Comment) string {
	similar := bullets(c.SimilarTech)
	if len(similar) == 0 {
		similar = noneSimilar
	}
	return strings.Join([]string{
		section(titleTLDR, bullets(c.TLDR)),
		section(titleSummary, numbered(c.Summary)),
		section(titleProjects, bullets(c.Projects)),
		section(titleSimilar, similar),
	}, sectionBreak)
}

func section(title string, lines []string) string {
	return strings.Join(append([]string{"*" + title + "*"}, lines...), "\n")
}

func bullets(items []string) []string {
	lines := make([]string, len(items))
	for i, item := range items {
		lines[i] = "• " + mrkdwn(item)
	}
	return lines
}

func numbered(items []string) []string {
	lines := make([]string, len(items))
	for i, item := range items {
		lines[i] = strconv.Itoa(i+1) + ") " + mrkdwn(item)
	}
	return lines
}

var (
	lineBreak = regexp.MustCompile(`\s*[\n\r\v\f\x{85}\x{2028}\x{2029}]\s*`)
	bold      = regexp.MustCompile(`\*\*([^\s*](?:[^*]*[^\s*])?)\*\*`)
	code      = regexp.MustCompile("```.*?```|`[^`]+`")
	broadcast = regexp.MustCompile(`(?i)@(here|channel|everyone)\b`)
	// escape is all that Slack asks for; it also takes the life out of <!channel>, <@U1> and <url|text>.
	escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
)

func oneLine(s string) string { return strings.TrimSpace(lineBreak.ReplaceAllString(s, " ")) }

// mrkdwn returns one item as a single line of Slack mrkdwn.
func mrkdwn(s string) string {
	s = escape.Replace(oneLine(s))
	// In code too: what is code here need not be code to Slack, which pairs backticks over a whole line.
	s = broadcast.ReplaceAllString(s, "@\u200b$1")

	var b strings.Builder
	end := 0
	for _, span := range code.FindAllStringIndex(s, -1) {
		b.WriteString(bold.ReplaceAllString(s[end:span[0]], "*$1*"))
		b.WriteString(s[span[0]:span[1]])
		end = span[1]
	}
	b.WriteString(bold.ReplaceAllString(s[end:], "*$1*"))
	return b.String()
}
