package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
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
	path         string
	storeID      string
	pseudonymKey string

	db     *sql.DB // the only writer; one connection, shared with River
	reader *sql.DB // read-only pool

	checkpointer *sql.DB // one connection, for nothing else

	insertRow *sql.Stmt // into the outbox, on the write handle: prepared once for all jobs

	clock       func() time.Time
	log         *slog.Logger
	outboxLimit int64
	keepSent    time.Duration
	maxAge      time.Duration
	history     *historian // nil: nothing of it is removed

	counters counters
	noted    map[string]int64 // losses of this process that are noted in the database
	stop     context.CancelFunc
	tasks    sync.WaitGroup
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

// Open opens the job database at path and creates it if there is none. It refuses, with
// a sentence that says what to do, a file that is something else (ErrNotDatabase,
// ErrOldDeployment, ErrForeign, ErrNewerSchema) or that cannot be written (ErrReadOnly).
// ctx bounds the opening only.
func Open(ctx context.Context, path string, opts ...Option) (*Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open job database %s: %w", path, err)
	}
	s := &Store{
		path:        abs,
		clock:       time.Now,
		log:         slog.New(slog.DiscardHandler),
		outboxLimit: DefaultOutboxLimit,
		keepSent:    DefaultKeepSent,
		maxAge:      DefaultMaxAge,
	}
	for _, opt := range opts {
		opt(s)
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open job database %s: %w", path, err), s.closeDatabases())
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.tasks.Go(func() { s.runCheckpointer(background) })
	s.tasks.Go(func() { s.runPruner(background) })
	if s.history != nil {
		s.tasks.Go(func() { s.runHistory(background) })
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := prepareFile(s.path); err != nil {
		return err
	}
	var err error
	if s.reader, err = openReader(s.path); err != nil {
		return err
	}
	if err := checkOwner(ctx, s.reader); err != nil {
		return explain(err)
	}
	if s.db, err = openWriter(s.path, busyTimeout); err != nil {
		return err
	}
	if s.storeID, s.pseudonymKey, err = prepareSchema(ctx, s.db); err != nil {
		return explain(err)
	}
	if s.insertRow, err = s.db.PrepareContext(ctx, insertRow); err != nil {
		return explain(err)
	}
	if s.checkpointer, err = openWriter(s.path, busyTimeoutCheckpoint); err != nil {
		return err
	}
	return s.measureOutbox(ctx)
}

// Close ends the background tasks and closes the database. Callers have stopped their
// own work before, the queue's above all.
func (s *Store) Close() error {
	s.stop()
	s.tasks.Wait()
	if err := s.noteLosses(context.Background()); err != nil {
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
	// The writer goes last: the last connection that closes moves the write-ahead log
	// into the database, which a read-only one cannot.
	for _, db := range []*sql.DB{s.reader, s.checkpointer, s.db} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// StoreID is the UUID written when the database was created; part of every job's identity.
func (s *Store) StoreID() string { return s.storeID }

// PseudonymKey is the secret under which Slack's ids of people become pseudonyms: random,
// written when the database was created, and kept nowhere else.
func (s *Store) PseudonymKey() string { return s.pseudonymKey }

// Path is the absolute path of the database file.
func (s *Store) Path() string { return s.path }

// LockPath is the file on which the process that works off the jobs holds its lock.
func (s *Store) LockPath() string { return s.path + ".lock" }

// DB is the write handle. It has one connection: whoever holds a transaction must not
// wait for anybody else who needs it.
func (s *Store) DB() *sql.DB { return s.db }

// Reader is the read-only pool.
func (s *Store) Reader() *sql.DB { return s.reader }
