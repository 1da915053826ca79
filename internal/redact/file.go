package redact

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/technoshare/commentator/internal/boundedfile"
	"github.com/technoshare/commentator/internal/strictyaml"
)

// File holds rules of one's own and what is never masked.
type File struct {
	rules    []*rule
	allow    []allowed
	warnings []string
}

// Warnings are about rules that work and may not do what is wanted, each with file and line.
func (f *File) Warnings() []string { return f.warnings }

// fileFormat is how a file is written.
type fileFormat struct {
	// Rules are tried beside the built-in ones.
	Rules []fileRule `yaml:"rules"`
	// Allow lists what is left as it is although a rule finds it.
	Allow []fileAllow `yaml:"allow"`
}

type fileRule struct {
	// Name is what the mask says: [redacted:name]. Lower-case letters, digits and _.
	Name string `yaml:"name"`
	// Regex is what is looked for (RE2). If it has a group, only the first group is masked.
	Regex string `yaml:"regex"`
	// Prefix is a literal, or a list of them, one of which each match begins with. With it the
	// rule costs nothing where the literal is absent; without, the expression is tried on the
	// whole of every text.
	Prefix texts `yaml:"prefix"`
	// Inside says that a match may begin in the middle of a word.
	Inside bool `yaml:"inside"`
}

type fileAllow struct {
	// Text is the finding, to the letter; Regex matches the whole of it. One of the two.
	Text  string `yaml:"text"`
	Regex string `yaml:"regex"`
	// Rule is the rule whose findings are meant. Empty: of every rule.
	Rule string `yaml:"rule"`
}

// texts is a text or a list of texts.
type texts []string

// UnmarshalYAML reads either.
func (t *texts) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		return n.Decode((*[]string)(t))
	}
	var one string
	if err := n.Decode(&one); err != nil {
		return err
	}
	*t = texts{one}
	return nil
}

// allowed is a finding that is left as it is.
type allowed struct {
	text  string
	regex *regexp.Regexp // of the whole finding; nil: the text is meant
	rule  string
}

func (a allowed) fits(rule, found string) bool {
	if a.rule != "" && a.rule != rule {
		return false
	}
	if a.regex != nil {
		return a.regex.MatchString(found)
	}
	return a.text == found
}

// ReadFile reads a file of rules.
func ReadFile(path string) (*File, error) {
	body, err := boundedfile.Read(path, boundedfile.MaxSettings)
	if err != nil {
		return nil, fmt.Errorf("read redaction file: %w", err)
	}
	return Parse(path, body)
}

// Parse reads the text of a file of rules. The error joins all that is wrong, each with its
// line and the remedy.
func Parse(path string, body []byte) (*File, error) {
	file, err := parse(path, body, builtIn().names)
	if err != nil {
		return nil, err
	}
	for _, r := range file.rules {
		r.own = true
	}
	return file, nil
}

// parse also knows the names of rules that are not in the file.
func parse(path string, body []byte, known []string) (*File, error) {
	var format fileFormat
	decoder := strictyaml.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&format); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read redaction file %s: %w", path, strictyaml.Explain(err, &format))
	}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:%d: a second document begins here, which would not be read; take the line --- out and write one list of rules and one of allow", path, max(second.Line, 1))
	}
	lines := linesOf(body)
	file := &File{}
	var errs []error
	prefixes := 0
	for i, r := range format.Rules {
		compiled, wrong := r.compile()
		for _, w := range wrong {
			errs = append(errs, fmt.Errorf("%s:%d: rule %d: %w", path, lines("rules", i), i+1, w))
		}
		if q := quoteIn(maskedPart(r.Regex)); q != "" {
			file.warnings = append(file.warnings, fmt.Sprintf("%s:%d: rule %d: regex %q may mask a %s. Texts are JSON, which is none without it; put a group around the part to mask", path, lines("rules", i), i+1, r.Regex, q))
		}
		prefixes += len(r.Prefix)
		file.rules = append(file.rules, compiled)
		known = append(slices.Clip(known), r.Name)
	}
	for i, a := range format.Allow {
		compiled, err := a.compile(known)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: allow %d: %w", path, lines("allow", i), i+1, err))
		}
		file.allow = append(file.allow, compiled)
	}
	if prefixes > maxLiterals {
		errs = append(errs, fmt.Errorf("%s: %d prefixes are more than the %d that a file may have; leave some out", path, prefixes, maxLiterals))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return file, nil
}

// linesOf returns the lines at which the items of a list of the document begin.
func linesOf(body []byte) func(key string, item int) int {
	var document yaml.Node
	err := yaml.Unmarshal(body, &document)
	return func(key string, item int) int {
		if err != nil || len(document.Content) == 0 {
			return 0
		}
		pairs := document.Content[0].Content
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i].Value == key && item < len(pairs[i+1].Content) {
				return pairs[i+1].Content[item].Line
			}
		}
		return 0
	}
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func (f fileRule) compile() (*rule, []error) {
	var wrong []error
	if !validName.MatchString(f.Name) {
		wrong = append(wrong, fmt.Errorf("name %q: write lower-case letters, digits and _, such as employee_id", f.Name))
	}
	r := &rule{name: f.Name, literals: f.Prefix, inside: f.Inside}
	switch pattern, err := regexp.Compile(f.Regex); {
	case f.Regex == "":
		return r, append(wrong, errors.New("regex is missing: write what is to be masked"))
	case err != nil:
		return r, append(wrong, fmt.Errorf("regex: %w; the syntax is RE2's, without look-around", err))
	case pattern.MatchString(""):
		return r, append(wrong, fmt.Errorf("regex %q fits the empty text, and so everywhere; make a part of it required", f.Regex))
	case alwaysEmpty(maskedPart(f.Regex)):
		return r, append(wrong, fmt.Errorf("regex %q masks nothing: its first group, which is what is masked, is always empty; put it around what is to be masked, or write (?:…) for a group that only joins", f.Regex))
	case len(f.Prefix) == 0:
		r.free = pattern
		return r, wrong
	default:
		for _, p := range f.Prefix {
			exact, folded := beginsWith(f.Regex, p)
			if len(p) < 2 {
				wrong = append(wrong, fmt.Errorf("prefix %q is too short: write two letters or more, or leave it out", p))
			} else if !exact && !folded {
				wrong = append(wrong, fmt.Errorf("prefix %q: no match of the regex begins with it%s; write what matches begin with, or leave prefix out", p, beginning(pattern)))
			}
			r.fold = r.fold || folded // (?i), or both cases in brackets
		}
		if r.fold {
			r.literals = nil
			for _, p := range f.Prefix {
				if p = lower(p); !slices.Contains(r.literals, p) {
					r.literals = append(r.literals, p)
				}
			}
		}
		r.pattern = regexp.MustCompile(`\A(?:` + f.Regex + `)`)
		return r, wrong
	}
}

// beginning says what all matches of an expression begin with, if that is known.
func beginning(pattern *regexp.Regexp) string {
	if begin, _ := pattern.LiteralPrefix(); begin != "" {
		return fmt.Sprintf(", but with %q", begin)
	}
	return ""
}

// lower puts ASCII letters into lower case, as begins compares them.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r | 0x20
		}
		return r
	}, s)
}

func (f fileAllow) compile(known []string) (allowed, error) {
	a := allowed{text: f.Text, rule: f.Rule}
	if (f.Text == "") == (f.Regex == "") {
		return a, errors.New("write either text or regex")
	}
	if f.Rule != "" && !slices.Contains(known, f.Rule) {
		return a, fmt.Errorf("rule %q is not known; `commentator redact --rules` lists all", f.Rule)
	}
	if f.Regex == "" {
		return a, nil
	}
	pattern, err := regexp.Compile(`\A(?:` + f.Regex + `)\z`)
	if err != nil {
		return a, fmt.Errorf("regex: %w; the syntax is RE2's, without look-around", err)
	}
	a.regex = pattern
	return a, nil
}
