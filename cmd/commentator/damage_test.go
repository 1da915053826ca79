package main

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/store"
)

// SQLite finds out when a statement comes to the damaged part, and says neither which file it is nor what to do.
func TestADamagedJobDatabaseIsNamedByWhateverCommandMeetsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite")
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	var page, size int64
	err = db.QueryRowContext(t.Context(), `SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = 'jobs'`).Scan(&page, &size)
	if closeErr := db.Close(); err != nil || closeErr != nil {
		t.Fatal(err, closeErr)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(bytes.Repeat([]byte{0xa5}, int(size)), (page-1)*size); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"jobs", "list"}, exitFailed},
		{[]string{"jobs", "show", "1"}, exitFailed},
		{[]string{"status"}, exitFailed},
		{[]string{"replay", "--enqueue", "https://a.test/"}, exitFailed}, // it writes
		{[]string{"eval", "promote", "--job", "1", "--dataset", filepath.Join(t.TempDir(), "set.json")}, exitEvalImpossible},
	} {
		var out, log lines
		code := run(t.Context(), c.args, []string{"DB_PATH=" + path}, strings.NewReader(""), &out, &log)
		for _, want := range []string{"malformed", path + " is damaged", "put a backup in its place", "mlflowctl doctor"} {
			if code != c.code || !strings.Contains(log.String(), want) {
				t.Errorf("%v: exit code %d, no %q:\n%s", c.args, code, want, &log)
			}
		}
	}
}
