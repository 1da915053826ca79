package docrun

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// making are the forms in which MIGRATION.md's commands name what they make.
var making = []*regexp.Regexp{
	regexp.MustCompile(`>>? *([\w./-]+)`),
	regexp.MustCompile(`--(?:markdown|export-to|to|into|backup-to) ([\w./-]+)(?:\s|$)`),
	regexp.MustCompile(`DB_PATH=([\w./-]+)`),
	regexp.MustCompile(`(?m)^mkdir -p ([\w./-]+)$`),
	regexp.MustCompile(`(?m)^cp .* ([\w./-]+)$`),
}

// besides are files that programs make beside the one that a command names, or by themselves.
var besides = []string{
	".env.bak", ".env.bak.20260102T030405Z", "before/.env", "mlartifacts/1/a", ".mlflow/mlflow.log", ".otelcol-mlflow/ledger", "bin/commentator",
	"data/prompts/.lock", "backups/backup-20260102T030405Z/files/.env",
}

// made are the files that lie in a checkout in which somebody has followed MIGRATION.md.
func made(t *testing.T) []string {
	t.Helper()
	page, err := Read(filepath.Join("..", "..", "docs", "MIGRATION.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Clone(besides)
	for _, b := range page.Blocks {
		for _, form := range making {
			for _, found := range form.FindAllStringSubmatch(b.Text, -1) {
				name := path.Clean(found[1])
				if path.IsAbs(name) || strings.HasPrefix(name, "..") || name == "." {
					continue // outside of the checkout
				}
				names = append(names, name)
				if strings.HasSuffix(name, ".sqlite") {
					for _, suffix := range []string{"-wal", "-shm", ".lock", ".baseline.json", ".sampling.yaml", ".sampling.yaml.last"} {
						names = append(names, name+suffix)
					}
				}
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	// Otherwise the forms find nothing.
	for _, name := range []string{".env", "before/commit.txt", "commentator.sqlite-wal", "event.json", "mlflow.db", "try.sqlite", "validation.md", "worker.log", "worker.pid"} {
		if !slices.Contains(names, name) {
			t.Errorf("the page makes no %s, or this test does not see it: %q", name, names)
		}
	}
	return names
}

// What people are told to make in the checkout, copies of their tokens among it, is not offered to git.
func TestGitIgnoresWhatMigrationMakes(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	rules, err := os.ReadFile(filepath.Join("..", "..", ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	git := func(args ...string) *exec.Cmd {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		return cmd
	}
	if out, err := git("init", "-q").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitignore"), rules, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "before"), 0o700); err != nil { // a pattern may be for folders only
		t.Fatal(err)
	}
	for _, name := range made(t) {
		if git("check-ignore", "-q", name).Run() != nil {
			t.Errorf("git would add %s", name)
		}
	}
	for _, name := range []string{".env.production", "data/prompts/stage_a.yaml", "internal/store/sqlite.go", "internal/validate/testdata/report.md"} {
		if git("check-ignore", "-q", name).Run() == nil {
			t.Errorf("git would not add %s", name)
		}
	}
}

// Nor is it sent to whoever builds an image.
func TestImagesAreBuiltWithoutWhatMigrationMakes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	rules := strings.Fields(string(text))
	// The last rule that fits a file, or a folder above it, holds.
	ignored := func(name string) (out bool) {
		for _, rule := range rules {
			pattern, kept := strings.CutPrefix(rule, "!")
			for above := name; above != "."; above = path.Dir(above) {
				if fits, err := path.Match(pattern, above); err != nil {
					t.Fatalf("%s: %v", rule, err)
				} else if fits {
					out = !kept
				}
			}
		}
		return out
	}
	for _, name := range made(t) {
		if !ignored(name) {
			t.Errorf("%s would be sent", name)
		}
	}
	for _, name := range []string{".env.production", "go.mod", "cmd/commentator/main.go", "data/prompts/stage_a.yaml", "scripts/mlflow/requirements.txt"} {
		if ignored(name) {
			t.Errorf("%s would not be sent", name)
		}
	}
}
