package prometheus

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
)

const (
	rulesFile = "../../deploy/prometheus/commentator.rules.yaml"
	testFiles = "../../deploy/prometheus/tests/*.yaml"
)

func units(t *testing.T) map[string]unitFile {
	t.Helper()
	paths, err := filepath.Glob(testFiles)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no unit tests: %v", err)
	}
	out := map[string]unitFile{}
	for _, path := range paths {
		u, err := readUnits(path)
		if err != nil {
			t.Fatal(err)
		}
		out[path] = u
	}
	return out
}

func rules(t *testing.T) *rulefmt.RuleGroups {
	t.Helper()
	groups, err := readRules(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	return groups
}

func TestRulesDoWhatTheirTestsSay(t *testing.T) {
	for path, u := range units(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, file := range u.absolute(path) {
				if filepath.Clean(file) != filepath.Clean(rulesFile) {
					t.Errorf("it tests %s", file)
				}
			}
			wrong, err := u.check(rules(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range wrong {
				t.Error(w)
			}
		})
	}
}

// comparison is the last comparison of an expression with a number.
var comparison = regexp.MustCompile(`(?s)^(.*)(<|>|==) ?(-?[0-9.]+)(.*?)$`)

// A rule that is wrong fails its tests: one that never fires, one that always does, one that fires
// too early or too late, one whose limit is another, and one whose words are others.
func TestABrokenRuleIsFound(t *testing.T) {
	breaks := map[string]func(r *rulefmt.Rule) bool{
		"never": func(r *rulefmt.Rule) bool { r.Expr = "vector(1) > 2"; return true },
		"always": func(r *rulefmt.Rule) bool {
			r.Expr = "(" + r.Expr + ") or vector(1)"
			return true
		},
		"later": func(r *rulefmt.Rule) bool {
			r.For += model.Duration(40 * time.Minute)
			return true
		},
		"at once": func(r *rulefmt.Rule) bool {
			early := r.For > 0
			r.For = 0
			return early
		},
		"limit": func(r *rulefmt.Rule) bool {
			m := comparison.FindStringSubmatch(r.Expr)
			if m == nil {
				return false
			}
			r.Expr = m[1] + m[2] + " 1e15" + m[4]
			if m[2] == "<" {
				r.Expr = m[1] + m[2] + " -1e15" + m[4]
			}
			return true
		},
		"severity": func(r *rulefmt.Rule) bool {
			r.Labels = map[string]string{"severity": "none"}
			return true
		},
		"words": func(r *rulefmt.Rule) bool {
			r.Annotations = map[string]string{"summary": "Something is wrong."}
			return true
		},
	}
	all := units(t)
	for g, group := range rules(t).Groups {
		for i, rule := range group.Rules {
			for name, change := range breaks {
				broken := rules(t)
				r := &broken.Groups[g].Rules[i]
				if !change(r) {
					continue
				}
				found := false
				for _, u := range all {
					u = u.only(rule.Alert)
					wrong, err := u.check(broken)
					if err != nil {
						t.Fatalf("%s, %s: %v", rule.Alert, name, err)
					}
					found = found || len(wrong) > 0
				}
				if !found {
					t.Errorf("%s that is broken (%s) passes all tests: %s", rule.Alert, name, r.Expr)
				}
			}
		}
	}
}

// only leaves out the tests of other alerts.
func (u unitFile) only(alert string) unitFile {
	out := u
	out.Tests = nil
	for _, t := range u.Tests {
		kept := t
		kept.Alerts = nil
		for _, a := range t.Alerts {
			if a.Name == alert {
				kept.Alerts = append(kept.Alerts, a)
			}
		}
		if len(kept.Alerts) > 0 {
			out.Tests = append(out.Tests, kept)
		}
	}
	return out
}

// Whoever is woken finds what to do: each alert has a heading in OPERATIONS.md, and each severity is
// one of two.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	page, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			if !regexp.MustCompile(`(?m)^#+ ` + r.Alert + `$`).Match(page) {
				t.Errorf("docs/OPERATIONS.md has no heading %s", r.Alert)
			}
			if want := "docs/OPERATIONS.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want {
				t.Errorf("%s: the runbook is %q; want %q", r.Alert, r.Annotations["runbook"], want)
			}
			if s := r.Labels["severity"]; s != "page" && s != "ticket" {
				t.Errorf("%s: severity %q", r.Alert, s)
			}
		}
	}
}
