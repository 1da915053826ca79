package architecture

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Each test that README names beside a promise exists.
func TestPromisesNameTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "grep", "-hoE", `^func Test[A-Za-z0-9_]+\(`, "--", "*_test.go")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git grep: %v", err)
	}
	names := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllStringSubmatch(string(page), -1)
	if len(names) < 10 {
		t.Fatalf("README names %d tests: this test looks at the wrong page", len(names))
	}
	for _, name := range names {
		if !strings.Contains(string(out), "func "+name[1]+"(") {
			t.Errorf("README names %s, which does not exist", name[1])
		}
	}
}
