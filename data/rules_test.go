package data

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func rules(t *testing.T, body string) Rules {
	t.Helper()
	r, err := parseRules(DomainRulesFile, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The rules that come with the program leave numbers to the settings.
func TestDefaultRules(t *testing.T) {
	r := Default().Rules
	for host, want := range map[string]Rule{
		"example.com":      {Adapter: AdapterGeneric, FetchReadme: true, FetchReleases: true, FetchAbstract: true},
		"github.com":       {Adapter: AdapterGithub, FetchReadme: true, FetchReleases: true, FetchAbstract: true},
		"export.arxiv.org": {Adapter: AdapterArxiv, FetchReadme: true, FetchReleases: true, FetchAbstract: true, FetchPDFText: true},
	} {
		if diff := cmp.Diff(want, r.For(host)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", host, diff)
		}
	}
}

// A file of the old deployment means what it meant there.
func TestOldRulesKeepTheirMeaning(t *testing.T) {
	body, err := os.ReadFile("testdata/old_domain_rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := rules(t, string(body))
	base := Rule{Adapter: AdapterGeneric, MaxSnippets: 12, MaxChars: 300, Timeout: 15 * time.Second, FetchReadme: true, FetchReleases: true, FetchAbstract: true}
	github, arxiv := base, base
	github.Adapter, github.MaxSnippets = AdapterGithub, 5
	arxiv.Adapter = AdapterArxiv
	for host, want := range map[string]Rule{"example.com": base, "github.com": github, "www.github.com": github, "arxiv.org": arxiv} {
		if diff := cmp.Diff(want, r.For(host)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", host, diff)
		}
	}
}

func TestRulesHoldBelowTheirDomain(t *testing.T) {
	r := rules(t, `
default: {max_snippets: 1}
example.org: {max_snippets: 2}
docs.example.org: {max_snippets: 3}
bücher.example: {max_snippets: 4}
localhost: {max_snippets: 5}
127.0.0.1: {max_snippets: 6}
`)
	for host, want := range map[string]int{
		"example.org": 2, "www.example.org": 2, "EXAMPLE.ORG.": 2, "docs.example.org": 3, "a.docs.example.org": 3,
		"notexample.org": 1, "example.org.evil.net": 1, "org": 1, "": 1,
		"bücher.example": 4, "xn--bcher-kva.example": 4, "www.Bücher.example": 4, "localhost": 5, "127.0.0.1": 6, "::1": 1,
	} {
		if got := r.For(host).MaxSnippets; got != want {
			t.Errorf("%s has rule %d, want %d", host, got, want)
		}
	}
	if want := []string{"127.0.0.1", "docs.example.org", "example.org", "localhost", "xn--bcher-kva.example"}; !slices.Equal(slices.Sorted(maps.Keys(r.domains)), want) {
		t.Errorf("domains %v", r.domains)
	}
}

func TestNoRulesAreGeneric(t *testing.T) {
	if r := (Rules{}).For("github.com"); r.Adapter != AdapterGeneric {
		t.Errorf("rule %+v", r)
	}
}

func TestTimeoutsAreSecondsOrDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"15": 15 * time.Second, "0.5": 500 * time.Millisecond, "90s": 90 * time.Second, "'20'": 20 * time.Second, "5m": 5 * time.Minute} {
		if got := rules(t, "default: {timeout: "+text+"}").For("x").Timeout; got != want {
			t.Errorf("timeout %s is %s", text, got)
		}
	}
}

func TestTheLongestTimeoutIsThatOfAnyRule(t *testing.T) {
	for body, want := range map[string]time.Duration{
		"x.org: {max_snippets: 2}":                                          0,
		"default: {timeout: 30}\nx.org: {timeout: 20}\n":                    30 * time.Second,
		"default: {timeout: 10}\nx.org: {timeout: 2m}\ny.org: {timeout: 5}": 2 * time.Minute,
	} {
		if got := rules(t, body).MaxTimeout(); got != want {
			t.Errorf("%s is the longest of\n%s", got, body)
		}
	}
	if got := (Rules{}).MaxTimeout(); got != 0 {
		t.Errorf("no rules have %s", got)
	}
}

// Whatever is wrong is said with file, line, key and remedy.
func TestWrongRulesAreNamed(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{
		"unknown key":         {"github.com:\n  adapter: github\n  max_snippet: 5\n", "domain_rules.yaml: line 3: github.com.max_snippet: is not a known key; use one of adapter, extraction, fetch_abstract,"},
		"unknown key of all":  {"default: {adapters: generic}", "line 1: default.adapters: is not a known key"},
		"misspelt default":    {"defaults:\n  timeout: 15\n", "domain_rules.yaml: line 1: defaults: is neither default nor a domain"},
		"address":             {"https://github.com/x: {}", "is neither default nor a domain"},
		"star":                {"'*.github.com': {}", "is neither default nor a domain"},
		"port":                {"github.com:443: {}", "is neither default nor a domain"},
		"unknown adapter":     {"x.org: {adapter: arxive}", `line 1: x.org.adapter: "arxive" is not known; use one of generic, arxiv, github`},
		"unknown extraction":  {"default: {extraction: magic}", `default.extraction: "magic" is not known; leave it out`},
		"no number":           {"default: {max_snippets: many}", `default.max_snippets: "many" is not a whole number from 1 to 1000`},
		"too few snippets":    {"default: {max_snippets: 0}", `"0" is not a whole number from 1`},
		"too short a snippet": {"default: {max_chars_per_snippet: 20}", `"20" is not a whole number from 80`},
		"no time":             {"default: {timeout: 0}", `default.timeout: "0" is no time limit; write seconds`},
		"too much time":       {"default: {timeout: 10m}", `"10m" is no time limit`},
		"endless time":        {"default: {timeout: .inf}", `".inf" is no time limit`},
		"no time at all":      {"default: {timeout: soon}", `"soon" is no time limit`},
		"no switch":           {"arxiv.org: {adapter: arxiv, fetch_abstract: perhaps}", `arxiv.org.fetch_abstract: "perhaps" is not true or false`},
		"no value":            {"arxiv.org: {adapter: arxiv, fetch_abstract: }", "arxiv.org.fetch_abstract: is not a single value"},
		"list as value":       {"default: {adapter: [generic]}", "default.adapter: is not a single value"},
		"key of another":      {"x.org: {adapter: arxiv, fetch_readme: true}", "x.org.fetch_readme: is for the adapter github, and this rule has arxiv"},
		"nothing to read":     {"x.org: {adapter: arxiv, fetch_abstract: false}", "x.org: fetch_abstract and fetch_pdf_text are both off"},
		"domain twice":        {"x.org: {}\nX.org: {}\n", "line 2: X.org: is there twice"},
		"key twice":           {"x.org:\n  timeout: 1\n  timeout: 2\n", "line 3: timeout: is there twice"},
		"no mapping":          {"x.org: github\n", "line 1: x.org: is not a mapping"},
		"list of rules":       {"- x.org\n", "the file: is not a mapping"},
		"empty":               {"# nothing\n", "domain_rules.yaml: the file is empty"},
		"two documents":       {"x.org: {}\n---\ny.org: {}\n", "domain_rules.yaml: holds more than one YAML document"},
		"no YAML":             {"x.org: [", "domain_rules.yaml: yaml:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseRules(DomainRulesFile, []byte(tc.body))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestAllProblemsOfRulesAreSaidAtOnce(t *testing.T) {
	_, err := parseRules(DomainRulesFile, []byte("default: {adapter: x}\nnowhere: {}\na.org: {timeout: x, speed: 1}\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("error %v, want four lines", err)
	}
}

// A folder's rules replace those that come with the program.
func TestRulesOfAFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, DomainRulesFile, "arxiv.org: {adapter: generic}\n")
	d, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if r := d.Rules.For("arxiv.org"); r.Adapter != AdapterGeneric || d.Rules.For("github.com").Adapter != AdapterGeneric {
		t.Errorf("rule %+v", r)
	}
}

// Whatever the file holds, what is accepted is within bounds.
func FuzzRules(f *testing.F) {
	old, err := os.ReadFile("testdata/old_domain_rules.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, body := range []string{string(old), "default: &a {timeout: 1}\nx.org: *a\n", "a: &a [*a]", "x.org: {<<: {adapter: github}}", "{}", "x.org: {timeout: 1e300}"} {
		f.Add([]byte(body), "www.github.com")
	}
	f.Fuzz(func(t *testing.T, body []byte, host string) {
		r, err := parseRules(DomainRulesFile, body)
		if err != nil {
			if !strings.HasPrefix(err.Error(), DomainRulesFile+": ") {
				t.Errorf("error %v does not name the file", err)
			}
			return
		}
		for _, host := range append(slices.Sorted(maps.Keys(r.domains)), host) {
			rule := r.For(host)
			if !slices.Contains(adapters, rule.Adapter) || rule.MaxSnippets < 0 || rule.MaxSnippets > 1000 || rule.MaxChars < 0 ||
				rule.MaxChars > 10_000 || rule.Timeout < 0 || rule.Timeout > maxTimeout {
				t.Errorf("%s has rule %+v", host, rule)
			}
		}
	})
}
