//go:build unix

package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/wire/fixture"
)

// The page in docs is made of the results, and has a row for each version that can be
// installed and a cell for each check.
func TestPageHasEveryVersion(t *testing.T) {
	t.Chdir("../..")
	versions, err := knownVersions("scripts/mlflow")
	if err != nil {
		t.Fatal(err)
	}
	if len(versions) < 20 || versions[0] != "2.14.3" {
		t.Errorf("versions are %v", versions)
	}
	all, err := readResults(rawFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range versions {
		found := all.of([]string{version})
		if len(found) != 1 || len(found[0].Cells) != len(columns) {
			t.Errorf("nothing or not everything was checked on MLflow %s: run make compat VERSIONS=%s", version, version)
		}
	}
	page, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all.of(versions).page(), string(page)); diff != "" {
		t.Errorf("%s is not made of %s (-want +got)\n%s", pageFile, rawFile, diff)
	}
}

// A row has a cell for each column, and what is wrong is told in full below the table.
func TestPageTellsWhatIsWrong(t *testing.T) {
	r := result{Version: "3.7.0", Time: time.UnixMilli(0).UTC(), Revision: "abc", Cells: map[string]cell{}}
	for _, c := range columns[:len(columns)-1] {
		r.Cells[c.name] = cell{}
	}
	r.Cells["runs"] = cell{Wrong: "a run\nis missing"}
	r.Cells["nested runs"] = cell{Refused: true}
	r.Cells["params"] = cell{Figure: "17"}
	page := results{r}.page()
	row := "| 3.7.0 | ✗ | refused | ✓ 17 |" + strings.Repeat(" ✓ |", len(columns)-4) + " – | 1970-01-01, abc |\n"
	if !strings.Contains(page, row) || !strings.Contains(page, "3.7.0, runs:\n\n```\na run\nis missing\n```\n") {
		t.Errorf("page is\n%s", page)
	}
}

// One span is late, and no other is missing from the rest.
func TestTheLateSpanIsTheLastOfItsName(t *testing.T) {
	requests, want, err := fixture.Load(jobFixture)
	if err != nil {
		t.Fatal(err)
	}
	job, late := withoutLast(requests, lateSpan)
	total := 0
	for _, td := range requests {
		total += td.SpanCount()
	}
	rest := 0
	for _, td := range job {
		rest += td.SpanCount()
	}
	if late.SpanCount() != 1 || rest != total-1 || len(want.Traces) != 1 {
		t.Errorf("%d spans are late and %d of %d are not", late.SpanCount(), rest, total)
	}
}
