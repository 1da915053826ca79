package trend

import (
	"cmp"
	"maps"
	"regexp"
	"slices"

	"github.com/technoshare/commentator/internal/evaluation"
)

// Patterns are what examples that fail have in common.
type Patterns struct {
	// Never are the examples of which no try passed, Sometimes those of which some did.
	Never     []string `json:"never_pass"`
	Sometimes []string `json:"sometimes_pass"`
	// Newly are those that fail more often than in the newest evaluation of the version before.
	Newly []string `json:"newly_failing"`
	// Tags and Scorers say which share of the tries of a tag, or judged by a scorer, fail, the most
	// first; those of which none fails are left out.
	Tags    []Share `json:"tags"`
	Scorers []Share `json:"scorers"`
	// Reasons are what scorers and errors said, without what differs from page to page.
	Reasons []Reason `json:"reasons"`
}

// Share is how many tries of a kind failed.
type Share struct {
	Name   string `json:"name"`
	Failed int    `json:"failed"`
	Tries  int    `json:"tries"`
}

// Reason is why tries failed.
type Reason struct {
	Text     string   `json:"text"` // beginning with the scorer's name, or "error"
	Tries    int      `json:"tries"`
	Examples []string `json:"examples"`
}

// patterns looks at the results of one version, and at a result of the one before, if any.
func patterns(results []*evaluation.Results, earlier *evaluation.Results) Patterns {
	p := Patterns{Never: []string{}, Sometimes: []string{}, Newly: []string{}, Reasons: []Reason{}}
	rates := passRates(results...)
	old := map[string]float64{}
	if earlier != nil {
		old = passRates(earlier)
	}
	for _, id := range slices.Sorted(maps.Keys(rates)) {
		switch rate := rates[id]; {
		case rate == 0:
			p.Never = append(p.Never, id)
		case rate < 1:
			p.Sometimes = append(p.Sometimes, id)
		}
		if was, ok := old[id]; ok && rates[id] < was {
			p.Newly = append(p.Newly, id)
		}
	}
	c := counter{tags: map[string]*Share{}, scorers: map[string]*Share{}, reasons: map[string]*Reason{}}
	for _, r := range results {
		c.required = map[string]bool{}
		for _, s := range r.Scorers {
			c.required[s.Name] = s.Required
		}
		for _, t := range r.Tries {
			if t.Counts() {
				c.add(t)
			}
		}
	}
	p.Tags, p.Scorers = worst(c.tags), worst(c.scorers)
	for _, r := range c.reasons {
		p.Reasons = append(p.Reasons, *r)
	}
	slices.SortFunc(p.Reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Tries, a.Tries), cmp.Compare(a.Text, b.Text))
	})
	return p
}

func passRates(results ...*evaluation.Results) map[string]float64 {
	tries := map[string]*evaluation.ExampleTries{}
	for _, r := range results {
		for _, t := range r.Tries {
			if tries[t.Example] == nil {
				tries[t.Example] = &evaluation.ExampleTries{}
			}
			tries[t.Example].Tries = append(tries[t.Example].Tries, t)
		}
	}
	rates := map[string]float64{}
	for id, e := range tries {
		if rate, ok := e.PassRate(); ok {
			rates[id] = rate
		}
	}
	return rates
}

type counter struct {
	tags, scorers map[string]*Share
	reasons       map[string]*Reason
	required      map[string]bool
}

func (c *counter) add(t evaluation.Try) {
	for _, tag := range t.Tags {
		note(c.tags, tag, t.Passed)
	}
	if t.Error == evaluation.ErrorModel {
		c.reason("error: "+t.Message, t.Example)
	}
	for _, s := range t.Scores {
		note(c.scorers, s.Name, s.Pass)
		if !s.Pass && c.required[s.Name] {
			c.reason(s.Name+": "+s.Reason, t.Example)
		}
	}
}

func note(shares map[string]*Share, name string, passed bool) {
	if shares[name] == nil {
		shares[name] = &Share{Name: name}
	}
	shares[name].Tries++
	if !passed {
		shares[name].Failed++
	}
}

func (c *counter) reason(text, example string) {
	text = general(text)
	if c.reasons[text] == nil {
		c.reasons[text] = &Reason{Text: text}
	}
	r := c.reasons[text]
	r.Tries++
	if !slices.Contains(r.Examples, example) {
		r.Examples = append(r.Examples, example)
	}
}

var (
	quoted = regexp.MustCompile(`"[^"]*"|“[^”]*”`)
	number = regexp.MustCompile(`\d+(\.\d+)?`)
)

// general leaves out what differs from page to page: what is quoted, and numbers.
func general(text string) string {
	return number.ReplaceAllString(quoted.ReplaceAllString(text, "“…”"), "#")
}

func worst(shares map[string]*Share) []Share {
	out := []Share{}
	for _, s := range shares {
		if s.Failed > 0 {
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b Share) int {
		return cmp.Or(cmp.Compare(float64(b.Failed)/float64(b.Tries), float64(a.Failed)/float64(a.Tries)), cmp.Compare(b.Failed, a.Failed), cmp.Compare(a.Name, b.Name))
	})
	return out
}
