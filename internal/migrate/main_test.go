package migrate

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/test/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is the time of all migrations in the tests.
var now = time.Date(2026, 2, 1, 9, 0, 0, 123_456_789, time.UTC)

// oldDatabase makes an old database with the old program's own statements.
func oldDatabase(t testing.TB, statements ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "old.sqlite")
	db := openFile(t, path)
	defer db.Close()
	for _, s := range append([]string{schemaSQL}, statements...) {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func openFile(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

func oddRows(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("testdata/old.sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func mustRead(t testing.TB, path string) Tables {
	t.Helper()
	tables, err := Read(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

func newStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), dbtest.New(t), store.WithClock(func() time.Time { return now }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// enqueued collects the ids of the jobs that go on.
type enqueued []int64

func (e *enqueued) add(_ context.Context, _ *sql.Tx, id int64) error {
	*e = append(*e, id)
	return nil
}

// run migrates and returns the jobs that were enqueued.
func run(t testing.TB, s *store.Store, old Tables) (Report, []int64) {
	t.Helper()
	var ids enqueued
	r, err := Run(context.Background(), config(old, &ids), s)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, r)
	return r, ids
}

func config(old Tables, ids *enqueued) Config {
	return Config{From: "old.sqlite", Old: old, Now: now, LinkKey: strings.ToLower, Enqueue: ids.add}
}

// checkSums makes sure that no row is missing in a report.
func checkSums(t testing.TB, r Report) {
	t.Helper()
	for _, c := range r.Jobs {
		if c.Read != c.sum() {
			t.Errorf("%s: %d jobs read, the report tells of %d", c.Status, c.Read, c.sum())
		}
	}
	if m := r.Messages; m.Read != m.Added+m.There+m.LeftOut {
		t.Errorf("messages do not add up: %+v", m)
	}
}

func contents(t testing.TB, s *store.Store) store.Contents {
	t.Helper()
	c, err := s.Contents(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if commentator.ErrorCode(err) != code || !commentator.IsFinal(err) {
		t.Errorf("error %v, want a final one with the code %s", err, code)
	}
}

// sum is what Read has to be.
func (c *JobCounts) sum() int {
	return c.GoOn + c.Done + c.NoLink + c.Failed + c.Cancelled + c.There + c.Merged + c.LeftOut
}
