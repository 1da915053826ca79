package architecture

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Tests that need a real server run: `make servers` chooses them by the beginning of their name and by
// package. Packages with a target of their own run whole.
func TestEveryTestOfARealServerRuns(t *testing.T) {
	whole := []string{"collector/mlflowexporter/internal/apply", "test/slackfake"}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, servers, _ := strings.Cut(string(makefile), "\nservers:")
	servers, _, _ = strings.Cut(servers, "\n\n")

	cmd := exec.Command("git", "grep", "-lE", `^//go:build.*\brealserver\b`, "--", "*_test.go")
	cmd.Dir = "../.."
	files, err := cmd.Output()
	if err != nil {
		t.Fatalf("git grep: %v", err)
	}
	test := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
	seen := 0
	for file := range strings.Lines(string(files)) {
		file = strings.TrimSpace(file)
		dir := filepath.ToSlash(filepath.Dir(file))
		if slices.Contains(whole, dir) {
			continue
		}
		text, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range test.FindAllSubmatch(text, -1) {
			seen++
			if !bytes.HasPrefix(name[1], []byte("TestReal")) {
				t.Errorf("%s: %s does not begin with TestReal, and so `make servers` does not run it", file, name[1])
			}
			if !slices.Contains(strings.Fields(servers), "./"+dir) {
				t.Errorf("%s: `make servers` does not test ./%s, and so does not run %s", file, dir, name[1])
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d tests of real servers were found: this test looks at the wrong files", seen)
	}
}

// What the race detector leaves out `make race` runs without it, by package.
func TestWhatTheRaceDetectorLeavesOutRuns(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(makefile), "\nrace:")
	recipe, _, _ = strings.Cut(recipe, "\n\n")
	_, without, _ := strings.Cut(recipe, "\t$(GO_TEST) ./internal")
	listed := strings.Fields("./internal" + without)

	cmd := exec.Command("git", "grep", "-lE", `^//go:build !race|\brace\.(On|Pick)\b`, "--", "*_test.go", ":!internal/architecture")
	cmd.Dir = "../.."
	files, err := cmd.Output()
	if err != nil {
		t.Fatalf("git grep: %v", err)
	}
	seen := 0
	for file := range strings.Lines(string(files)) {
		seen++
		if dir := filepath.ToSlash(filepath.Dir(file)); !slices.Contains(listed, "./"+dir) {
			t.Errorf("%s: the race detector leaves some of it out, and `make race` does not run ./%s without it", strings.TrimSpace(file), dir)
		}
	}
	if seen < 8 {
		t.Errorf("%d files that leave something out were found: this test looks at the wrong ones", seen)
	}
}

// A command that fails in an assignment before another command does not end the recipe: the
// other runs with the variable empty, and with what it falls back to.
func TestNoRecipeGoesOnWithoutWhatItAsksFor(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	before := regexp.MustCompile(`\w+=\$\$\([^)]*\)\s+[^&\s]`)
	if !before.MatchString("\tX=$$(false) go test") || before.MatchString("\tx=$$(false) && X=$$x go test") {
		t.Error("this test cannot tell one from the other")
	}
	for line := range strings.Lines(string(makefile)) {
		if strings.HasPrefix(line, "\t") && before.MatchString(line) {
			t.Errorf("the command runs although what is asked before it failed: %s", strings.TrimSpace(line))
		}
	}
}

// A test that is skipped where a program is not installed proves nothing there, which README and the last
// line of `make test` say.
func TestSkippedProofsAreNamed(t *testing.T) {
	cmd := exec.Command("git", "grep", "-hoE", `t\.Skip\("[a-z-]+ is not installed"\)`, "--", "*_test.go")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git grep: %v", err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(makefile), "\ntest: ")
	recipe, _, _ = strings.Cut(recipe, "\n\n")
	_, recipe, _ = strings.Cut(recipe, "\n")
	for skip := range strings.Lines(string(out)) {
		program, _, _ := strings.Cut(strings.TrimPrefix(skip, `t.Skip("`), " ")
		if !strings.Contains(string(readme), "`"+program+"`") || !strings.Contains(recipe, "command -v "+program) {
			t.Errorf("README and `make test` do not both say that tests are skipped without %s", program)
		}
	}
}
