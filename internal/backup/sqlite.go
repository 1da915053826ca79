package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/technoshare/commentator/internal/sqlitefile"
)

const (
	stepPages = 4096             // copied between two looks at the context
	patience  = 30 * time.Second // for a lock that a writer holds
)

func open(path string, options url.Values) (*sql.DB, error) {
	db, err := sql.Open("sqlite", sqlitefile.Source(path, options))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// openQuiet opens a database that nobody writes, without making files beside it.
func openQuiet(path string) (*sql.DB, error) {
	return open(path, url.Values{"mode": {"ro"}, "immutable": {"1"}})
}

// openBusy opens a database that others may write to. rw, because one whose program was killed
// within a write has to be mended to be read.
func openBusy(path string) (*sql.DB, error) {
	return open(path, url.Values{"mode": {"rw"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds())}})
}

// copyDatabase copies a database as it is at one moment, while others write to it. Where
// the database has no write-ahead log, as MLflow's, writers wait meanwhile; MLflow's have 20 s
// for that.
func copyDatabase(ctx context.Context, from, to string) (err error) {
	if err := sqlitefile.Check(from); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	source, err := openBusy(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	conn, err := source.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The moment: without a transaction around the steps each write of others would begin
	// the copy anew.
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var tables int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master`).Scan(&tables); err != nil {
		return err
	}
	if err := conn.Raw(func(c any) error { return steps(ctx, c, to) }); err != nil {
		return err
	}
	return syncFile(to)
}

func steps(ctx context.Context, conn any, to string) error {
	source, ok := conn.(interface {
		NewBackup(uri string) (*sqlite.Backup, error)
	})
	if !ok {
		return fmt.Errorf("the driver %T copies no databases", conn)
	}
	// Nobody else has the copy, and one that is not finished is thrown away.
	b, err := source.NewBackup(sqlitefile.Source(to, url.Values{"mode": {"rw"}, "_pragma": {"journal_mode(OFF)", "synchronous(OFF)"}}))
	if err != nil {
		return err
	}
	for more, deadline := true, time.Now().Add(patience); more && err == nil; {
		more, err = b.Step(stepPages)
		if isBusy(err) && time.Now().Before(deadline) {
			more, err = true, nil
			time.Sleep(20 * time.Millisecond)
		}
		err = errors.Join(err, ctx.Err())
	}
	return errors.Join(err, b.Finish())
}

func isBusy(err error) bool {
	code, _ := sqlitefile.Code(err)
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// inspect checks a database that nobody writes and counts its rows.
func inspect(ctx context.Context, path string) (d Database, err error) {
	if err := sqlitefile.Check(path); err != nil {
		return d, err
	}
	db, err := openQuiet(path)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if d.Integrity, err = integrity(ctx, db); err != nil {
		return d, fmt.Errorf("check integrity of %s: %w", path, err)
	}
	if d.Tables, err = countRows(ctx, db); err != nil {
		return d, fmt.Errorf("count rows of %s: %w", path, err)
	}
	if _, ours := d.Tables["meta"]; ours {
		if d.StoreID, err = text(ctx, db, `SELECT value FROM meta WHERE key = 'store_id'`); err != nil {
			return d, fmt.Errorf("read store id of %s: %w", path, err)
		}
		d.Schema, err = text(ctx, db, `SELECT value FROM meta WHERE key = 'schema_version'`)
	} else if _, mlflow := d.Tables["alembic_version"]; mlflow {
		d.Schema, err = text(ctx, db, `SELECT version_num FROM alembic_version`)
	}
	if err != nil {
		return d, fmt.Errorf("read schema version of %s: %w", path, err)
	}
	return d, nil
}

// integrity returns "ok", or the first things that are wrong.
func integrity(ctx context.Context, db *sql.DB) (string, error) {
	rows, err := db.QueryContext(ctx, `PRAGMA integrity_check(5)`)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var said []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return "", err
		}
		said = append(said, line)
	}
	return strings.Join(said, "; "), rows.Err()
}

func countRows(ctx context.Context, db *sql.DB) (map[string]int64, error) {
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := map[string]int64{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		counts[name] = 0
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for name := range counts {
		var n int64
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM "`+strings.ReplaceAll(name, `"`, `""`)+`"`).Scan(&n); err != nil { // a name that the database itself gave
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		counts[name] = n
	}
	return counts, nil
}

// text returns a value, empty when there is none.
func text(ctx context.Context, db *sql.DB, query string) (string, error) {
	var s string
	err := db.QueryRowContext(ctx, query).Scan(&s)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return s, err
}

// isThere reports whether a file or folder exists.
func isThere(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
