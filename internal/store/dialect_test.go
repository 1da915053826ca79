package store

import (
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

func TestPlaceholdersAreNumbered(t *testing.T) {
	for query, want := range map[string]string{
		`SELECT 1`:                            `SELECT 1`,
		`a = ? AND b = ?`:                     `a = $1 AND b = $2`,
		`a = ?2 OR b = ?1 OR ?2 = ''`:         `a = $2 OR b = $1 OR $2 = ''`,
		`a = '?' AND b = 'it''s ?' AND c = ?`: `a = '?' AND b = 'it''s ?' AND c = $1`,
	} {
		for range 2 { // the second time from memory
			if got := numbered(query); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
	}
}

// Texts of pages and messages hold what they like; PostgreSQL takes neither NUL nor bytes that
// are no UTF-8.
func TestEveryTextIsStored(t *testing.T) {
	s := newStore(t)
	m := testMessage("1.1")
	m.Text = "nul \x00, half a rune \xe2\x82, quote ' and ? and $1"
	jobs, _, err := s.Ingest(t.Context(), m, []string{"https://example.org/?q=%00\x00"}, false, noQueue)
	if err != nil {
		t.Fatal(err)
	}
	a := begin(t, s, jobs[0].ID)
	rec := record(commentator.StageRetrieval)
	rec.ErrorType, rec.ErrorMessage = "odd", "page said \x00\xff"
	if err := s.CommitStage(t.Context(), a.Job, rec, body("retrieval", "\x00\xff"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(t.Context(), a.Job, Ending{Outcome: commentator.OutcomeError, ErrorMessage: "\x00", At: start}, endedMessage, nil); err != nil {
		t.Fatal(err)
	}
	read, err := s.Message(t.Context(), a.Message.ID)
	if err != nil || !strings.HasPrefix(read.Text, "nul ") || !strings.HasSuffix(read.Text, ", quote ' and ? and $1") {
		t.Errorf("message %q, %v", read.Text, err)
	}
	rows, err := s.Unsent(t.Context(), 0, 1<<20)
	if err != nil || len(rows) != 3 || string(rows[1].Body) != "\x00\xff" {
		t.Errorf("messages %v, %v", rows, err)
	}
}

// Transactions of one job exclude each other, and so do those of all jobs; else a fence that was
// passed would not hold until the commit.
func TestAFenceHoldsUntilTheCommit(t *testing.T) {
	s := newStore(t)
	a := begin(t, s, newJob(t, s).ID)
	for name, second := range map[string]func() error{
		"the same job": func() error {
			_, err := s.BeginAttempt(t.Context(), a.Job.ID, start, full, startedMessage)
			return err
		},
		"whatever is written": func() error { return s.write(t.Context(), func(*writeTx) error { return nil }) },
	} {
		fenced, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 2)
		current, err := s.Job(t.Context(), a.Job.ID)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			done <- s.writeJob(t.Context(), func(tx *writeTx) error {
				err := s.fence(t.Context(), tx, current)
				close(fenced)
				<-goOn
				return err
			})
		}()
		<-fenced
		began := make(chan error, 1)
		go func() { began <- second() }()
		select {
		case err := <-began:
			t.Fatalf("%s went on beside it: %v", name, err)
		case <-time.After(50 * time.Millisecond): // nothing tells that somebody waits
		}
		close(goOn)
		for _, c := range []chan error{done, began} {
			if err := <-c; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
