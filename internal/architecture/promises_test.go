package architecture

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Each test that a page names beside a promise exists.
func TestPromisesNameTestsThatExist(t *testing.T) {
	cmd := exec.Command("git", "grep", "-hoE", `^func Test[A-Za-z0-9_]+\(`, "--", "*_test.go")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git grep: %v", err)
	}
	name := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	for page, least := range map[string]int{
		"README.md": 10, "docs/WIRE.md": 0, "docs/ARCHITECTURE.md": 0, "docs/CHAOS.md": 0, "docs/PERFORMANCE.md": 0, "docs/RUNNING.md": 3, "docs/DOCTOR.md": 10, "docs/OPERATIONS.md": 2, "docs/GUIDE.md": 1, "docs/QUICKSTART.md": 1, "docs/REDACTION.md": 0, "docs/ROUTING.md": 10,
		"collector/mlflowexporter/README.md": 5, "collector/samplingextension/README.md": 0,
	} {
		text, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		names := name.FindAllStringSubmatch(string(text), -1)
		if len(names) < least {
			t.Errorf("%s names %d tests: this test looks at the wrong page", page, len(names))
		}
		for _, name := range names {
			if !strings.Contains(string(out), "func "+name[1]+"(") {
				t.Errorf("%s names %s, which does not exist", page, name[1])
			}
		}
	}
}
