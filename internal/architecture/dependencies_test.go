package architecture

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Each direct dependency has its line in docs/DEPENDENCIES.md, and the page names no module
// that is not one. A name that ends in /… stands for a family of modules.
func TestEveryDependencyIsExplained(t *testing.T) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/DEPENDENCIES.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{} // name → used
	for _, m := range regexp.MustCompile("`([a-z0-9.-]+\\.[a-z]+/[^` ]+)`").FindAllStringSubmatch(table(string(page)), -1) {
		named[m[1]] = false
	}
	for _, r := range mod.Require {
		if r.Indirect {
			continue
		}
		explained := false
		for name := range named {
			if family, ok := strings.CutSuffix(name, "…"); name == r.Path || ok && strings.HasPrefix(r.Path, family) {
				named[name], explained = true, true
			}
		}
		if !explained {
			t.Errorf("docs/DEPENDENCIES.md does not say what %s is for", r.Path)
		}
	}
	for name, used := range named {
		if !used {
			t.Errorf("docs/DEPENDENCIES.md explains %s, which go.mod does not require directly", name)
		}
	}
}

// table keeps the columns that name what is used: the last one holds the alternatives.
func table(page string) string {
	var kept strings.Builder
	for line := range strings.Lines(page) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "|") && len(cells) > 2 {
			line = cells[1] + "\n"
		}
		kept.WriteString(line)
	}
	return kept.String()
}
