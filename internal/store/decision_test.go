package store

import (
	"context"
	_ "embed" // for the fixtures
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
)

func TestDecisionIsKeptAndCounted(t *testing.T) {
	database := newDatabase(t)
	s := open(t, database)
	want := commentator.Decision{Detail: commentator.DetailFull, By: "r1", Rule: "full for 0.5 of the jobs", Ratio: 0.5, Revision: "0a1b2c3d"}
	decide := func(commentator.Job, commentator.Message) commentator.Decision { return want }
	var last commentator.Job
	if _, _, err := s.LastStarted(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("without a job: %v", err)
	}
	for range 3 {
		last = newJob(t, s)
		if d, err := s.Decision(t.Context(), last.ID); err != nil || d != (commentator.Decision{}) {
			t.Errorf("before the start: %+v, %v", d, err)
		}
		if _, err := s.BeginAttempt(t.Context(), last.ID, start, decide, startedMessage); err != nil {
			t.Fatal(err)
		}
	}
	newJob(t, s) // has not started
	if id, at, err := s.LastStarted(t.Context()); err != nil || id != last.ID || !at.Equal(start.Truncate(time.Microsecond)) {
		t.Errorf("job %d started last, at %v, %v; want %d", id, at, err, last.ID)
	}
	got, err := s.Decision(t.Context(), last.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	r, err := OpenReadOnly(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for rule, want := range map[string]int64{"r1": 3, "r2": 0} {
		for name, decided := range map[string]func(context.Context, string) (int64, error){"Store": s.Decided, "ReadOnly": r.Decided} {
			if n, err := decided(t.Context(), rule); err != nil || n != want {
				t.Errorf("%s: rule %s decided %d jobs, %v; want %d", name, rule, n, err, want)
			}
		}
	}
	if _, err := s.Decision(t.Context(), 99); !errors.Is(err, ErrNotFound) {
		t.Errorf("decision of a job that is not there: %v", err)
	}
}

var (
	//go:embed testdata/version1.sql
	version1 string
	//go:embed testdata/version2.sql
	version2 string
)

// A database of a release before goes on: its decisions stay, its finished stages too. One that
// has no key of pseudonyms gets one, once.
func TestDatabasesOfEarlierReleasesGoOn(t *testing.T) {
	for _, before := range []struct {
		name, statements string
		decision         commentator.Decision // of the running job
	}{
		{"version 1", version1, commentator.Decision{Detail: commentator.DetailFull}},
		{"version 2 without a key", version2, commentator.Decision{Detail: commentator.DetailFull, By: commentator.BySettings, Ratio: 0.5}},
	} {
		t.Run(before.name, func(t *testing.T) {
			path := dbPath(t)
			create(before.statements)(t, path)
			var key string
			for range 2 { // opening it again changes nothing more
				s, err := Open(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				if s.StoreID() != "6f1c5f0e-6d0c-4f4e-9a57-0a4e5f1b2c3d" {
					t.Errorf("store id %s", s.StoreID())
				}
				if key == "" {
					key = s.PseudonymKey()
				}
				if len(key) < 20 || s.PseudonymKey() != key {
					t.Errorf("the key of pseudonyms is %q, then %q", key, s.PseudonymKey())
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			goesOn(t, open(t, path), before.decision)
		})
	}
}

// goesOn works on the jobs of such a database: one is running, one waiting, one final.
func goesOn(t *testing.T, s *Store, decision commentator.Decision) {
	t.Helper()
	again := func(commentator.Job, commentator.Message) commentator.Decision {
		t.Error("decided twice")
		return commentator.Decision{}
	}
	a, err := s.BeginAttempt(t.Context(), 1, start, again, startedMessage)
	if err != nil {
		t.Fatal(err)
	}
	if a.Job.Detail != commentator.DetailFull || a.Job.Attempt != 2 || a.Job.Kills != 1 || len(a.Stages) != 1 {
		t.Errorf("the running job goes on as %+v with %d stages", a.Job, len(a.Stages))
	}
	if d, err := s.Decision(t.Context(), 1); err != nil || d != decision {
		t.Errorf("its decision: %+v, %v", d, err)
	}
	if _, err := s.BeginAttempt(t.Context(), 2, start, full, startedMessage); err != nil {
		t.Fatal(err)
	}
	if d, err := s.Decision(t.Context(), 2); err != nil || d.By != commentator.BySettings {
		t.Errorf("decision of the job that waited: %+v, %v", d, err)
	}
	if _, err := s.BeginAttempt(t.Context(), 3, start, again, startedMessage); !errors.Is(err, ErrFinal) {
		t.Errorf("the final job: %v", err)
	}
}
