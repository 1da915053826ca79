package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/moduleroot"
)

func current(t *testing.T) string {
	t.Helper()
	root, err := moduleroot.Find()
	if err != nil {
		t.Fatal(err)
	}
	text, err := page(root)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPageIsCurrent(t *testing.T) {
	root, err := moduleroot.Find()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(pagePath(root))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != current(t) {
		t.Error("docs/CONFIGURATION.md is not what the code says: run make generate")
	}
}

// Every setting is on the page, with a sentence that does not use the names of the code.
func TestPageHasEverySetting(t *testing.T) {
	text := current(t)
	for _, name := range config.Names() {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s is missing", name)
		}
	}
	for _, key := range []string{"`endpoint`", "`sending_queue`", "`artifacts::max_bytes`", "`mapping::job::rules`", "`service::interval`", "`OTELCOL_DATA_DIR`", "`MLFLOW_PORT`"} {
		if !strings.Contains(text, key) {
			t.Errorf("%s is missing", key)
		}
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		if cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); cells != 4 {
			t.Errorf("a row has %d borders: %s", cells, line)
		}
	}
}

// Whatever a configuration of otel-config takes from outside is on one of two pages, with its default.
func TestVariablesOfEveryConfigurationAreOnAPage(t *testing.T) {
	root, err := moduleroot.Find()
	if err != nil {
		t.Fatal(err)
	}
	routing, err := os.ReadFile(filepath.Join(root, "docs", "ROUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages := current(t) + string(routing)
	files, err := filepath.Glob(filepath.Join(root, "otel-config", "*.yaml"))
	more, wrong := filepath.Glob(filepath.Join(root, "otel-config", "full", "*.yaml"))
	if err != nil || wrong != nil || len(files) == 0 || len(more) == 0 {
		t.Fatalf("found %v and %v: %v, %v", files, more, err, wrong)
	}
	for _, file := range append(files, more...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\$\{env:(\w+):-([^}]*)\}`).FindAllStringSubmatch(string(text), -1) {
			row := "| `" + m[1] + "` | `" + m[2] + "` |"
			if m[2] == "" {
				row = "| `" + m[1] + "` |"
			}
			if !strings.Contains(pages, row) {
				t.Errorf("%s uses %s (%s), which is on neither page", filepath.Base(file), m[1], m[2])
			}
		}
	}
}

func TestSentencesNameSettings(t *testing.T) {
	names := map[string]string{"LogFile": "LOG_FILE", "Profile": "PROFILE", "ModelB": "MODEL_B"}
	for doc, want := range map[string]string{
		"LogFile is a file, see ModelB.":        "A file, see `MODEL_B`.",
		"Profile names what Profile of GitHub.": "Names what `PROFILE` of GitHub.",
		"Profile: none. Profile is a word here": "None. Profile is a word here",
		"LogFile and ModelB are two.":           "`LOG_FILE` and `MODEL_B` are two.",
		"Texts that begin with no field's name": "Texts that begin with no field's name",
	} {
		if got := sentence(doc, names); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}
