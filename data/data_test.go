package data

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The defaults hold the five themes under the names that the old deployment's users know.
func TestDefaultThemes(t *testing.T) {
	want := []string{
		"LLMOps & Evaluation", "RAG / Retrieval Systems", "Agentic Workflows",
		"Data Labeling & Synthetic Data", "Multimodal / Video AI",
	}
	if got := Default().ThemeNames(); !slices.Equal(got, want) {
		t.Errorf("themes = %q, want %q", got, want)
	}
}

// The index is large enough to find something for most pages.
func TestDefaultTech(t *testing.T) {
	if n := len(Default().Tech); n < 60 {
		t.Errorf("%d technologies, want at least 60", n)
	}
}

// A prompt's hash changes with its content and nothing else.
func TestPromptSHA256(t *testing.T) {
	d := Default()
	for _, p := range []Prompt{d.StageA, d.StageB} {
		if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(p.SHA256()) {
			t.Errorf("%s: hash %q", p.Name, p.SHA256())
		}
	}
	if d.StageA.Name != "stage_a_extract_facts" || d.StageB.Name != "stage_b_compose_reply" {
		t.Errorf("names %q, %q", d.StageA.Name, d.StageB.Name)
	}
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := (Prompt{Name: "any", Content: "abc"}).SHA256(); got != abc {
		t.Errorf("hash of abc = %s", got)
	}
}

// A folder replaces the files that it has and leaves the others as they are.
func TestLoadOverride(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, ProjectContextFile, `
themes:
  - {name: Ours, pains: [p], stack: [s], success_criteria: [c], positioning: x, keywords: [word]}
`)
	d, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.ThemeNames(); !slices.Equal(got, []string{"Ours"}) {
		t.Errorf("themes = %q", got)
	}
	if d.StageA != Default().StageA || len(d.Tech) != len(Default().Tech) {
		t.Error("the other files are not the defaults")
	}
	if d, err = Load(t.Context(), filepath.Join(dir, "absent")); err != nil || len(d.Themes) != 5 {
		t.Errorf("a folder that doesn't exist: %v", err)
	}
}

// Each problem names its file, with the folder, and its key.
func TestLoadErrors(t *testing.T) {
	theme := func(more string) string {
		return "themes:\n  - {name: A, pains: [p], stack: [s], success_criteria: [c], positioning: x, keywords: [k]" + more + "}\n"
	}
	cases := map[string]struct{ file, body, want string }{
		"misspelt key":     {ProjectContextFile, theme(", keyword: [x]"), "project_context.yaml: line 2: keyword is not a known key; use one of name, "},
		"misspelt top":     {ProjectContextFile, "theme: []", "project_context.yaml: line 1: theme is not a known key; use one of themes"},
		"empty":            {ProjectContextFile, "", "project_context.yaml: the file is empty"},
		"no themes":        {ProjectContextFile, "themes: []", "project_context.yaml: themes: at least one"},
		"two documents":    {ProjectContextFile, theme("") + "---\n" + theme(""), "project_context.yaml: holds more than one"},
		"theme twice":      {ProjectContextFile, theme("") + strings.TrimPrefix(theme(""), "themes:\n"), `project_context.yaml: themes[1].name: "A" is there twice`},
		"upper keyword":    {ProjectContextFile, strings.Replace(theme(""), "[k]", "[K]", 1), `project_context.yaml: themes[0].keywords[0]: "K"`},
		"star in a name":   {ProjectContextFile, strings.Replace(theme(""), "name: A", "name: '**A**'", 1), "project_context.yaml: themes[0].name"},
		"tech description": {SimilarTechFile, "technologies: [{name: A, description: no end, tags: [a]}]", "similar_tech.yaml: technologies[0].description"},
		"tech unknown key": {SimilarTechFile, "technologies: [{name: A, url: x}]", "similar_tech.yaml: line 1: url is not a known key; use one of name, "},
		"prompt content":   {StageBPromptFile, "name: a\ndescription: b\n", "prompts/stage_b_compose_reply.yaml: content: is missing"},
		"not yaml":         {StageAPromptFile, "name: [", "prompts/stage_a_extract_facts.yaml: yaml:"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, tc.file, tc.body)
			_, err := Load(t.Context(), dir)
			if want := dir + string(filepath.Separator) + tc.want; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %q", err, want)
			}
		})
	}
}

func TestAFileWithoutAnEndIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, DomainRulesFile, "")
	if err := os.Truncate(filepath.Join(dir, DomainRulesFile), maxOwn+1); err != nil { // takes no room on the disk
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), DomainRulesFile+": too large: it holds more than the 16 MiB that are read") {
		t.Errorf("error %v", err)
	}
}

// Loading stops when its context ends.
func TestLoadCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func write(t *testing.T, dir, name, body string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}
