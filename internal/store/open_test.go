package store

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/test/dbtest"
)

func TestStoreIDAndKeyAreKeptAndDifferBetweenDatabases(t *testing.T) {
	path := newDatabase(t)
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	first, key := s.StoreID(), s.PseudonymKey()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s := open(t, path); s.StoreID() != first || s.PseudonymKey() != key {
		t.Errorf("store id %s, then %s; or another key of pseudonyms", first, s.StoreID())
	}
	if len(first) != 36 || first != strings.ToLower(first) {
		t.Errorf("store id %q is no lower-case UUID", first)
	}
	if other := newStore(t); other.StoreID() == first || other.PseudonymKey() == key || key == first {
		t.Error("two databases share a store id or a key of pseudonyms, or the two are one")
	}
}

func TestOpenSetsThePragmas(t *testing.T) {
	s := open(t, dbPath(t))
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1", "busy_timeout": "5000", "wal_autocheckpoint": "0",
	} {
		var got string
		if err := s.DB().QueryRow(`PRAGMA ` + pragma).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s = %s, want %s", pragma, got, want)
		}
	}
	if _, err := s.Reader().Exec(`DELETE FROM jobs`); err == nil {
		t.Error("the reader can write")
	}
	info, err := os.Stat(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("file mode %v: others can read the messages", info.Mode())
	}
}

func TestOpenWorksWithAnyPath(t *testing.T) {
	for _, name := range []string{"a b.sqlite", "50%25?.sqlite", "x#y&z=1.sqlite", "ü'\".sqlite"} {
		path := filepath.Join(t.TempDir(), name)
		open(t, path)
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Chdir(t.TempDir())
	open(t, "./db.sqlite")
	if _, err := os.Stat("db.sqlite"); err != nil {
		t.Error(err)
	}
}

func TestManyProcessesMayCreateTheDatabaseAtOnce(t *testing.T) {
	path := newDatabase(t)
	ids := make([]string, 8) // and keys
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			s, err := Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = s.StoreID() + s.PseudonymKey()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("store ids or keys differ: %v", ids)
		}
	}
}

// SQLite lets nobody wait who turns a file's journal mode to WAL while another one is about to write, as two
// are that create it at once.
func TestOpenWaitsForTheWriterOfAFileThatIsNotInWALMode(t *testing.T) {
	dbtest.SQLiteOnly(t)
	path := dbPath(t)
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", dsn(path, "rw", "journal_mode(DELETE)"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() {
		if _, err := other.Exec(`ROLLBACK`); err != nil {
			t.Error(err)
		}
	})
	open(t, path)
}

func TestOpenRefusesWhatIsNotItsDatabase(t *testing.T) {
	tests := []struct {
		name  string
		make  func(t *testing.T, path string)
		err   error
		hint  string
		keeps bool // the file must stay as it is
	}{
		{"text", write("hello, this is no database"), ErrNotDatabase, "DB_PATH", true},
		{"short text", write("hi"), ErrNotDatabase, "DB_PATH", true},
		{"damaged", write("SQLite format 3\x00" + strings.Repeat("x", 5000)), ErrNotDatabase, "backup", true},
		{"directory", mkdir, ErrNotDatabase, "directory", false},
		{"python deployment", create(`
			CREATE TABLE messages(id integer primary key autoincrement, channel_id text not null, message_ts text not null, thread_ts text,
				user_id text, text text, created_at datetime default current_timestamp, status text default 'received', unique(channel_id, message_ts));
			CREATE TABLE jobs(id integer primary key autoincrement, channel_id text not null, message_ts text not null, status text default 'pending',
				attempts integer default 0, last_error text)`), ErrOldDeployment, "./commentator.sqlite", true},
		{"other program", create(`CREATE TABLE experiments (id integer)`), ErrForeign, "DB_PATH", true},
		{"other program with meta", create(`CREATE TABLE meta (key text, value text)`), ErrForeign, "DB_PATH", true},
		{"odd version", create(`CREATE TABLE meta (key text, value text); INSERT INTO meta VALUES ('schema_version', 'x')`), ErrForeign, "DB_PATH", true},
		{"newer", create(`CREATE TABLE meta (key text, value text); INSERT INTO meta VALUES ('schema_version', '1000')`), ErrNewerSchema, "newer release", true},
		{"read-only", readOnlyFile, ErrReadOnly, "write", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := dbPath(t)
			tt.make(t, path)
			before, _ := os.ReadFile(path)
			_, err := Open(t.Context(), path)
			wantErr(t, err, tt.err)
			for _, part := range []string{path, tt.hint} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if after, _ := os.ReadFile(path); tt.keeps && string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestADatabaseThatMustExistIsNotMade(t *testing.T) {
	path := newDatabase(t)
	for range 2 {
		_, err := Open(t.Context(), path, Existing())
		wantErr(t, err, ErrNoDatabase)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was made")
	}
	open(t, path)
	open(t, path, Existing())
}

func TestOpenSaysThatTheDirectoryIsMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "no", "such")
	_, err := Open(t.Context(), filepath.Join(dir, "db.sqlite"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir+" does not exist") {
		t.Errorf("error %v", err)
	}
}

func TestAnOldCopyPutBackGivesNewIdentitiesToNewJobs(t *testing.T) {
	path := dbPath(t)
	seen := map[wire.TraceID]string{}
	identities := func(round int) {
		s, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			m := testMessage("same")
			m.ReceivedAt = start.AddDate(0, 0, round)
			jobs, _, err := s.Ingest(t.Context(), m, []string{"https://example.org/"}, true, noQueue)
			if err != nil {
				t.Fatal(err)
			}
			id, _ := wire.JobIdentity(jobs[0].StoreID, jobs[0].ID, jobs[0].CreatedAt)
			if other, ok := seen[id]; ok {
				t.Errorf("job %d of round %d, repetition %d has the identity of %s", jobs[0].ID, round, i, other)
			}
			seen[id] = jobs[0].CreatedAt.String()
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	identities(0)
	copied, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	identities(1)
	if err := os.WriteFile(path, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	identities(2)

	s := open(t, path)
	jobs, err := s.ListJobs(t.Context(), Filter{Limit: -1})
	if err != nil || len(jobs) != 6 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	if jobs[5].ID != 1 || jobs[0].ID != 6 || jobs[0].State != commentator.JobPending {
		t.Errorf("jobs %+v", jobs)
	}
}

func write(text string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func mkdir(t *testing.T, path string) {
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func create(statements string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(statements); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func readOnlyFile(t *testing.T, path string) {
	write("")(t, path)
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
}
