package data

import (
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// Adapters that a rule can name.
const (
	AdapterGeneric = "generic"
	AdapterArxiv   = "arxiv"
	AdapterGithub  = "github"
)

var adapters = []string{AdapterGeneric, AdapterArxiv, AdapterGithub}

// Rule says how the pages of a domain are read. A zero number leaves the choice to the
// settings of retrieval.
type Rule struct {
	Adapter     string
	MaxSnippets int           // of one link's evidence
	MaxChars    int           // of one snippet, in characters
	Timeout     time.Duration // for all requests of one link together

	FetchReadme   bool // AdapterGithub
	FetchReleases bool // AdapterGithub: the latest one
	FetchAbstract bool // AdapterArxiv
	FetchPDFText  bool // AdapterArxiv
}

// standard is what holds without a rule.
var standard = Rule{Adapter: AdapterGeneric, FetchReadme: true, FetchReleases: true, FetchAbstract: true}

// Rules are the rules of all domains. The zero value has none: every page is read by
// AdapterGeneric.
type Rules struct {
	others  *Rule // of domains without a rule; nil: standard
	domains map[string]Rule
}

// MaxTimeout is the longest Timeout of all rules. 0: none has one.
func (r Rules) MaxTimeout() time.Duration {
	longest := time.Duration(0)
	if r.others != nil {
		longest = r.others.Timeout
	}
	for _, rule := range r.domains {
		longest = max(longest, rule.Timeout)
	}
	return longest
}

// For returns the rule of a host: that of the longest domain that it is, or is below.
func (r Rules) For(host string) Rule {
	for name := domainKey(host); name != ""; _, name, _ = strings.Cut(name, ".") {
		if rule, ok := r.domains[name]; ok {
			return rule
		}
	}
	if r.others != nil {
		return *r.others
	}
	return standard
}

// domainKey brings a host into the one form that rules are kept under.
func domainKey(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		return ascii
	}
	return host
}
