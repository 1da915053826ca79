package data

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is written is read back to the byte, whatever the text is, so that hashes hold.
func TestPromptsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Prompt{
			Name:        "stage_a_extract_facts",
			Description: rapid.StringMatching(`[ -~]{0,80}x`).Draw(t, "description"),
			Content:     rapid.StringMatching(`([ -~äß—\t]{0,60}\n){0,6}[ -~äß—]{0,60}x\n{0,3}`).Draw(t, "content"),
		}
		text, err := p.YAML()
		if err != nil {
			t.Fatal(err)
		}
		var again Prompt
		if err := decode("test", text, &again); err != nil || again != p {
			t.Fatalf("%v\n%s\n%+v\n%+v", err, text, p, again)
		}
	})
}

// Pulling the text that is there leaves a file that people can read and git shows the lines of.
func TestPromptsAreWrittenAsBlocks(t *testing.T) {
	text, err := Default().StageA.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "content: |\n  You read") {
		t.Errorf("%s", text)
	}
}

func TestPromptsOfAFolder(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, PromptsFolder)
	if _, err := PromptFiles(t.Context(), folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	before := StampPrompts(dir)
	a, b := Default().StageA, Default().StageB
	a.Content = "Say less.\n"
	if err := WritePrompts(folder, a, b); err != nil {
		t.Fatal(err)
	}
	if StampPrompts(dir) == before {
		t.Error("the stamp is that of no files")
	}
	list, err := PromptFiles(t.Context(), folder)
	if err != nil || len(list) != 2 || list[0] != a || list[1] != b {
		t.Errorf("%v, %v", list, err)
	}
	if p, err := LoadPrompts(t.Context(), dir); err != nil || p.StageA != a || p.StageB != b {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := LoadPrompts(t.Context(), ""); err != nil || p.StageA != Default().StageA {
		t.Errorf("without a folder: %+v, %v", p, err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 3 { // and the lock
		t.Errorf("%v, %v", entries, err)
	}
	write(t, dir, PromptsFolder+"/other.yaml", "name: another\ndescription: d\ncontent: c\n")
	if _, err := PromptFiles(t.Context(), folder); err == nil || !strings.Contains(err.Error(), `other.yaml: name: "another" is not the name of the file`) {
		t.Errorf("a file of another name: %v", err)
	}
}

// While somebody writes, nobody reads half of it.
func TestPromptsAreNotReadWhileTheyAreWritten(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, PromptsFolder)
	if err := WritePrompts(folder, Default().StageA); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockPrompts(folder, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPrompts(t.Context(), dir); !errors.Is(err, ErrPromptsBusy) {
		t.Errorf("read while it is written: %v", err)
	}
	if err := WritePrompts(folder, Default().StageB); !errors.Is(err, ErrPromptsBusy) {
		t.Errorf("written by two at once: %v", err)
	}
	unlock()
	reading, err := lockPrompts(folder, false)
	if err != nil {
		t.Fatal(err)
	}
	defer reading()
	if _, err := LoadPrompts(t.Context(), dir); err != nil {
		t.Errorf("two may read at once: %v", err)
	}
}
