// Package dbtest gives tests databases: SQLite files or, when COMMENTATOR_TEST_DATABASE_URL
// names a PostgreSQL database, schemas of that one. So all tests of what a job database does are
// one suite that runs on both. `make postgres` runs it on PostgreSQL.
package dbtest

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Variable names the PostgreSQL database, like postgres://user@127.0.0.1:5432/test.
const Variable = "COMMENTATOR_TEST_DATABASE_URL"

// Postgres reports whether the tests run on PostgreSQL.
func Postgres() bool { return os.Getenv(Variable) != "" }

// New returns what store.Open takes for a database that nobody else has: a path where no file
// is, or an address. The database is removed at the end of the test.
func New(t testing.TB) string {
	t.Helper()
	if !Postgres() {
		return filepath.Join(t.TempDir(), "db.sqlite")
	}
	schema := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	run(t, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { run(t, "DROP SCHEMA "+schema+" CASCADE") })
	address, err := url.Parse(os.Getenv(Variable))
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	query.Set("search_path", schema)
	address.RawQuery = query.Encode()
	return address.String()
}

// SQLiteOnly skips a test that is about files of SQLite when the others run on PostgreSQL.
func SQLiteOnly(t testing.TB) {
	t.Helper()
	if Postgres() {
		t.Skip("about SQLite, which `make unit` tests")
	}
}

// PostgresOnly skips a test of what SQLite does not have when the tests run on files.
func PostgresOnly(t testing.TB) {
	t.Helper()
	if !Postgres() {
		t.Skip("about PostgreSQL, on which `make postgres` runs all tests of this package")
	}
}

func run(t testing.TB, statement string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Getenv(Variable))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Error(err)
	}
}
