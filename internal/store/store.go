package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Defaults of the options.
const (
	DefaultOutboxLimit = 1 << 30        // bytes of message bodies
	DefaultKeepSent    = 72 * time.Hour // how long a sent message stays for repairs
	DefaultMaxAge      = 30 * 24 * time.Hour
)

// Store is the open job database. It is safe for concurrent use.
type Store struct {
	path         string // of a SQLite file, or what names a PostgreSQL database to people
	address      string // of a PostgreSQL database, with the password
	dialect      *dialect
	pseudonymKey string

	db *database // writes; shared with River. Of a SQLite file the only writer, with one connection
	looking

	// With SQLite only; pgx prepares all statements by itself, PostgreSQL keeps its log by itself.
	file         os.FileInfo // of path, as it was opened
	checkpointer *sql.DB     // one connection, for nothing else
	insertRow    *sql.Stmt   // into the outbox, on the write handle: prepared once for all jobs

	clock       func() time.Time
	log         *slog.Logger
	outboxLimit int64
	keepSent    time.Duration
	maxAge      time.Duration
	history     *historian // nil: nothing of it is removed
	existing    bool
	patience    time.Duration
	lossEvery   time.Duration

	writePatience time.Duration

	counters counters
	// What the background task knows, and Close behind it.
	evictionSaid evictionSaid
	noted        map[string]int64 // losses of this process that are noted in the database
	stop         context.CancelFunc
	tasks        sync.WaitGroup
}

// Option changes a default of Open.
type Option func(*Store)

// WithClock sets the source of the times that no caller gives, such as the time at
// which a message entered the outbox. Default time.Now.
func WithClock(now func() time.Time) Option { return func(s *Store) { s.clock = now } }

// WithLogger sets where losses of telemetry and failures of the background tasks are
// reported. Default: nowhere.
func WithLogger(l *slog.Logger) Option { return func(s *Store) { s.log = l } }

// WithOutboxLimit bounds the bytes of message bodies in the outbox; default
// DefaultOutboxLimit. When a new message does not fit, sent messages are deleted, then
// refused ones, then unsent ones, each time the oldest first.
func WithOutboxLimit(bytes int64) Option { return func(s *Store) { s.outboxLimit = bytes } }

// WithKeepSent sets how long sent messages are kept; default DefaultKeepSent. The
// limit of the outbox may remove them earlier.
func WithKeepSent(d time.Duration) Option { return func(s *Store) { s.keepSent = d } }

// WithMaxAge sets after how long a message that nobody took, or that was set aside, is given
// up and counted; default DefaultMaxAge.
func WithMaxAge(d time.Duration) Option { return func(s *Store) { s.maxAge = d } }

// Existing makes Open refuse a database that has no tables yet with ErrNoDatabase.
func Existing() Option { return func(s *Store) { s.existing = true } }

// Open opens a job database and creates its tables if there are none: a SQLite file at a path,
// which is created too, or the PostgreSQL database at an address like
// postgres://user:password@host:5432/database. It refuses, with a sentence that says what to do,
// what is something else (ErrNotDatabase, ErrOldDeployment, ErrForeign, ErrNewerSchema), what
// cannot be written (ErrReadOnly) and what cannot be reached (ErrUnreachable). ctx bounds the
// opening only.
func Open(ctx context.Context, database string, opts ...Option) (*Store, error) {
	s := &Store{
		clock:       time.Now,
		log:         slog.New(slog.DiscardHandler),
		outboxLimit: DefaultOutboxLimit,
		keepSent:    DefaultKeepSent,
		maxAge:      DefaultMaxAge,
		patience:    patience,

		writePatience: writePatience,
	}
	for _, opt := range opts {
		opt(s)
	}
	open := s.openSQLite
	if isPostgres(database) {
		open = s.openPostgres
	}
	if err := open(ctx, database); err != nil {
		return nil, errors.Join(fmt.Errorf("open job database %s: %w", s.path, explain(err)), s.closeDatabases())
	}
	if s.lossEvery == 0 {
		s.lossEvery = s.dialect.lossEvery
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	if s.checkpointer != nil {
		s.tasks.Go(func() { s.runCheckpointer(background) })
	}
	s.tasks.Go(func() { s.runPruner(background) })
	if s.history != nil {
		s.tasks.Go(func() { s.runHistory(background) })
	}
	return s, nil
}

// prepare makes an opened database ready: the reader is there, openWriter opens the writer once
// it is known that the database is ours.
func (s *Store) prepare(ctx context.Context, openWriter func() (*sql.DB, error)) error {
	if err := checkOwner(ctx, s.reader, s.existing); err != nil {
		return err
	}
	writer, err := openWriter()
	if err != nil {
		return err
	}
	s.db = &database{writer, s.dialect}
	if err := s.prepareSchema(ctx); err != nil {
		return err
	}
	return s.measureOutbox(ctx, 0)
}

// Close ends the background tasks and closes the database. Callers have stopped their
// own work before, the queue's above all.
func (s *Store) Close() error {
	s.stop()
	s.tasks.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	s.sayEvicted(ctx, 0)
	if err := s.noteLosses(ctx); err != nil {
		s.log.Warn("note lost telemetry messages", "err", err)
	}
	if err := s.closeDatabases(); err != nil {
		return fmt.Errorf("close job database: %w", err)
	}
	return nil
}

func (s *Store) closeDatabases() error {
	var errs []error
	if s.insertRow != nil {
		errs = append(errs, s.insertRow.Close())
	}
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	if s.checkpointer != nil {
		errs = append(errs, s.checkpointer.Close())
	}
	// The writer goes last: the last connection that closes moves SQLite's write-ahead log
	// into the database, which a read-only one cannot.
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

// StoreID is the UUID written when the database was created, or when a copy of it got one of its
// own; part of the identity of every job that this database did not bring along.
func (s *looking) StoreID() string { return s.ids.current }

// PseudonymKey is the secret under which Slack's ids of people become pseudonyms: random,
// written when the database was created, and kept nowhere else.
func (s *Store) PseudonymKey() string { return s.pseudonymKey }

// Path is the absolute path of the SQLite file, or the address of the PostgreSQL database
// without user and password.
func (s *Store) Path() string { return s.path }

// Address is the address of the PostgreSQL database, with the password; empty: a SQLite file.
func (s *Store) Address() string { return s.address }

// LockPath is the file on which the process that works off the jobs of a SQLite file holds its
// lock; empty for PostgreSQL.
func (s *Store) LockPath() string {
	if s.address != "" {
		return ""
	}
	return s.path + ".lock"
}

// DB is the write handle. That of a SQLite file has one connection: whoever holds a transaction
// must not wait for anybody else who needs it.
func (s *Store) DB() *sql.DB { return s.db.DB }

// Reader is the read-only pool.
func (s *looking) Reader() *sql.DB { return s.reader.DB }
