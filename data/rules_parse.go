package data

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

func loadRules(ctx context.Context, files source) (Rules, error) {
	body, err := files.read(ctx, DomainRulesFile)
	if err != nil {
		return Rules{}, err
	}
	return parseRules(files.name(DomainRulesFile), body)
}

// everyOther is the key of the rule that holds where no other does.
const everyOther = "default"

// domainName matches host names of two labels or more, and localhost. Another single word
// is more likely a misspelt key.
var domainName = regexp.MustCompile(`^(localhost|[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+)$`)

// parseRules reads a file of rules. Its errors, joined, name file, line and key.
func parseRules(name string, body []byte) (Rules, error) {
	var root yaml.Node
	if err := decode(name, body, &root); err != nil {
		return Rules{}, err
	}
	p := &ruleParser{file: name}
	entries := p.entries("the file", unwrap(&root))

	others := standard
	for _, e := range entries {
		if e.key == everyOther {
			others = p.rule(e, standard)
		}
	}
	rules := Rules{others: &others, domains: map[string]Rule{}}
	for _, e := range entries {
		if e.key == everyOther {
			continue
		}
		domain := domainKey(e.key)
		switch _, twice := rules.domains[domain]; {
		case !domainName.MatchString(domain):
			p.wrong(e.line, e.key, "is neither default nor a domain; write for instance github.com, without scheme, port, path or *: what is below it is included")
		case twice:
			p.wrong(e.line, e.key, "is there twice; keep one")
		default:
			rules.domains[domain] = p.rule(e, others)
		}
	}
	return rules, errors.Join(p.errs...)
}

// ruleParser reads rules and gathers what is wrong with them.
type ruleParser struct {
	file string
	errs []error
}

// entry is a key of a mapping with its value.
type entry struct {
	key   string
	line  int
	value *yaml.Node
}

func (p *ruleParser) wrong(line int, key, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s: line %d: %s: %s", p.file, line, key, fmt.Sprintf(format, args...)))
}

// entries returns what a mapping holds, without keys that are there twice.
func (p *ruleParser) entries(of string, n *yaml.Node) []entry {
	if n.Kind != yaml.MappingNode {
		p.wrong(n.Line, of, "is not a mapping; write key: value, one a line")
		return nil
	}
	var list []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		e := entry{key: n.Content[i].Value, line: n.Content[i].Line, value: unwrap(n.Content[i+1])}
		if slices.ContainsFunc(list, func(o entry) bool { return o.key == e.key }) {
			p.wrong(e.line, e.key, "is there twice; keep one")
			continue
		}
		list = append(list, e)
	}
	return list
}

// unwrap returns what a document or an alias stands for.
func unwrap(n *yaml.Node) *yaml.Node {
	switch {
	case n.Kind == yaml.DocumentNode && len(n.Content) == 1:
		return unwrap(n.Content[0])
	case n.Kind == yaml.AliasNode:
		return n.Alias
	}
	return n
}

// ruleKeys are the keys of a rule: how each is read, and the adapter that it is for.
var ruleKeys = map[string]struct {
	adapter string // empty: any
	read    func(*Rule, *yaml.Node) error
}{
	"adapter": {"", func(r *Rule, n *yaml.Node) error {
		if !slices.Contains(adapters, n.Value) {
			return fmt.Errorf("%q is not known; use one of %s", n.Value, strings.Join(adapters, ", "))
		}
		r.Adapter = n.Value
		return nil
	}},
	// The old deployment could choose how text is extracted. Here there is one way.
	"extraction": {"", func(_ *Rule, n *yaml.Node) error {
		if n.Value != "trafilatura" && n.Value != "readability" {
			return fmt.Errorf("%q is not known; leave it out, there is one way to extract text", n.Value)
		}
		return nil
	}},
	"max_snippets":          {"", func(r *Rule, n *yaml.Node) error { return readCount(&r.MaxSnippets, n, 1, 1000) }},
	"max_chars_per_snippet": {"", func(r *Rule, n *yaml.Node) error { return readCount(&r.MaxChars, n, 80, 10_000) }},
	"timeout":               {"", func(r *Rule, n *yaml.Node) error { return readTimeout(&r.Timeout, n) }},
	"fetch_readme":          {AdapterGithub, func(r *Rule, n *yaml.Node) error { return readSwitch(&r.FetchReadme, n) }},
	"fetch_releases":        {AdapterGithub, func(r *Rule, n *yaml.Node) error { return readSwitch(&r.FetchReleases, n) }},
	"fetch_abstract":        {AdapterArxiv, func(r *Rule, n *yaml.Node) error { return readSwitch(&r.FetchAbstract, n) }},
	"fetch_pdf_text":        {AdapterArxiv, func(r *Rule, n *yaml.Node) error { return readSwitch(&r.FetchPDFText, n) }},
}

// rule reads one rule; what it leaves out is as in base.
func (p *ruleParser) rule(e entry, base Rule) Rule {
	r := base
	settings := p.entries(e.key, e.value)
	for _, s := range settings {
		path := e.key + "." + s.key
		known, found := ruleKeys[s.key]
		if !found {
			p.wrong(s.line, path, "is not a known key; use one of %s", strings.Join(slices.Sorted(maps.Keys(ruleKeys)), ", "))
			continue
		}
		if s.value.Kind != yaml.ScalarNode || s.value.ShortTag() == "!!null" {
			p.wrong(s.line, path, "is not a single value; write it behind the colon")
			continue
		}
		if err := known.read(&r, s.value); err != nil {
			p.wrong(s.line, path, "%v", err)
		}
	}
	for _, s := range settings {
		if of := ruleKeys[s.key].adapter; of != "" && of != r.Adapter {
			p.wrong(s.line, e.key+"."+s.key, "is for the adapter %s, and this rule has %s; change the adapter or take the key out", of, r.Adapter)
		}
	}
	if r.Adapter == AdapterArxiv && !r.FetchAbstract && !r.FetchPDFText {
		p.wrong(e.line, e.key, "fetch_abstract and fetch_pdf_text are both off, so that nothing of a paper would be read; switch one on")
	}
	return r
}

func readCount(to *int, n *yaml.Node, least, most int) error {
	var v int
	if err := n.Decode(&v); err != nil || v < least || v > most {
		return fmt.Errorf("%q is not a whole number from %d to %d", n.Value, least, most)
	}
	*to = v
	return nil
}

func readSwitch(to *bool, n *yaml.Node) error {
	if err := n.Decode(to); err != nil {
		return fmt.Errorf("%q is not true or false", n.Value)
	}
	return nil
}

// maxTimeout leaves time within the queue's ten minutes for the other stages.
const maxTimeout = 5 * time.Minute

// readTimeout reads seconds, as the old deployment wrote them, or a Go duration.
func readTimeout(to *time.Duration, n *yaml.Node) error {
	d, err := time.ParseDuration(n.Value)
	if seconds, noNumber := strconv.ParseFloat(n.Value, 64); noNumber == nil && seconds <= maxTimeout.Seconds() {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d <= 0 || d > maxTimeout {
		return fmt.Errorf("%q is no time limit; write seconds, such as 15, or a duration, such as 90s, up to %s", n.Value, maxTimeout)
	}
	*to = d
	return nil
}
