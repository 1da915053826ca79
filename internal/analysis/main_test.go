package analysis_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/test/golden"
)

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

func isGolden(t *testing.T, name string, got any) {
	t.Helper()
	body, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, filepath.Join("testdata", "golden", name), append(body, '\n'))
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
