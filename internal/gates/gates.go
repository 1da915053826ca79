// Package gates judges a comment before it is posted. It is pure: the same comment,
// themes and limits always give the same report.
package gates

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/sentence"
)

// The gates, in the order in which they are reported.
const (
	SummarySentenceCount = "summary_sentence_count"
	TLDRSentenceCount    = "tldr_sentence_count"
	ProjectThemes        = "project_themes"
	ProjectsCount        = "projects_count"
	ProjectsFormat       = "projects_format"
	SimilarTechCount     = "similar_tech_count"
	SentenceForm         = "sentence_form"
)

// Counts that belong to the layout of a comment and are not configurable.
const (
	projectsMin    = 3
	projectsMax    = 8
	similarTechMax = 8
)

// DefaultLimits are the limits that a comment has to keep unless configured otherwise.
var DefaultLimits = commentator.GateLimits{SummaryMin: 10, SummaryMax: 15, TLDR: 3, ThemesMin: 2}

// gate returns "" when the comment passes, else a sentence for people.
type gate struct {
	name  string
	check func(c commentator.Comment, themes []string, l commentator.GateLimits) string
}

var all = []gate{
	{SummarySentenceCount, summaryCount},
	{TLDRSentenceCount, tldrCount},
	{ProjectThemes, projectThemes},
	{ProjectsCount, projectsCount},
	{ProjectsFormat, projectsFormat},
	{SimilarTechCount, similarTechCount},
	{SentenceForm, sentenceForm},
}

// Check runs every gate over the comment and reports those that failed, in a fixed order.
// Themes are the names of our themes; a project bullet that begins with one of them,
// whatever the case, counts for project_themes.
func Check(c commentator.Comment, themes []string, l commentator.GateLimits) commentator.GateReport {
	report := commentator.GateReport{Total: len(all), Failures: []commentator.GateFailure{}}
	for _, g := range all {
		if message := g.check(c, themes, l); message != "" {
			report.Failures = append(report.Failures, commentator.GateFailure{Gate: g.name, Message: message})
		}
	}
	report.Passed = len(report.Failures) == 0
	return report
}

func summaryCount(c commentator.Comment, _ []string, l commentator.GateLimits) string {
	if n := len(c.Summary); n < l.SummaryMin || n > l.SummaryMax {
		return fmt.Sprintf("The summary has %s; %d to %d are needed.", counted.Of(n, "sentence"), l.SummaryMin, l.SummaryMax)
	}
	return ""
}

func tldrCount(c commentator.Comment, _ []string, l commentator.GateLimits) string {
	if n := len(c.TLDR); n != l.TLDR {
		return fmt.Sprintf("The tldr has %s; exactly %s needed.", counted.Of(n, "sentence"), counted.Form(l.TLDR, "is", "are"))
	}
	return ""
}

func projectThemes(c commentator.Comment, themes []string, l commentator.GateLimits) string {
	ours := make(map[string]bool, len(themes))
	for _, t := range themes {
		ours[strings.ToLower(t)] = true
	}
	n := 0
	for _, bullet := range c.Projects {
		if theme, ok := themeOf(bullet); ok && ours[strings.ToLower(theme)] {
			n++
		}
	}
	if n < l.ThemesMin {
		verb := "name"
		if n == 1 {
			verb = "names"
		}
		return fmt.Sprintf("%s of %d %s one of our themes; at least %s needed.", counted.Of(n, "project bullet"), len(c.Projects), verb, counted.Form(l.ThemesMin, "is", "are"))
	}
	return ""
}

func projectsCount(c commentator.Comment, _ []string, _ commentator.GateLimits) string {
	if n := len(c.Projects); n < projectsMin || n > projectsMax {
		verb := "are"
		if n == 1 {
			verb = "is"
		}
		return fmt.Sprintf("There %s %s; %d to %d are needed.", verb, counted.Of(n, "project bullet"), projectsMin, projectsMax)
	}
	return ""
}

func projectsFormat(c commentator.Comment, _ []string, _ commentator.GateLimits) string {
	var wrong []string
	for i, bullet := range c.Projects {
		if _, ok := themeOf(bullet); !ok {
			wrong = append(wrong, fmt.Sprintf("projects[%d]", i))
		}
	}
	if len(wrong) > 0 {
		return fmt.Sprintf("%s not of the form \"**Theme** — text\".", areOrIs(wrong))
	}
	return ""
}

func similarTechCount(c commentator.Comment, _ []string, _ commentator.GateLimits) string {
	if n := len(c.SimilarTech); n > similarTechMax {
		return fmt.Sprintf("There are %d similar technologies; at most %d are allowed.", n, similarTechMax)
	}
	return ""
}

func sentenceForm(c commentator.Comment, _ []string, _ commentator.GateLimits) string {
	var wrong []string
	for _, part := range []struct {
		name  string
		lines []string
	}{{"tldr", c.TLDR}, {"summary", c.Summary}, {"projects", c.Projects}, {"similar_tech", c.SimilarTech}} {
		for i, line := range part.lines {
			if !wellFormed(line) {
				wrong = append(wrong, fmt.Sprintf("%s[%d]", part.name, i))
			}
		}
	}
	if len(wrong) > 0 {
		return fmt.Sprintf("%s not one line that ends with . ! or ?", areOrIs(wrong))
	}
	return ""
}

// wellFormed reports whether the text is one line that ends as a sentence does.
func wellFormed(s string) bool {
	return sentence.Ends(s) && strings.ContainsFunc(s, spoken) && !strings.ContainsAny(s, "\n\r\v\f\u0085\u2028\u2029")
}

func spoken(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

var bulletForm = regexp.MustCompile(`^\*\*([^*\n]+)\*\* — \S`)

// themeOf returns the theme of a bullet of the form "**Theme** — text".
func themeOf(bullet string) (string, bool) {
	m := bulletForm.FindStringSubmatch(bullet)
	if m == nil || m[1] != strings.TrimSpace(m[1]) {
		return "", false
	}
	return m[1], true
}

func areOrIs(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}
