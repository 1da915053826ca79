package main

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

// startedJobIn makes a file with a job that has started and that no worker works on.
func startedJobIn(t *testing.T, path string) {
	t.Helper()
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	m := commentator.Message{Channel: "C1", TS: "1.000000", ReceivedAt: time.Now()}
	jobs, _, err := s.Ingest(t.Context(), m, []string{"https://a.test/"}, false,
		func(context.Context, *sql.Tx, int64) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	full := func(commentator.Job, commentator.Message) commentator.Decision {
		return commentator.Decision{Detail: commentator.DetailFull, By: commentator.BySettings, Ratio: 1}
	}
	_, err = s.BeginAttempt(t.Context(), jobs[0].ID, time.Now(), full, func(commentator.Job, commentator.Message) (telemetry.Message, error) {
		return telemetry.Message{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// shown are the commands that only show something, with a piece of what they print.
var shown = []struct {
	args []string
	want string
}{
	{[]string{"status"}, "0 pending, 1 interrupted, 0 final"},
	{[]string{"status", "--json"}, `"running": 1`},
	{[]string{"jobs", "list"}, "interrupted"},
	{[]string{"jobs", "list", "--json"}, `"state":"running"`},
	{[]string{"jobs", "show", "1"}, "job 1: interrupted, https://a.test/"},
	{[]string{"jobs", "show", "1", "--json"}, `"state":"running"`},
	{[]string{"tracing", "why", "1"}, "job 1: full"},
	{[]string{"outbox", "list"}, "REASON"},
}

func wantShown(t *testing.T, path string) {
	t.Helper()
	for _, c := range shown {
		var out, log lines
		code := run(t.Context(), c.args, []string{"DB_PATH=" + path}, strings.NewReader(""), &out, &log)
		if code != 0 || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: exit code %d, no %q:\n%s%s", c.args, code, c.want, &out, &log)
		}
	}
}

// Who only shows something waits for no writer.
func TestCommandsThatShowNeedNoWriteLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite")
	startedJobIn(t, path)
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tx, err := s.DB().BeginTx(t.Context(), nil) // it takes the write lock at once
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	wantShown(t, path)
}

// Nothing is left beside a database that nobody works on, and what another process writes meanwhile is
// no damage.
func TestCommandsThatShowLeaveNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite")
	startedJobIn(t, path)
	before := filesBeside(t, path)
	wantShown(t, path)
	if after := filesBeside(t, path); !slices.Equal(after, before) {
		t.Errorf("beside the database are %q, before %q", after, before)
	}
	r, err := store.Glance(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	list := func() []commentator.Job {
		t.Helper()
		jobs, err := r.ListJobs(t.Context(), store.Filter{Limit: -1})
		if err != nil {
			t.Fatal(err)
		}
		return jobs
	}
	list()
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	m := commentator.Message{Channel: "C1", TS: "2.000000", ReceivedAt: time.Now(), Text: strings.Repeat("text ", 20_000)}
	_, _, err = s.Ingest(t.Context(), m, []string{"https://b.test/"}, false, func(context.Context, *sql.Tx, int64) error { return nil })
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if got := len(list()); got != 2 {
		t.Errorf("%d jobs are seen", got)
	}
}

func filesBeside(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A file that SQLite cannot make stands for a read-only file system: root may write what is marked as
// read-only.
func TestCommandsThatShowNeedNoFolderThatCanBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite")
	startedJobIn(t, path)
	if err := os.Symlink("nowhere", path+"-shm"); err != nil { // SQLite follows no link
		t.Fatal(err)
	}
	wantShown(t, path)
	// With changes in the log that are in no database, a part would be shown.
	if err := os.WriteFile(path+"-wal", []byte("changes"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, log lines
	code := run(t.Context(), []string{"jobs", "list"}, []string{"DB_PATH=" + path}, strings.NewReader(""), &out, &log)
	if code != exitFailed || !strings.Contains(log.String(), "its last changes are in "+path+"-wal") || !strings.Contains(log.String(), "where the folder can be written") {
		t.Errorf("exit code %d:\n%s%s", code, &out, &log)
	}
}

// A database of an older release is upgraded, as by any other command.
func TestCommandsThatShowUpgradeAnOlderDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite")
	startedJobIn(t, path)
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`DROP INDEX jobs_link`, `ALTER TABLE messages DROP COLUMN edited_ts`, `ALTER TABLE messages DROP COLUMN deleted_at`,
		`ALTER TABLE jobs DROP COLUMN link_key`, `ALTER TABLE jobs DROP COLUMN withdrawn_at`,
		`UPDATE meta SET value = '2' WHERE key = 'schema_version'`,
	} {
		if _, err := s.DB().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantShown(t, path)
}

// When the time to stop went by with jobs and nothing waits, the Collector is not to blame.
func TestAWorkerThatStopsBlamesTheCollectorForWhatWaitsAlone(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "db.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var log lines
	w := &worker{app: &app{log: slog.New(slog.NewTextHandler(&log, nil))}, store: s}
	if err := w.drained(t.Context(), context.DeadlineExceeded); err != nil || log.String() != "" {
		t.Errorf("%v, logged %q", err, log.String())
	}
}
