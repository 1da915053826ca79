// Package scorers judges comments, one file for each scorer.
package scorers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/evaluation"
)

// Options are what scorers can be told.
type Options struct {
	// MaxLatency in seconds and MaxCost in USD make latency and cost of a try a matter of
	// passing; 0: they are only measured.
	MaxLatency, MaxCost float64
	// Judge judges when judge is asked for; nil: there is none.
	Judge evaluation.Scorer
}

// names in the order in which scorers are applied.
var names = []string{
	SchemaValidity, TLDRSentenceCount, SummarySentenceCount, SlackFormatting, ProjectsThemePrefix,
	ExpectedTheme, FactsSupported, Gates, Latency, Cost,
}

// Names lists the scorers that are applied unless others are asked for.
func Names() []string { return slices.Clone(names) }

// Select returns the scorers of the given names, in their own order; without names all but judge.
func Select(asked []string, o Options) ([]evaluation.Scorer, error) {
	known := append(Names(), Judge)
	for _, name := range asked {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no scorer %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	if len(asked) == 0 {
		asked = names
	}
	var out []evaluation.Scorer
	for _, name := range known {
		switch {
		case !slices.Contains(asked, name):
		case name == Judge && o.Judge == nil:
			return nil, fmt.Errorf("scorer %s needs a model: set OPENAI_API_KEY", Judge)
		case name == Judge:
			out = append(out, o.Judge)
		default:
			out = append(out, byName(name, o))
		}
	}
	return out, nil
}

func byName(name string, o Options) evaluation.Scorer {
	switch name {
	case Latency:
		return latency(o.MaxLatency)
	case Cost:
		return cost(o.MaxCost)
	}
	return map[string]evaluation.Scorer{
		SchemaValidity: schemaValidity, TLDRSentenceCount: tldrSentenceCount, SummarySentenceCount: summarySentenceCount,
		SlackFormatting: slackFormatting, ProjectsThemePrefix: projectsThemePrefix, ExpectedTheme: expectedTheme,
		FactsSupported: factsSupported, Gates: gatesPassed,
	}[name]
}

// yesNo is a scorer that says yes, or no and why.
type yesNo struct {
	name  string
	check func(m evaluation.Made) (problem string)
	// silent reports tries of which it has nothing to say; nil: none.
	silent func(m evaluation.Made) bool
}

// Info describes the scorer.
func (s yesNo) Info() evaluation.ScorerInfo {
	return evaluation.ScorerInfo{Name: s.name, Required: true, YesNo: true, Unit: "1"}
}

// Score judges a try. One without a comment fails.
func (s yesNo) Score(_ context.Context, m evaluation.Made) (evaluation.Score, bool, error) {
	if s.silent != nil && s.silent(m) {
		return evaluation.Score{}, false, nil
	}
	out := evaluation.Score{Name: s.name}
	if m.Err != nil {
		out.Reason = noComment
	} else {
		out.Reason = s.check(m)
	}
	if out.Pass = out.Reason == ""; out.Pass {
		out.Value = 1
	}
	return out, true, nil
}

const noComment = "No comment was made."
