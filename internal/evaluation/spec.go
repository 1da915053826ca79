package evaluation

import (
	"fmt"
	"slices"
	"strings"
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
	differ := func(what string, a, b any) {
		if x, y := fmt.Sprint(a), fmt.Sprint(b); x != y {
			out = append(out, fmt.Sprintf("%s (%s, was %s)", what, y, x))
		}
	}
	differ("the dataset", s.Dataset, o.Dataset)
	if !slices.Equal(s.Examples, o.Examples) {
		out = append(out, "the selected examples")
	}
	differ("the analyser", s.Analyser, o.Analyser)
	differ("the prompts", s.Prompts, o.Prompts)
	differ("the models", s.Models, o.Models)
	differ("the repetitions", s.Repetitions, o.Repetitions)
	differ("the scorers", scorerNames(s.Scorers), scorerNames(o.Scorers))
	if s.Settings != "" {
		differ("the settings", s.Settings, o.Settings)
	}
	differ("the program", s.Revision, o.Revision)
	return out
}

func scorerNames(list []ScorerInfo) string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.Name
	}
	return strings.Join(names, " ")
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
