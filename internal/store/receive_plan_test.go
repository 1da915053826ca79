package store

import (
	"path/filepath"
	"strings"
	"testing"
)

// A new link asks for earlier jobs of its page by the page, however many messages the channel has.
func TestEarlierJobsOfAPageAreFoundByThePage(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "db.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows, err := s.DB().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+earlierJobs, "https://example.com/", 1, "C0123456789")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	if text := strings.Join(plan, "\n"); rows.Err() != nil || !strings.Contains(text, "jobs_link") || !strings.Contains(text, "messages USING INTEGER PRIMARY KEY") {
		t.Errorf("%v:\n%s", rows.Err(), text)
	}
}
