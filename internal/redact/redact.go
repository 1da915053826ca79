package redact

import (
	"strings"
	"sync/atomic"
)

// Finding is a part of a text that is masked.
type Finding struct {
	Start, End int    // bytes of the text
	Rule       string // what it is: the name in the mask
	id         int    // of the rule: its index in table.names
	mask       string // what stands in its place
}

// Redactor masks what its rules find. A nil Redactor masks nothing. It is safe for
// concurrent use.
type Redactor struct {
	table *table
	allow []allowed
	key   string
	// counts holds how often each rule masked something, by the index of its name in
	// table.names.
	counts []atomic.Int64
}

// New returns a Redactor with the built-in rules and those of a file; nil: none.
func New(file *File) *Redactor {
	r := &Redactor{table: builtIn()}
	if file != nil {
		r.allow = file.allow
		if len(file.rules) > 0 {
			r.table = newTable(append(builtInRules(), file.rules...))
			r.table.own = newTable(file.rules)
		}
	}
	r.counts = make([]atomic.Int64, len(r.table.names))
	return r
}

// WithKey returns a Redactor that puts pseudonyms under this key in place of Slack's ids of
// people. Without a key they are masked like everything else. Its counts begin at 0.
func (r *Redactor) WithKey(key string) *Redactor {
	if r == nil {
		return nil
	}
	return &Redactor{table: r.table, allow: r.allow, key: key, counts: make([]atomic.Int64, len(r.counts))}
}

// Text returns s with all findings masked.
func (r *Redactor) Text(s string) string {
	if r == nil {
		return s
	}
	sc := scan{r: r, s: s}
	sc.run()
	if len(sc.found) == 0 {
		return s
	}
	size := len(s)
	for _, f := range sc.found {
		size += len(f.mask) - (f.End - f.Start)
		r.counts[f.id].Add(1)
	}
	var b strings.Builder
	b.Grow(size)
	copied := 0
	for _, f := range sc.found {
		b.WriteString(s[copied:f.Start])
		b.WriteString(f.mask)
		copied = f.End
	}
	b.WriteString(s[copied:])
	return b.String()
}

// Named returns the value of a name: masked as a whole when the name says that it is a secret,
// else as Text returns it.
func (r *Redactor) Named(name, value string) string {
	if r == nil || value == "" {
		return value
	}
	rule := secretRule(name)
	if rule == "" || rule == ruleBasic && !isBasic(value) || (&scan{r: r}).allowed(rule, value) {
		return r.Text(value)
	}
	id := r.table.index[rule]
	r.counts[id].Add(1)
	return r.table.masks[id]
}

// Find returns what Text would mask, in the order of the text. It is not counted.
func (r *Redactor) Find(s string) []Finding {
	if r == nil {
		return nil
	}
	sc := scan{r: r, s: s}
	sc.run()
	return sc.found
}

// Counts calls each with the number of masks that a rule has made, for rules that made any.
func (r *Redactor) Counts(each func(rule string, n int64)) {
	if r == nil {
		return
	}
	for i, name := range r.table.names {
		if n := r.counts[i].Load(); n > 0 {
			each(name, n)
		}
	}
}

// Rules lists the names of all rules.
func (r *Redactor) Rules() []string {
	if r == nil {
		return nil
	}
	return r.table.names
}

// maskBegin and the name of the rule and a bracket stand in place of a finding.
const maskBegin = "[redacted:"

// Redacted stands in place of credentials in URLs, as the semantic conventions of
// OpenTelemetry ask: an address stays one.
const Redacted = "REDACTED"

// isMask reports whether a value was masked before.
func isMask(s string) bool {
	return strings.HasPrefix(s, maskBegin) || strings.HasPrefix(s, Redacted)
}
