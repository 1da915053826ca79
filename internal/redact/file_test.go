package redact

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func parsed(t *testing.T, body string) *File {
	t.Helper()
	f, err := Parse("rules.yaml", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFileAddsRulesAndAllowsFindings(t *testing.T) {
	r := New(parsed(t, `
rules:
  - name: employee_number
    regex: 'EMP-[0-9]{6}'
    prefix: EMP-
  - {name: host, regex: '[a-z]+\.corp\.internal'}
  - {name: customer, regex: 'customer (\w+)', prefix: "customer "}
  - {name: ticket, regex: '(?:INC|REQ)[0-9]+', prefix: [INC, REQ]}
  - {name: ref, regex: 'ticket .*? ref=(\d+)', prefix: 'ticket '}
  - {name: code, regex: 'mail: \S+ (\d{6})'}
  - {name: address, regex: 'lives: .+'}
  - {name: home, regex: 'home is .+', prefix: home is}
  - {name: project, regex: 'acme_\w+', prefix: acme_}
allow:
  - {text: press@example.org}
  - {regex: '.*@example\.net', rule: email}
  - {regex: 'build\..*'}
`))
	for in, want := range map[string]string{
		"EMP-123456 and xEMP-123456":                         "[redacted:employee_number] and xEMP-123456",
		"at db.corp.internal, jane@corp.example":             "at [redacted:host], [redacted:email]",
		"build.corp.internal":                                "build.corp.internal",
		"for customer Miller.":                               "for customer [redacted:customer].",
		"INC42 REQ7":                                         "[redacted:ticket] [redacted:ticket]",
		"press@example.org, jane@example.org, a@example.net": "press@example.org, [redacted:email], a@example.net",
		"password=a@example.net":                             "password=[redacted:password]",
		// A rule of the file keeps the built-in ones from nothing, and they keep none from it.
		"ticket from jane@example.org password=hunter22 ref=12345": "ticket from [redacted:email] password=[redacted:password] ref=[redacted:ref]",
		"ticket password=secret ref=12345":                         "ticket password=[redacted:password] ref=[redacted:ref]",
		`ticket password="a ref=12345 b"`:                          `ticket password="[redacted:password]"`,
		"mail: jane@example.org 123456, mail: press@example.org 1": "mail: [redacted:email] [redacted:code], mail: press@example.org 1",
		"lives: Jane jane@example.org, 12 Main Street":             "[redacted:address]",
		"password=lives: in password=hunter22":                     "password=[redacted:password]",
		"acme_token=abcdef123456":                                  "[redacted:project]=[redacted:token]",
		"home is with jane@example.org, 12 Main Street":            "[redacted:home]",
		"password='home is a' in 12 Main Street":                   "password='[redacted:home]",
		"password=acme_1234 and acme_5678":                         "password=[redacted:project] and [redacted:project]",
		"password=INC42 password=xINC42":                           "password=[redacted:ticket] password=[redacted:password]",
	} {
		if got := r.Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestWrongFilesAreRefusedWithLineAndRemedy(t *testing.T) {
	for body, want := range map[string]string{
		"rules:\n  - {name: x, regx: a}":                                            "line 2: regx is not a known key; use one of name, regex, prefix, inside",
		"rules:\n  - {name: X-1, regex: a}":                                         `rules.yaml:2: rule 1: name "X-1": write lower-case letters`,
		"rules:\n\n  - name: x":                                                     "rules.yaml:3: rule 1: regex is missing: write what is to be masked",
		"rules:\n  - {name: x, regex: '(a'}":                                        "rules.yaml:2: rule 1: regex: error parsing regexp: missing closing ): `(a`; the syntax is RE2's",
		"rules:\n  - {name: x, regex: 'a*'}":                                        `regex "a*" fits the empty text, and so everywhere`,
		"rules:\n  - {name: x, regex: 'abc', prefix: b}":                            `prefix "b" is too short`,
		"rules:\n  - {name: x, regex: 'abc', prefix: abd}":                          `prefix "abd": no match of the regex begins with it, but with "abc"`,
		"rules:\n  - {name: x, regex: '[0-9]+', prefix: EMP-}":                      `rules.yaml:2: rule 1: prefix "EMP-": no match of the regex begins with it; write what matches begin with`,
		"rules:\n  - {name: x, regex: 'EM[A-Z]{2}[0-9]', prefix: EMP-}":             `prefix "EMP-": no match of the regex begins with it, but with "EM"`,
		"rules:\n  - {name: x, regex: 'EM', prefix: EMP-}":                          `prefix "EMP-": no match of the regex begins with it, but with "EM"`,
		"rules:\n  - {name: x, regex: 'a|INC[0-9]', prefix: [INC, REQ]}":            `prefix "REQ": no match of the regex begins with it`,
		"rules:\n  - {name: x, regex: abc}\n---\nrules:\n  - {name: y, regex: abc}": "rules.yaml:3: a second document begins here, which would not be read; take the line --- out",
		"allow:\n  - {rule: email}":                                                 "rules.yaml:2: allow 1: write either text or regex",
		"allow:\n  - {text: a, regex: b}":                                           "rules.yaml:2: allow 1: write either text or regex",
		"allow:\n  - {text: a, rule: emails}":                                       `rules.yaml:2: allow 1: rule "emails" is not known`,
		"allow:\n  - {regex: '['}":                                                  "rules.yaml:2: allow 1: regex: error parsing regexp",
		"rules:\n  - {name: X, regex: a}\n  - {name: y}\nallow: []":                 "rules.yaml:3: rule 2: regex is missing",
		"- a": "line 1: want the keys rules, allow, found a list",
		"rules:\n  - {name: x, regex: 'EMP-()[0-9]+'}":                                           `rules.yaml:2: rule 1: regex "EMP-()[0-9]+" masks nothing: its first group, which is what is masked, is always empty`,
		"rules:\n  - {name: x, regex: 'EMP-(\\b(?:)*|$)[0-9]+', prefix: EMP-}":                   `masks nothing: its first group`,
		"rules:\n  - {name: x, regex: 'EMP-(a{0})[0-9]+'}":                                       `masks nothing: its first group`,
		"rules:\n  - {name: x, regex: a, prefix: {a: b}}":                                        "line 2: want a text, found keys with values",
		"rules:\n" + strings.Repeat("  - {name: x, regex: 'abc', prefix: abc}\n", maxLiterals+1): "201 prefixes are more than the 200",
	} {
		if _, err := Parse("rules.yaml", []byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", body, err, want)
		}
	}
}

func TestARuleThatMasksAQuoteIsWarnedOf(t *testing.T) {
	for regex, want := range map[string]string{
		`x"[a-z]+`:         `rules.yaml:2: rule 1: regex "x\"[a-z]+" may mask a ". Texts are JSON`,
		`x\\[a-z]+`:        `may mask a \.`,
		`x(["'][a-z]+)`:    `may mask a ".`,
		`x["#]+`:           `may mask a ".`, // neighbours, of which the parser makes a range
		`x[!"]y`:           `may mask a ".`,
		`x[\]\\]y`:         `may mask a \.`,
		`[ -~]+@corp`:      "",
		`EMP-(a{0,2})[0]`:  "",
		`x"([a-z]+)"`:      "", // the quotes stay
		`home is .+`:       "", // which is common
		`[^ ]+@corp`:       "",
		`EMP-([0-9]*)`:     "", // not always empty
		`(?:INC|REQ)[0-9]`: "",
	} {
		got := strings.Join(parsed(t, "rules:\n  - {name: x, regex: '"+strings.ReplaceAll(regex, "'", "''")+"'}").Warnings(), "\n")
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", regex, got, want)
		}
	}
}

func TestPrefixesOfRulesInAnyCase(t *testing.T) {
	for rule, texts := range map[string][]string{
		`{name: x, regex: '(?i)emp-[0-9]+', prefix: emp-}`:     {"emp-1", "EMP-1", "Emp-1"},
		`{name: x, regex: '(?i)emp-[0-9]+', prefix: EMP-}`:     {"emp-1", "EMP-1"},
		`{name: x, regex: '[Ee]mp-[0-9]+', prefix: emp-}`:      {"emp-1", "Emp-1"},
		`{name: x, regex: '(?:emp|EMP)-1', prefix: [EMP-]}`:    {"emp-1", "EMP-1"},
		`{name: x, regex: '\bEMP-[0-9]+', prefix: EMP-}`:       {"EMP-1"},
		`{name: x, regex: '[A-Z]{3}-[0-9]+', prefix: [EMP-1]}`: {"EMP-12"},
	} {
		r := New(parsed(t, "rules:\n  - "+rule))
		for _, text := range texts {
			if got := r.Text(text); got != "[redacted:x]" {
				t.Errorf("%s: %q became %q", rule, text, got)
			}
		}
	}
}

func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redaction.yaml")
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "read redaction file") {
		t.Errorf("a file that is missing: %v", err)
	}
	if err := os.WriteFile(path, []byte("rules: [{name: x, regex: 'x1'}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(path)
	if err != nil || New(f).Text("x1") != "[redacted:x]" {
		t.Errorf("ReadFile() = %v, %v", f, err)
	}
}

func TestAnEmptyFileHasNoRules(t *testing.T) {
	if r := New(parsed(t, "# nothing yet\n")); r.Text("a@example.org") != "[redacted:email]" {
		t.Error("the built-in rules are gone")
	}
}
