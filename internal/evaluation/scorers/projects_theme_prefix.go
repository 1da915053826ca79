package scorers

import (
	"fmt"
	"strings"

	"github.com/technoshare/commentator/internal/evaluation"
)

// ProjectsThemePrefix asks whether each project bullet begins with the name of one of our themes,
// or with General, in bold.
const ProjectsThemePrefix = "projects_theme_prefix"

// general stands in front of a bullet that fits none of our themes.
const general = "General"

var projectsThemePrefix = yesNo{name: ProjectsThemePrefix, check: func(m evaluation.Made) string {
	if len(m.Comment.Projects) == 0 {
		return "There are no project bullets."
	}
	for i, bullet := range m.Comment.Projects {
		if _, ok := themeOf(bullet, append([]string{general}, m.Themes...)); !ok {
			return fmt.Sprintf("projects[%d] does not begin with **, the name of a theme and ** —: %.60q.", i, bullet)
		}
	}
	return ""
}}

// themeOf is the theme that a bullet begins with, as we write it.
func themeOf(bullet string, themes []string) (string, bool) {
	for _, t := range themes {
		prefix := "**" + t + "** — "
		if len(bullet) > len(prefix) && strings.EqualFold(bullet[:len(prefix)], prefix) {
			return t, true
		}
	}
	return "", false
}
