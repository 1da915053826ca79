package store

import (
	"errors"
	"os"
	"testing"

	"github.com/technoshare/commentator/internal/commentator"
)

// Of the jobs of a copy those that had ended keep their identity, all others have one that the
// original does not give; copies of copies likewise.
func TestACopyGivesIdentitiesOfItsOwn(t *testing.T) {
	path := dbPath(t)
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	original := s.StoreID()
	add := func(s *Store, ts string) int64 {
		t.Helper()
		jobs, _, err := s.Ingest(t.Context(), testMessage(ts), []string{"https://example.org/" + ts}, false, noQueue)
		if err != nil {
			t.Fatal(err)
		}
		return jobs[0].ID
	}
	final := func(s *Store, id int64) {
		t.Helper()
		if _, err := s.DB().Exec(`UPDATE jobs SET state = 'final', outcome = 'success', started_at = 1, finished_at = 2 WHERE id = ?`, id); err != nil {
			t.Fatal(err)
		}
	}
	ended, open := add(s, "1"), add(s, "2")
	final(s, ended)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := map[int64]string{ended: original}
	check := func() *Store {
		t.Helper()
		s, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		for id, storeID := range want {
			j, err := s.Job(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if j.StoreID != storeID {
				t.Errorf("job %d has the store id %s; want %s", id, j.StoreID, storeID)
			}
		}
		return s
	}

	first, err := Rekey(t.Context(), path)
	if err != nil || first == original || len(first) != len(original) {
		t.Fatal(first, err)
	}
	want[open] = first
	s = check()
	if s.StoreID() != first {
		t.Errorf("store id %s; want %s", s.StoreID(), first)
	}
	final(s, open)
	newer := add(s, "3")
	want[newer] = first
	if err := errors.Join(s.Close(), check().Close()); err != nil {
		t.Fatal(err)
	}

	second, err := Rekey(t.Context(), path)
	if err != nil || second == first {
		t.Fatal(second, err)
	}
	want[newer] = second // it was open again
	s = check()
	if n, err := s.ListJobs(t.Context(), Filter{Limit: -1}); err != nil || len(n) != 3 || n[0].State != commentator.JobPending {
		t.Errorf("%v %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAnOldDatabaseHasNoStoreIDToChange(t *testing.T) {
	path := dbPath(t)
	create(`CREATE TABLE jobs (id INTEGER)`)(t, path)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Rekey(t.Context(), path)
	wantErr(t, err, ErrOldDeployment)
	if after, _ := os.ReadFile(path); len(after) != len(before) {
		t.Error("the file was changed")
	}
}
