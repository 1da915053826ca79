//go:build realserver

package stats

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The golden numbers are what scipy and statsmodels compute today, not what somebody wrote down.
func TestRealScipyAndStatsmodelsComputeTheGoldenNumbers(t *testing.T) {
	install := exec.Command(filepath.Join("..", "..", "..", "scripts", "python_env.sh"), "statistics", filepath.Join("testdata", "requirements.txt"))
	install.Stderr = os.Stderr
	python, err := install.Output()
	if err != nil {
		t.Fatalf("install scipy and statsmodels: %v", err)
	}
	script := exec.Command(strings.TrimSpace(string(python)), filepath.Join("testdata", "golden.py"))
	script.Stderr = os.Stderr
	text, err := script.Output()
	if err != nil {
		t.Fatalf("run golden.py: %v", err)
	}
	compare(t, readGolden(t, text))
	committed, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, committed) {
		t.Error("testdata/golden.json is not what golden.py writes; write it anew")
	}
}
