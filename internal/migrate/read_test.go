package migrate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// files returns the contents of the files of a folder.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]string{}
	for _, e := range entries {
		body, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		held[e.Name()] = string(body)
	}
	return held
}

const oneMore = `
	INSERT INTO messages (channel_id, message_ts, text) VALUES ('C1', '1767600100.000100', 'https://example.org/more');
	INSERT INTO jobs (channel_id, message_ts) VALUES ('C1', '1767600100.000100')`

func TestReadingLeavesTheOldDatabaseAsItIs(t *testing.T) {
	for _, mode := range []string{"rollback journal", "write-ahead log, closed", "write-ahead log, open", "write-ahead log, killed"} {
		t.Run(mode, func(t *testing.T) {
			path := oldDatabase(t, oddRows(t))
			db := openFile(t, path)
			if mode != "rollback journal" {
				if _, err := db.Exec(`PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0`); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := db.Exec(oneMore); err != nil {
				t.Fatal(err)
			}
			switch mode {
			case "write-ahead log, open":
				defer db.Close()
			case "write-ahead log, killed":
				left := filepath.Join(t.TempDir(), "old.sqlite")
				for _, suffix := range []string{"", "-wal"} {
					body, err := os.ReadFile(path + suffix)
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(left+suffix, body, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				defer db.Close()
				path = left
			default:
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			before := files(t, filepath.Dir(path))
			if _, log := before["old.sqlite-wal"]; log != strings.Contains(mode, "open") && log != strings.Contains(mode, "killed") {
				t.Fatalf("there is a log: %v", log)
			}

			tables := mustRead(t, path)
			if n := len(tables.Jobs); tables.Jobs[n-1].TS.String != "1767600100.000100" {
				t.Errorf("the last job is %+v: what is in the log was not read", tables.Jobs[n-1])
			}

			after := files(t, filepath.Dir(path))
			for _, held := range []map[string]string{before, after} {
				delete(held, "old.sqlite-shm") // the locks of whoever reads it
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("files changed:\n%.500s", diff)
			}
		})
	}
}

func TestReadingSeesOneMomentOfALiveDatabase(t *testing.T) {
	for _, journal := range []string{"WAL", "DELETE"} {
		t.Run(journal, func(t *testing.T) {
			path := oldDatabase(t)
			db := openFile(t, path)
			defer db.Close()
			if _, err := db.Exec(`PRAGMA busy_timeout = 5000; PRAGMA synchronous = OFF; PRAGMA journal_mode = ` + journal); err != nil {
				t.Fatal(err)
			}
			write := func(i int) error {
				ts := fmt.Sprintf("1767600000.%06d", i)
				_, err := db.Exec(`BEGIN IMMEDIATE;
					INSERT INTO messages (channel_id, message_ts, text) VALUES ('C1', '` + ts + `', 'https://example.org');
					INSERT INTO jobs (channel_id, message_ts) VALUES ('C1', '` + ts + `');
					COMMIT`)
				return err
			}
			if err := write(0); err != nil {
				t.Fatal(err)
			}
			wrote := make(chan error)
			go func() {
				for i := range 200 {
					if err := write(i + 1); err != nil {
						wrote <- err
						return
					}
				}
				wrote <- nil
			}()
			for writing := true; writing; {
				select {
				case err := <-wrote:
					if err != nil {
						t.Errorf("the old program could not write: %v", err)
					}
					writing = false // and one more look
				default:
				}
				tables := mustRead(t, path)
				if len(tables.Messages) != len(tables.Jobs) || len(tables.Jobs) == 0 {
					t.Errorf("%d messages and %d jobs, which were written together", len(tables.Messages), len(tables.Jobs))
				}
			}
		})
	}
}

// A file that nobody had open is read without locks; its program may start just then.
func TestReadingBeginsAgainWhenTheOldProgramStarts(t *testing.T) {
	path := oldDatabase(t, `PRAGMA journal_mode = WAL`)
	var locks []bool
	tables, err := readSettled(path, func(immutable bool) (Tables, error) {
		locks = append(locks, !immutable)
		got, err := read(t.Context(), path, immutable)
		if immutable {
			db := openFile(t, path)
			t.Cleanup(func() { db.Close() })
			if _, err := db.Exec(oneMore); err != nil {
				t.Fatal(err)
			}
		}
		return got, err
	})
	if err != nil || len(tables.Jobs) != 1 || !slices.Equal(locks, []bool{false, true}) {
		t.Errorf("%d jobs, with locks %v; %v", len(tables.Jobs), locks, err)
	}
}

func TestReadingRefusesWhatIsNoOldDatabase(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign := func(statements string) string {
		path := filepath.Join(t.TempDir(), "foreign.sqlite")
		db := openFile(t, path)
		defer db.Close()
		if _, err := db.Exec(statements); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct{ name, path, says string }{
		{"missing", filepath.Join(dir, "missing.sqlite"), "there is no old database"},
		{"empty", write("empty", ""), "is no SQLite database"},
		{"text", write("text", "hello, this is a text and no database"), "is no SQLite database"},
		{"damaged", write("damaged", "SQLite format 3\x00"+strings.Repeat("x", 5000)), "damaged"},
		{"folder", dir, "is a directory"},
		{"another program's", foreign(`CREATE TABLE runs (id INTEGER)`), "has no table messages"},
		{"ours", foreign(`CREATE TABLE meta (key TEXT); ` + schemaSQL), "is a job database of this program already"},
		{"a column short", foreign(strings.ReplaceAll(schemaSQL, "last_error TEXT,", "")), "table jobs of .* has no column last_error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(t.Context(), tt.path)
			wantCode(t, err, CodeNotOld)
			if err == nil || !matches(tt.says, err.Error()) {
				t.Errorf("%v does not say %q", err, tt.says)
			}
		})
	}
}

func TestReadingExplainsAnUnfinishedWrite(t *testing.T) {
	path := oldDatabase(t)
	db := openFile(t, path)
	defer db.Close()
	// More than fits into the cache: the file is changed before the commit.
	_, err := db.Exec(`PRAGMA cache_size = 5; PRAGMA journal_mode = DELETE; BEGIN IMMEDIATE;
		INSERT INTO messages (channel_id, message_ts, text)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) SELECT 'C1', i, hex(zeroblob(2000)) FROM n`)
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(t.TempDir(), "killed.sqlite")
	for _, suffix := range []string{"", "-journal"} {
		body, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(left+suffix, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	before := files(t, filepath.Dir(left))
	_, err = Read(context.Background(), left)
	wantCode(t, err, CodeHot)
	if diff := cmp.Diff(before, files(t, filepath.Dir(left))); diff != "" {
		t.Errorf("files changed:\n%.500s", diff)
	}
}

func TestReadingFindsTheHighestIDsThatWereGiven(t *testing.T) {
	tables := mustRead(t, oldDatabase(t, oddRows(t), `CREATE TABLE extra (id INTEGER); ALTER TABLE jobs ADD COLUMN priority INTEGER`))
	if tables.LastMessageID != 12 || tables.LastJobID != 40 {
		t.Errorf("last ids %d and %d, want 12 and 40", tables.LastMessageID, tables.LastJobID)
	}
	if diff := cmp.Diff([]string{"extra", "jobs.priority"}, tables.Unknown); diff != "" {
		t.Error(diff)
	}
}
