package analysis_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/technoshare/commentator/internal/commentator"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pages lists the recorded evidence: pages of the SQLite manual, which is in the public domain.
var pages = []string{"wal", "whentouse", "testing", "features", "sitemap"}

func evidence(t *testing.T, page string) commentator.Evidence {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "evidence", page+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var e commentator.Evidence
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func golden(t *testing.T, name string, got any) {
	t.Helper()
	body, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(file, append(body, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(body)+"\n"); diff != "" {
		t.Errorf("%s (run with -update if it should be so): %s", file, diff)
	}
}

// holds reports whether one of the snippets holds the sentence, white space aside.
func holds(e commentator.Evidence, sentence string, ids ...string) bool {
	for _, s := range e.Snippets {
		if strings.Contains(strings.Join(strings.Fields(s.Content), " "), sentence) && (len(ids) == 0 || slices.Contains(ids, s.ID)) {
			return true
		}
	}
	return false
}
