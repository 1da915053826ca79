package architecture

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Each test that these pages name beside a promise exists.
func TestPromisesNameTestsThatExist(t *testing.T) {
	cmd := exec.Command("git", "grep", "-hoE", `^func Test[A-Za-z0-9_]+\(`, "--", "*_test.go")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git grep: %v", err)
	}
	for _, page := range []string{"README.md", "docs/ROUTING.md"} {
		text, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllStringSubmatch(string(text), -1)
		if len(names) < 10 {
			t.Fatalf("%s names %d tests: this test looks at the wrong page", page, len(names))
		}
		for _, name := range names {
			if !strings.Contains(string(out), "func "+name[1]+"(") {
				t.Errorf("%s names %s, which does not exist", page, name[1])
			}
		}
	}
}
