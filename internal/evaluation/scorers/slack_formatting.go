package scorers

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/evaluation"
)

// SlackFormatting asks whether the text for Slack has the layout that people know: four titled
// sections with two blank lines between them, bullets, a numbered summary, and no Markdown.
const SlackFormatting = "slack_formatting"

// Code may hold stars, as **kwargs does.
var (
	codeSpan     = regexp.MustCompile("```.*?```|`[^`]+`")
	markdownBold = regexp.MustCompile(`\*\*\S(?:.*?\S)?\*\*`)
)

// sectionBreak stands between two sections.
const sectionBreak = "\n\n\n"

var slackFormatting = yesNo{name: SlackFormatting, check: func(m evaluation.Made) string {
	sections := strings.Split(m.Rendered, sectionBreak)
	titles := []string{"*tldr*", "*Summary*", "*Projects*", "*Similar tech*"}
	if len(sections) != len(titles) {
		return fmt.Sprintf("There are %s; %d are needed, with two blank lines between them.", counted.Of(len(sections), "section"), len(titles))
	}
	for i, section := range sections {
		lines := strings.Split(section, "\n")
		if lines[0] != titles[i] {
			return fmt.Sprintf("Section %d begins with %.40q, not %s.", i+1, lines[0], titles[i])
		}
		for n, line := range lines[1:] {
			prefix := "• "
			if titles[i] == "*Summary*" {
				prefix = fmt.Sprintf("%d) ", n+1)
			}
			if !strings.HasPrefix(line, prefix) {
				return fmt.Sprintf("Line %d of section %s does not begin with %q: %.40q.", n+1, titles[i], prefix, line)
			}
		}
	}
	for line := range strings.Lines(m.Rendered) {
		if markdownBold.MatchString(codeSpan.ReplaceAllString(line, "")) {
			return "Markdown's ** is left in the text; Slack's bold is one *."
		}
	}
	return ""
}}
