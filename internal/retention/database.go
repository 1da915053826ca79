package retention

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // registers the driver

	"github.com/technoshare/commentator/internal/mlflow/backendstore"
	"github.com/technoshare/commentator/internal/sqlitefile"
)

// page is how many rows one statement reads. MLflow cannot write while it is read.
const page = 4000

// ErrUnsupported says that this kind of database or artifact store is not built yet.
var ErrUnsupported = errors.New("not supported yet")

// database is MLflow's SQLite file.
type database struct {
	path string
	sql  *sql.DB
	// tables are the columns of each table: what there is differs between versions of MLflow.
	tables map[string][]string
	// foreign are the columns that refer to the table of runs, "table.column", except those of
	// what is logged to a run.
	foreign [][2]string
}

// StorePath gives the file of a store of the form sqlite:///path.
func StorePath(uri string) (string, error) {
	switch store := backendstore.Parse(uri); {
	case store.File != "":
		return store.File, nil
	case store.Dialect == "postgresql", store.Dialect == "mysql", store.Dialect == "mssql":
		return "", fmt.Errorf("the backend store is %s: retention on it is %w, only on SQLite (sqlite:///path); use `mlflow gc` there", store.Dialect, ErrUnsupported)
	default:
		return "", fmt.Errorf("%s is no backend store: want sqlite:///path, what MLflow was started with as --backend-store-uri", backendstore.Redacted(uri))
	}
}

// openDatabase opens the file, which must be MLflow's.
func openDatabase(ctx context.Context, uri string) (*database, error) {
	path, err := StorePath(uri)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", path, err)
	}
	if err := isSQLite(abs); err != nil {
		return nil, err
	}
	q := url.Values{
		"mode": {"rw"}, "_txlock": {"immediate"},
		// MLflow waits 20 s itself; longer than any of its transactions takes.
		"_pragma": {"busy_timeout(30000)", "foreign_keys(1)"},
	}
	db, err := sql.Open("sqlite", sqlitefile.Source(abs, q))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", abs, err)
	}
	db.SetMaxOpenConns(1)
	d := &database{path: abs, sql: db, tables: map[string][]string{}}
	if err := d.look(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", abs, err), db.Close())
	}
	return d, nil
}

func isSQLite(path string) error {
	err := sqlitefile.Check(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no %s: --mlflow-store (MLFLOW_BACKEND_STORE) must name the database that MLflow was started with", path)
	case errors.Is(err, sqlitefile.ErrNot):
		return fmt.Errorf("%w: --mlflow-store (MLFLOW_BACKEND_STORE) must name the one that MLflow was started with", err)
	case err != nil:
		return fmt.Errorf("open MLflow's database: %w", err)
	}
	return nil
}

func (d *database) Close() error { return d.sql.Close() }

// owned are the tables of what is logged to a run; all refer to it by run_uuid.
var owned = []string{"metrics", "latest_metrics", "params", "tags"}

// look reads the schema.
func (d *database) look(ctx context.Context) error {
	columns, err := strings2(ctx, d.sql, `
		SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'`)
	if err != nil {
		return err
	}
	for _, c := range columns {
		d.tables[c[0]] = append(d.tables[c[0]], c[1])
	}
	for _, want := range append([]string{"experiments", "runs", "alembic_version"}, owned...) {
		if d.tables[want] == nil {
			return fmt.Errorf("it has no table %q: it is not MLflow's", want)
		}
	}
	foreign, err := strings2(ctx, d.sql, `
		SELECT m.name, f."from" FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table' AND f."table" = 'runs'`)
	for _, f := range foreign {
		if !slices.Contains(owned, f[0]) {
			d.foreign = append(d.foreign, f)
		}
	}
	return err
}

// has reports whether a table has all these columns.
func (d *database) has(table string, columns ...string) bool {
	for _, c := range columns {
		if !slices.Contains(d.tables[table], c) {
			return false
		}
	}
	return d.tables[table] != nil
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// strings2 reads rows of two texts.
func strings2(ctx context.Context, q querier, query string, args ...any) ([][2]string, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all [][2]string
	for rows.Next() {
		var a, b sql.NullString
		if err := rows.Scan(&a, &b); err != nil {
			return nil, err
		}
		all = append(all, [2]string{a.String, b.String})
	}
	return all, rows.Err()
}

// paged reads a table in pages, so that MLflow may write between them. The query has its first
// column, the rowid, compared with the one argument, is ordered by it and ends before LIMIT.
func paged(ctx context.Context, q querier, query string, scan func(*sql.Rows, *int64) error) error {
	query += fmt.Sprintf(" LIMIT %d", page)
	after := int64(-1)
	for {
		n, err := onePage(ctx, q, query, &after, scan)
		if err != nil || n < page {
			return err
		}
	}
}

func onePage(ctx context.Context, q querier, query string, after *int64, scan func(*sql.Rows, *int64) error) (n int, err error) {
	rows, err := q.QueryContext(ctx, query, *after)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows, after); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

// within runs f in a transaction that may write from its beginning.
func (d *database) within(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := d.sql.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// in makes the list of an IN and its arguments.
func in(ids []string) (string, []any) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	return "(?" + strings.Repeat(",?", len(ids)-1) + ")", args
}
