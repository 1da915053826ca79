package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/technoshare/commentator/internal/sqlitefile"
)

// How long a connection waits for a lock: of another process, or of the
// checkpointer, which must give up long before the writers do.
const (
	busyPatience          = 5 * time.Second
	busyTimeout           = "busy_timeout(5000)"
	busyTimeoutCheckpoint = "busy_timeout(200)"
)

// dsn builds a data source name from a path that may hold any character.
func dsn(path string, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_pragma": pragmas}
	if mode != "ro" {
		// A transaction that reads first and writes later would otherwise fail with
		// SQLITE_BUSY, without waiting, when another process wrote in between.
		q.Set("_txlock", "immediate")
	}
	return sqlitefile.Source(path, q)
}

// openSQLite opens the file at a path. With Existing nothing is made where nothing is.
func (s *Store) openSQLite(ctx context.Context, path string) error {
	s.dialect, s.path = sqliteDialect, path
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	s.path = abs
	if _, err := os.Stat(abs); s.existing && errors.Is(err, fs.ErrNotExist) {
		return ErrNoDatabase
	}
	if err := prepareFile(abs); err != nil {
		return err
	}
	reader, err := openReader(abs)
	if err != nil {
		return err
	}
	s.reader = &database{reader, s.dialect}
	if err := s.prepare(ctx, func() (*sql.DB, error) { return openWriter(ctx, abs, busyTimeout) }); err != nil {
		return err
	}
	if s.insertRow, err = s.db.PrepareContext(ctx, insertRow); err != nil {
		return err
	}
	if s.checkpointer, err = openWriter(ctx, abs, busyTimeoutCheckpoint); err != nil {
		return err
	}
	s.file, err = os.Stat(abs)
	return err
}

// openWriter opens a connection that writes: one for all that the program does, and one
// for the checkpointer.
//
// synchronous=NORMAL with WAL syncs at checkpoints only: a killed process loses nothing,
// since the operating system holds what was written; after a power loss the last
// transactions may be gone, never half there. The jobs they belong to are then done
// again, with the same identities.
//
// Automatic checkpoints are off, because they would run inside a job's commit; see
// runCheckpointer.
func openWriter(ctx context.Context, path, timeout string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, "rw",
		timeout, "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)",
		"wal_autocheckpoint(0)", fmt.Sprintf("journal_size_limit(%d)", walKeep)))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := beAlone(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// beAlone makes the first connection of a writer, which turns the journal mode of a new file, or of
// one that a backup put back, to WAL. SQLite returns SQLITE_BUSY at once there when another process
// does so too, whatever busy_timeout says: both read already, and the other waits for all readers to end.
func beAlone(ctx context.Context, db *sql.DB) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := db.PingContext(ctx)
		if err != nil && !busy(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 5 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 1.5, MaxInterval: 100 * time.Millisecond,
	}), backoff.WithMaxElapsedTime(busyPatience))
	return err
}

func openReader(path string) (*sql.DB, error) { return openToRead(path, "ro") }

// openTidyReader can remove the write-ahead log when it is the last to close the file.
func openTidyReader(path string) (*sql.DB, error) { return openToRead(path, "rw") }

func openToRead(path, mode string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, mode, busyTimeout, "query_only(1)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	return db, nil
}

// openImmutable opens a file that nobody writes meanwhile.
func openImmutable(path string) (*sql.DB, error) {
	return sql.Open("sqlite", dsn(path, "ro", "query_only(1)")+"&immutable=1")
}

// cannotShare reports whether SQLite could not make what processes share of a write-ahead log.
func cannotShare(err error) bool {
	code, _ := sqlitefile.Code(err)
	return code == sqlite3.SQLITE_CANTOPEN || code == sqlite3.SQLITE_READONLY
}

// prepareFile creates the file, readable by its owner only because it holds what people
// wrote in Slack, or checks that what is there can be a database.
func prepareFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return explainFile(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o200 == 0 { // root could write it all the same
		return readOnly("the file is marked read-only")
	}
	head := make([]byte, len(sqlitefile.Header))
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if n > 0 && string(head[:n]) != sqlitefile.Header {
		return notDatabase()
	}
	return nil
}

func explainFile(path string, err error) error {
	dir := filepath.Dir(path)
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		return fmt.Errorf("%w: it is a directory; set DB_PATH to a file", ErrNotDatabase)
	}
	if _, statErr := os.Stat(dir); errors.Is(statErr, fs.ErrNotExist) {
		return fmt.Errorf("directory %s does not exist; create it or set DB_PATH to another place: %w", dir, statErr)
	}
	if errors.Is(err, fs.ErrPermission) {
		return readOnly(err.Error())
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) && strings.Contains(pathErr.Err.Error(), "read-only") {
		return readOnly(err.Error())
	}
	return err
}

// explain turns the databases' result codes into sentences.
func explain(err error) error {
	code, ok := sqlitefile.Code(err)
	if !ok {
		return explainPostgres(err)
	}
	if Damaged(err) {
		return fmt.Errorf("%w: %w", notDatabase(), err)
	}
	switch code {
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return readOnly(err.Error())
	case sqlite3.SQLITE_BUSY:
		return fmt.Errorf("another process holds it for too long; stop that one and try again: %w", err)
	}
	return err
}

func busy(err error) bool {
	code, _ := sqlitefile.Code(err)
	return code == sqlite3.SQLITE_BUSY
}

// Damaged reports whether an error is SQLite's word that the file is damaged, which a statement may meet that
// comes long after Open.
func Damaged(err error) bool {
	code, _ := sqlitefile.Code(err)
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

func notDatabase() error {
	return fmt.Errorf("%w, or a damaged one; set DB_PATH to another file or put a backup in its place", ErrNotDatabase)
}

func readOnly(why string) error {
	return fmt.Errorf("%w: %s; SQLite must be able to write the file and to create files beside it", ErrReadOnly, why)
}
