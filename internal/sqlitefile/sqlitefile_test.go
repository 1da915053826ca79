package sqlitefile

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, want := range map[string]error{
		write("database", "SQLite format 3\x00\x10\x00"): nil,
		write("text", "SQLite format 3 is a format"):     ErrNot,
		write("empty", ""):         ErrNot,
		filepath.Join(dir, "none"): fs.ErrNotExist,
	} {
		if err := Check(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", filepath.Base(path), err, want)
		}
	}
}

func open(t *testing.T, path string, options url.Values) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", Source(path, options))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestSourceNamesAnyPathAndItsOptions(t *testing.T) {
	for _, name := range []string{"a b", "50%25?", "x#y&z=1", "ü'\"", ":memory:"} {
		path := filepath.Join(t.TempDir(), name)
		if _, err := open(t, path, url.Values{"_pragma": {"user_version(7)"}}).Exec(`CREATE TABLE a (b)`); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := Check(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		reader := open(t, path, url.Values{"mode": {"ro"}})
		var version int
		if err := reader.QueryRow(`PRAGMA user_version`).Scan(&version); err != nil || version != 7 {
			t.Errorf("%s: version %d, %v", name, version, err)
		}
		_, err := reader.Exec(`DROP TABLE a`)
		if code, ok := Code(err); !ok || code != sqlite3.SQLITE_READONLY {
			t.Errorf("%s: %v has code %d, want %d", name, err, code, sqlite3.SQLITE_READONLY)
		}
	}
}

func TestCodeIsPrimaryAndOfSQLiteAlone(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "db"), nil)
	if _, err := db.Exec(`CREATE TABLE a (b UNIQUE); INSERT INTO a VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	_, err := db.Exec(`INSERT INTO a VALUES (1)`) // SQLITE_CONSTRAINT_UNIQUE, an extended code
	if code, ok := Code(fmt.Errorf("insert: %w", err)); !ok || code != sqlite3.SQLITE_CONSTRAINT {
		t.Errorf("%v has code %d, want %d", err, code, sqlite3.SQLITE_CONSTRAINT)
	}
	for _, err := range []error{nil, fs.ErrNotExist} {
		if code, ok := Code(err); ok || code != 0 {
			t.Errorf("%v has code %d of SQLite", err, code)
		}
	}
}
