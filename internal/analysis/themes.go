package analysis

import (
	"slices"
	"strings"

	"github.com/technoshare/commentator/data"
)

// generalTheme heads project bullets that fit none of our themes.
const generalTheme = "General"

// How many project bullets the offline analyser writes.
const (
	minProjects = 3
	maxProjects = 5
)

// themeMatcher finds the sentences that speak of a theme.
type themeMatcher struct {
	name    string
	phrases [][]string // stems of its keywords and of its stack
}

func newThemeMatchers(themes []data.Theme) []themeMatcher {
	var list []themeMatcher
	for _, t := range themes {
		m := themeMatcher{name: t.Name}
		seen := map[string]bool{}
		for _, keyword := range append(slices.Clone(t.Keywords), t.Stack...) {
			phrase := stems(keyword)
			if key := strings.Join(phrase, " "); key != "" && !seen[key] {
				seen[key] = true
				m.phrases = append(m.phrases, phrase)
			}
		}
		list = append(list, m)
	}
	return list
}

// score counts the keywords in a sentence; a keyword of n words counts n.
func (m themeMatcher) score(sentence []string) int {
	n := 0
	for _, phrase := range m.phrases {
		if containsPhrase(sentence, phrase) {
			n += len(phrase)
		}
	}
	return n
}

// projects returns the project bullets: for each theme that the page speaks of its best
// sentence, the strongest theme first. When fewer than three themes match, the best
// sentences that are left follow under General.
func (d *document) projects(themes []themeMatcher) []string {
	type match struct {
		theme int
		line  int
		score float64
	}
	var matches []match
	for i, l := range d.lines {
		sentence := stems(l.text)
		for t, m := range themes {
			if n := m.score(sentence); n > 0 {
				// The keywords decide; what the sentence says about the page breaks ties.
				matches = append(matches, match{t, i, float64(n) + l.score})
			}
		}
	}
	slices.SortStableFunc(matches, func(a, b match) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return a.theme - b.theme
	})
	var bullets []string
	used := map[int]bool{}
	taken := map[int]bool{}
	add := func(theme string, line int) {
		used[line] = true
		bullets = append(bullets, "**"+theme+"** — "+d.lines[line].text)
	}
	for _, m := range matches {
		if len(bullets) < maxProjects && !taken[m.theme] && !used[m.line] {
			taken[m.theme] = true
			add(themes[m.theme].name, m.line)
		}
	}
	for _, i := range d.ranked {
		if len(bullets) < minProjects && !used[i] {
			add(generalTheme, i)
		}
	}
	return bullets
}
