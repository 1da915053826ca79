package architecture

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Files are replaced by internal/wholefile: a file that is written beside another and renamed without
// more is empty after a loss of power.
func TestFilesAreReplacedInOnePlace(t *testing.T) {
	cmd := exec.Command("git", "grep", "--untracked", "-lE", `os\.Rename\(`, "--", "cmd/*.go", "collector/*.go", "data/*.go", "internal/*.go", ":!*_test.go")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("git grep: %v", err)
	}
	const place = "internal/wholefile/wholefile.go"
	seen := false
	for _, file := range strings.Fields(string(out)) {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "os.CreateTemp(") && !strings.Contains(string(text), "os.WriteFile(") {
			continue // it moves what somebody else has written
		}
		if file == place {
			seen = true
			continue
		}
		t.Errorf("%s writes a file and renames it: internal/wholefile does that", file)
	}
	if !seen {
		t.Errorf("%s renames nothing: this test looks for the wrong things", place)
	}
}
