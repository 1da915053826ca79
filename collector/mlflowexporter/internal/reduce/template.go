package reduce

import (
	"fmt"
	"strings"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
)

const (
	templateOpen  = "{{"
	templateClose = "}}"
)

// checkTemplate reports what is no {{attribute}}: braces that are unclosed, empty, nested, or
// stand alone, as in {attribute}, which would be written as they are.
func checkTemplate(template string) error {
	for rest := template; ; {
		before, after, found := strings.Cut(rest, templateOpen)
		if strings.ContainsAny(before, "{}") {
			return fmt.Errorf("template %q has a brace outside of %sattribute%s: write two on either side of an attribute, and none elsewhere", template, templateOpen, templateClose)
		}
		if !found {
			return nil
		}
		name, tail, closed := strings.Cut(after, templateClose)
		switch {
		case !closed:
			return fmt.Errorf("template %q has a %s without %s: close it", template, templateOpen, templateClose)
		case strings.TrimSpace(name) == "":
			return fmt.Errorf("template %q has an empty %s%s: name an attribute", template, templateOpen, templateClose)
		case strings.ContainsAny(name, "{}"):
			return fmt.Errorf("template %q has a brace within %sattribute%s: write two on either side of an attribute, and none elsewhere", template, templateOpen, templateClose)
		}
		rest = tail
	}
}

// expand replaces each {{attribute}}. It reports false when an attribute is missing.
func expand(template string, lookup func(string) (string, bool)) (string, bool) {
	var b strings.Builder
	complete := true
	for rest := template; ; {
		before, after, found := strings.Cut(rest, templateOpen)
		b.WriteString(before)
		if !found {
			return b.String(), complete
		}
		name, tail, closed := strings.Cut(after, templateClose)
		if !closed {
			b.WriteString(templateOpen + after)
			return b.String(), complete
		}
		value, ok := lookup(strings.TrimSpace(name))
		complete = complete && ok
		b.WriteString(value)
		rest = tail
	}
}

// nameOf is the name of the run of a span without what is dropped, and whether the span has every
// attribute of it: otherwise it is the name of the span.
func (m RunMapping) nameOf(s Span) (name string, complete bool) {
	name, complete = expand(m.Name, func(attribute string) (string, bool) {
		v, ok := s.lookup(attribute)
		if !ok {
			return "", false
		}
		return v.AsString(), true
	})
	name = values.Clean(name, maxName)
	if complete = complete && !blank(name); !complete {
		name = values.Clean(s.Span.Name(), maxName)
	}
	return name, complete
}

// identifies reports whether a rule's attribute is part of the run's name: such an
// attribute means the same on every span of the job.
func identifies(r Rule, name string) (found bool) {
	expand(name, func(attribute string) (string, bool) {
		found = found || attribute == r.Attribute
		return "", true
	})
	return found
}

// blank reports whether a name shows nothing.
func blank(name string) bool { return strings.TrimSpace(name) == "" }
