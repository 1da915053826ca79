package mlflowexporter

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/confmap"
)

// Each reason for which something is left out is explained, and each is either told by the alert or
// excepted from it, in the README, the rules and the operator's page alike.
func TestReasonsAreExplainedAndTold(t *testing.T) {
	read := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(text), `\|`, "|") // in a table of Markdown
	}
	named := regexp.MustCompile("`([a-z_]+)`")
	sortedNames := func(of []string) []string {
		of = slices.Clone(of)
		slices.Sort(of)
		return of
	}
	names := func(text string, known []string) (found []string) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if slices.Contains(known, m[1]) && !slices.Contains(found, m[1]) {
				found = append(found, m[1])
			}
		}
		return sortedNames(found)
	}
	metadata, err := confmap.NewRetrievedFromYAML([]byte(read("metadata.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	conf, err := metadata.AsConf()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, reason := range conf.Get("attributes::reason::enum").([]any) {
		all = append(all, reason.(string))
	}
	slices.Sort(all)

	_, readme, _ := strings.Cut(read("README.md"), "\n### Reasons\n")
	readme, _, _ = strings.Cut(readme, "\n### ")
	var rows []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| .{10,}").FindAllStringSubmatch(readme, -1) {
		rows = append(rows, m[1])
	}
	if diff := cmp.Diff(all, sortedNames(rows)); diff != "" {
		t.Errorf("reasons of the README (-metadata.yaml +README.md):\n%s", diff)
	}
	_, quiet, _ := strings.Cut(readme, "no reason for an alert:")
	excepted := names(quiet, all)

	exceptions := regexp.MustCompile(`dropped_items\{[^}]*reason!~"([a-z_|]+)"`)
	for _, file := range []string{"README.md", "../../deploy/prometheus/commentator.rules.yaml"} {
		found := exceptions.FindAllStringSubmatch(read(file), -1)
		if len(found) != 2 {
			t.Errorf("%s: %d expressions except reasons", file, len(found))
		}
		for _, m := range found {
			if diff := cmp.Diff(excepted, sortedNames(strings.Split(m[1], "|"))); diff != "" {
				t.Errorf("exceptions (-table of the README +%s):\n%s", file, diff)
			}
		}
	}
	_, page, _ := strings.Cut(read("../../docs/OPERATIONS.md"), "\n### BridgeDropsData\n")
	page, _, _ = strings.Cut(page, "\n### ")
	told, untold, _ := strings.Cut(page, "\nNot told by it: ")
	if diff := cmp.Diff(excepted, names(untold, all)); diff != "" {
		t.Errorf("exceptions (-README.md +OPERATIONS.md):\n%s", diff)
	}
	want := slices.DeleteFunc(slices.Clone(all), func(r string) bool { return slices.Contains(excepted, r) })
	if diff := cmp.Diff(want, names(told, all)); diff != "" {
		t.Errorf("reasons that are told (-metadata.yaml +OPERATIONS.md):\n%s", diff)
	}
}
