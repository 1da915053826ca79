package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// ReadOnly is a job database for who compares or reports: no table is made, upgraded or
// pruned, whatever works on it meanwhile.
type ReadOnly struct {
	name string
	looking
}

// looking is what one needs to read jobs.
type looking struct {
	reader *database // read-only pool
	ids    identities
}

// OpenReadOnly opens the SQLite file at a path, or the PostgreSQL database at an address, as
// Open does. A database without tables is an ErrNoDatabase.
func OpenReadOnly(ctx context.Context, database string) (*ReadOnly, error) {
	return look(ctx, database, openReader)
}

// Glance is OpenReadOnly for short commands: who is the last to close a SQLite file leaves none beside it, as
// only somebody can who may write.
func Glance(ctx context.Context, database string) (*ReadOnly, error) {
	return look(ctx, database, openTidyReader)
}

func look(ctx context.Context, database string, open func(path string) (*sql.DB, error)) (*ReadOnly, error) {
	r, err := openReadOnly(database, open)
	if err == nil {
		if err = r.check(ctx); r.File() && cannotShare(err) {
			err = r.reopenUnshared(ctx, err)
		}
	}
	if err != nil {
		if r.reader != nil {
			err = errors.Join(err, r.Close())
		}
		return nil, fmt.Errorf("open job database %s: %w", r.name, explain(err))
	}
	return r, nil
}

func (r *ReadOnly) check(ctx context.Context) error {
	err := checkOwner(ctx, r.reader, true)
	if err == nil {
		r.ids, err = readIdentities(ctx, r.reader)
	}
	return err
}

// reopenUnshared opens a SQLite file in a folder that nothing can be written to, so that SQLite cannot make
// the file through which processes share a write-ahead log. Without a log nobody writes, and none is needed.
func (r *ReadOnly) reopenUnshared(ctx context.Context, why error) error {
	if info, err := os.Stat(r.name + "-wal"); err == nil && info.Size() > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("its last changes are in %s-wal, and to read them SQLite has to write %s-shm, which it cannot: %w; run the command where the folder can be written, or copy the file with its -wal to such a folder and set DB_PATH",
			r.name, r.name, unexplained{why})
	}
	reader, err := openImmutable(r.name)
	if err != nil {
		return err
	}
	if err := r.reader.Close(); err != nil {
		return errors.Join(err, reader.Close())
	}
	r.reader = &database{reader, sqliteDialect}
	return r.check(ctx)
}

// unexplained keeps explain from advising something else.
type unexplained struct{ cause error }

func (e unexplained) Error() string { return e.cause.Error() }

// openReadOnly returns at least the name that the database goes by.
func openReadOnly(address string, open func(path string) (*sql.DB, error)) (*ReadOnly, error) {
	if isPostgres(address) {
		r := &ReadOnly{name: "of DATABASE_URL"}
		_, config, err := postgresConfig(address)
		if err != nil {
			return r, err
		}
		r.name = postgresName(config)
		config.RuntimeParams["default_transaction_read_only"] = "on"
		r.reader = &database{openPool(config, postgresReaders), postgresDialect}
		return r, nil
	}
	r := &ReadOnly{name: address}
	path, err := filepath.Abs(address)
	if err != nil {
		return r, err
	}
	r.name = path
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, ErrNoDatabase
	case err != nil:
		return r, err
	case info.IsDir():
		return r, explainFile(path, ErrNotDatabase)
	}
	reader, err := open(path)
	if err != nil {
		return r, err
	}
	r.reader = &database{reader, sqliteDialect}
	return r, nil
}

// Current says by an ErrOlderSchema that the tables are of an earlier version, which a worker upgrades when
// it starts.
func (r *ReadOnly) Current(ctx context.Context) error {
	text, err := meta(ctx, r.reader, "schema_version")
	if err == nil && text != strconv.Itoa(schemaVersion) {
		err = fmt.Errorf("%w: its schema version is %s; a worker that is started makes it %d", ErrOlderSchema, text, schemaVersion)
	}
	if err != nil {
		return fmt.Errorf("job database %s: %w", r.name, explain(err))
	}
	return nil
}

// Close closes the database.
func (r *ReadOnly) Close() error {
	if err := r.reader.Close(); err != nil {
		return fmt.Errorf("close job database: %w", err)
	}
	return nil
}

// Name is what people may see of where the database is.
func (r *ReadOnly) Name() string { return r.name }

// StoreIDOf is the store id that is part of a job's identity: another one for jobs that a copy
// brought along.
func (r *ReadOnly) StoreIDOf(job int64) string { return r.ids.of(job) }

// QueryContext runs a query that is written for both databases, with ? for a value.
func (r *ReadOnly) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return r.reader.QueryContext(ctx, query, args...)
}

// QueryRowContext is QueryContext for one row.
func (r *ReadOnly) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return r.reader.QueryRowContext(ctx, query, args...)
}

// IDIn returns a condition on the column id, and the value that goes with it.
func (r *ReadOnly) IDIn(ids []int64) (condition string, value any) { return r.reader.dialect.idIn(ids) }
