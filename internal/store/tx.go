package store

import (
	"context"
	"database/sql"
	"time"
)

// writeTx is a write transaction with the counts that become true when it commits.
type writeTx struct {
	*sql.Tx
	outbox outboxChange
}

// write runs fn in a transaction of the write handle. fn must use the transaction for
// everything: the handle has one connection.
func (s *Store) write(ctx context.Context, fn func(tx *writeTx) error) error {
	sqlTx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return explain(err)
	}
	defer sqlTx.Rollback()
	tx := &writeTx{Tx: sqlTx}
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return explain(err)
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
