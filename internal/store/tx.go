package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// writeTx is a write transaction with the counts that become true when it commits.
type writeTx struct {
	*sql.Tx
	outbox   outboxChange
	noOutbox bool // the second try, after a message could not be stored
}

// errOutbox: a message could not be stored. What else the transaction did is not trusted
// then: SQLite may have rolled all of it back, as it does when the disk is full.
var errOutbox = errors.New("store telemetry message")

// write runs fn in a transaction of the write handle. fn must use the transaction for
// everything: the handle has one connection. fn runs once more, without messages, when
// a message could not be stored.
func (s *Store) write(ctx context.Context, fn func(tx *writeTx) error) error {
	err := s.writeOnce(ctx, &writeTx{}, fn)
	if errors.Is(err, errOutbox) && ctx.Err() == nil {
		s.log.WarnContext(ctx, "telemetry message not stored, trying without", "err", err)
		err = s.writeOnce(ctx, &writeTx{noOutbox: true}, fn)
	}
	return explain(err)
}

func (s *Store) writeOnce(ctx context.Context, tx *writeTx, fn func(tx *writeTx) error) error {
	var err error
	if tx.Tx, err = s.db.BeginTx(ctx, nil); err != nil {
		return err
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.counters.apply(tx.outbox)
	return nil
}

// querier is a transaction or the read-only pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Times are kept in whole microseconds since 1970 UTC.
func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

func fromNullMicros(us sql.NullInt64) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return fromMicros(us.Int64)
}

func nullID(id int64) sql.NullInt64 { return sql.NullInt64{Int64: id, Valid: id != 0} }
