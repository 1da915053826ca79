package evaluation

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/technoshare/commentator/internal/counted"
)

// Spec is everything that decides what an evaluation comes to. One that was interrupted goes on
// only under the same.
type Spec struct {
	Dataset     DatasetRef   `json:"dataset"`
	Examples    []string     `json:"examples"` // ids with their hashes
	Analyser    string       `json:"analyser"`
	Prompts     []PromptRef  `json:"prompts"`
	Models      []ModelRef   `json:"models"`
	Repetitions int          `json:"repetitions"`
	Scorers     []ScorerInfo `json:"scorers"`
	Revision    string       `json:"revision,omitempty"`
	Settings    string       `json:"settings,omitempty"` // of models and limits, in words; empty: nobody noted them
}

// Differences says in words in what another spec differs.
func (s Spec) Differences(o Spec) []string {
	var out []string
	differ := func(what string, a, b []string) {
		if x, y := lacking(a, b), lacking(b, a); x+y != "" {
			out = append(out, fmt.Sprintf("%s (%s, was %s)", what, cmp.Or(y, "none"), cmp.Or(x, "none")))
		}
	}
	differ("the dataset", s.Dataset.words(), o.Dataset.words())
	differ("the selected examples", s.Examples, o.Examples)
	differ("the analyser", []string{s.Analyser}, []string{o.Analyser})
	prompt := func(p PromptRef) string { return p.Name + "@" + p.SHA256 }
	differ("the prompts", words(s.Prompts, prompt), words(o.Prompts, prompt))
	model := func(m ModelRef) string { return fmt.Sprintf("%s %s %s", m.Stage, m.Provider, m.Model) }
	differ("the models", words(s.Models, model), words(o.Models, model))
	differ("the repetitions", []string{strconv.Itoa(s.Repetitions)}, []string{strconv.Itoa(o.Repetitions)})
	scorer := func(i ScorerInfo) string { return i.Name }
	differ("the scorers", words(s.Scorers, scorer), words(o.Scorers, scorer))
	if s.Settings != "" {
		differ("the settings", strings.Split(s.Settings, ", "), strings.Split(o.Settings, ", "))
	}
	differ("the program", []string{s.Revision}, []string{o.Revision})
	return out
}

// words says each of a list in words.
func words[T any](list []T, say func(T) string) []string {
	out := make([]string, len(list))
	for i, one := range list {
		out[i] = say(one)
	}
	return out
}

func (d DatasetRef) words() []string {
	return []string{d.Name, "version " + d.Version, "hash " + d.Hash, counted.Of(d.Examples, "example")}
}

// shownDifferences is how many items of one list a message names.
const shownDifferences = 5

// digest is a SHA-256, or a revision of git, of which the beginning says enough.
var digest = regexp.MustCompile(`\b([0-9a-f]{12})[0-9a-f]{28,52}\b`)

// lacking names what a list has and another one lacks.
func lacking(list, other []string) string {
	var out []string
	for _, item := range list {
		if item != "" && !slices.Contains(other, item) {
			out = append(out, digest.ReplaceAllString(item, "$1"))
		}
	}
	if more := len(out) - shownDifferences; more > 0 {
		out = append(out[:shownDifferences], fmt.Sprintf("%d more", more))
	}
	return strings.Join(out, ", ")
}

// Spec is what decides what an evaluation with these settings comes to.
func (c Config) Spec() Spec {
	s := Spec{
		Dataset:  DatasetRef{Name: c.Dataset.Name, Version: c.Dataset.Version, Hash: c.Dataset.Hash(), Examples: len(c.Examples)},
		Analyser: c.AnalyserKind, Prompts: c.Prompts, Models: c.Models, Repetitions: c.Repetitions, Revision: c.Revision, Settings: c.Settings,
	}
	for _, e := range c.Examples {
		s.Examples = append(s.Examples, e.ID+" "+e.Hash())
	}
	for _, scorer := range c.Scorers {
		s.Scorers = append(s.Scorers, scorer.Info())
	}
	return s
}
