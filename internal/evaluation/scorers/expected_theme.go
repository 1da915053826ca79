package scorers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/evaluation"
)

// ExpectedTheme asks whether a project bullet names the theme that the dataset expects. It has
// nothing to say of examples without one.
const ExpectedTheme = "expected_theme"

var expectedTheme = yesNo{
	name:   ExpectedTheme,
	silent: func(m evaluation.Made) bool { return m.Example.ExpectedTheme == "" },
	check: func(m evaluation.Made) string {
		var named []string
		for _, bullet := range m.Comment.Projects {
			if t, ok := themeOf(bullet, m.Themes); ok && !slices.Contains(named, t) {
				named = append(named, t)
			}
		}
		switch {
		case slices.Contains(named, m.Example.ExpectedTheme):
			return ""
		case len(named) == 0:
			return fmt.Sprintf("%s is expected; no bullet names a theme.", m.Example.ExpectedTheme)
		}
		return fmt.Sprintf("%s is expected; the bullets name %s.", m.Example.ExpectedTheme, strings.Join(named, ", "))
	},
}
