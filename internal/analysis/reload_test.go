package analysis_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/commentator"
)

// hashes are those that the two stages of an attempt record.
func hashes(t *testing.T, a commentator.Analyser) [2]string {
	t.Helper()
	e := evidence(t, "wal")
	f, first, err := a.ExtractFacts(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := a.Compose(t.Context(), e, f)
	if err != nil {
		t.Fatal(err)
	}
	return [2]string{first.PromptSHA, second.PromptSHA}
}

func TestPromptsAreReadAgainBetweenAttempts(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, data.PromptsFolder)
	_, o := server(t)
	var log bytes.Buffer
	r := analysis.NewReloading(o, dir, data.StampPrompts(dir), slog.New(slog.NewTextHandler(&log, nil)))
	a, b := data.Default().StageA, data.Default().StageB

	begun := r.Current()
	want := [2]string{a.SHA256(), b.SHA256()}
	if got := hashes(t, begun); got != want {
		t.Errorf("at first %v", got)
	}
	newA, newB := a, b
	newA.Content += "Be brief.\n"
	newB.Content += "Be kind.\n"
	if err := data.WritePrompts(folder, newA, newB); err != nil {
		t.Fatal(err)
	}
	if got := hashes(t, r.Current()); got != [2]string{newA.SHA256(), newB.SHA256()} {
		t.Errorf("after the change %v", got)
	}
	if got := hashes(t, begun); got != want {
		t.Errorf("an attempt that had begun got %v", got)
	}

	// A broken file is said once, and changes nothing.
	log.Reset()
	later := time.Now().Add(time.Second)
	path := filepath.Join(folder, newA.Name+".yaml")
	if err := os.WriteFile(path, []byte("name: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := hashes(t, r.Current()); got != [2]string{newA.SHA256(), newB.SHA256()} {
			t.Errorf("with a broken file %v", got)
		}
	}
	if n := strings.Count(log.String(), "cannot be used"); n != 1 || !strings.Contains(log.String(), "stage_a_extract_facts.yaml") {
		t.Errorf("it was said %d times:\n%s", n, &log)
	}

	// Files that are taken away leave the prompts that the program comes with.
	for _, name := range []string{newA.Name, newB.Name} {
		if err := os.Remove(filepath.Join(folder, name+".yaml")); err != nil {
			t.Fatal(err)
		}
	}
	if got := hashes(t, r.Current()); got != want {
		t.Errorf("without files %v", got)
	}
}

func TestPromptsThatDidNotChangeAreNotReadAgain(t *testing.T) {
	dir := t.TempDir()
	_, o := server(t)
	if err := data.WritePrompts(filepath.Join(dir, data.PromptsFolder), data.Default().StageA); err != nil {
		t.Fatal(err)
	}
	r := analysis.NewReloading(o, dir, data.StampPrompts(dir), slog.New(slog.DiscardHandler))
	first := r.Current()
	if r.Current() != first {
		t.Error("another analyser with the same files")
	}
}
