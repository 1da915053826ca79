package scorers

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/evaluation"
)

// FactsSupported is the share of facts that the snippets support which they cite: the snippets
// exist, hold every number of the fact, and most of its words.
const FactsSupported = "facts_supported"

const (
	// supportedWords is the share of a fact's longer words that its snippets must hold. A model
	// puts facts in words of its own, so that not all of them are to be found again.
	supportedWords = 0.5
	// supportedFacts is the share of facts that must be supported for the score to pass.
	supportedFacts = 0.8
	// longWord is the length from which on a word says something.
	longWord = 4
)

type factsScorer struct{}

var factsSupported evaluation.Scorer = factsScorer{}

// Info describes the scorer.
func (factsScorer) Info() evaluation.ScorerInfo {
	return evaluation.ScorerInfo{Name: FactsSupported, Required: true, Unit: "1"}
}

// Score judges a try.
func (factsScorer) Score(_ context.Context, m evaluation.Made) (evaluation.Score, bool, error) {
	out := evaluation.Score{Name: FactsSupported}
	if m.Err != nil && len(m.Facts.KeyFacts) == 0 {
		out.Reason = noComment
		return out, true, nil
	}
	if len(m.Facts.KeyFacts) == 0 {
		if out.Pass = len(m.Example.Recorded.Snippets) == 0; out.Pass {
			out.Value = 1
		} else {
			out.Reason = "There are no facts."
		}
		return out, true, nil
	}
	texts := map[string]string{}
	for _, s := range m.Example.Recorded.Snippets {
		texts[s.ID] = s.Content
	}
	var unsupported []string
	for i, f := range m.Facts.KeyFacts {
		if why := lacks(f, texts); why != "" {
			unsupported = append(unsupported, fmt.Sprintf("key_facts[%d] %s", i, why))
		}
	}
	n := len(m.Facts.KeyFacts)
	out.Value = float64(n-len(unsupported)) / float64(n)
	out.Pass = out.Value >= supportedFacts
	if len(unsupported) > 0 {
		out.Reason = fmt.Sprintf("%d of %s not supported: %s.", len(unsupported), counted.Of(n, "fact"), strings.Join(unsupported[:min(3, len(unsupported))], "; "))
	}
	return out, true, nil
}

// lacks says what a fact lacks, "" when it is supported.
func lacks(f commentator.Fact, texts map[string]string) string {
	if len(f.SupportedBy) == 0 {
		return "cites no snippet"
	}
	var cited strings.Builder
	for _, id := range f.SupportedBy {
		text, ok := texts[id]
		if !ok {
			return "cites " + id + ", which is not there"
		}
		cited.WriteString(text + " ")
	}
	held := map[string]bool{}
	for _, w := range words(cited.String()) {
		held[w] = true
	}
	long, found := 0, 0
	for _, w := range words(f.Fact) {
		if number(w) && !held[w] {
			return "says " + w + ", which its snippets do not"
		}
		if len(w) < longWord {
			continue
		}
		long++
		if held[w] {
			found++
		}
	}
	if float64(found) < supportedWords*float64(long) {
		return "has few words of its snippets"
	}
	return ""
}

// words are the words and numbers of a text in lower case, without endings of the plural.
func words(text string) []string {
	list := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' && r != ','
	})
	for i, w := range list {
		w = strings.Trim(w, ".,")
		if len(w) > longWord && !number(w) {
			w = strings.TrimSuffix(w, "s")
		}
		list[i] = w
	}
	return list
}

func number(w string) bool { return w != "" && w[0] >= '0' && w[0] <= '9' }
