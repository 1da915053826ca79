package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// writeTx is a write transaction with the counts that become true when it commits.
type writeTx struct {
	transaction
	outbox   outboxChange
	noOutbox bool // the last try, after a message could not be stored

	// decided is what was decided of jobs, by their ids, also by the tries before: whoever
	// decides counts jobs.
	decided map[int64]commentator.Decision
}

// decide asks once how much of a job is recorded.
func (tx *writeTx) decide(j commentator.Job, m commentator.Message, decide Decide) commentator.Decision {
	d, known := tx.decided[j.ID]
	if known {
		return d
	}
	if tx.decided == nil {
		tx.decided = map[int64]commentator.Decision{}
	}
	d = decide(j, m)
	tx.decided[j.ID] = d
	return d
}

// errOutbox: a message could not be stored. What else the transaction did is not trusted
// then: SQLite may have rolled all of it back, as it does when the disk is full.
var errOutbox = errors.New("store telemetry message")

// write runs fn in a transaction of the write handle that excludes all other ones that write.
// fn must use the transaction for everything: the handle of a SQLite file has one connection.
// When a message could not be stored fn runs once more without messages; and if that says nothing
// of the message, as a lost connection does not, once with them before.
func (s *Store) write(ctx context.Context, fn func(tx *writeTx) error) error {
	return s.writeLocked(ctx, s.dialect.lockAll, fn)
}

// writeJob is write for what concerns one job alone and begins with begin or fence, which lock
// its row: PostgreSQL lets such transactions of other jobs run at the same time.
func (s *Store) writeJob(ctx context.Context, fn func(tx *writeTx) error) error {
	return s.writeLocked(ctx, s.dialect.lockJob, fn)
}

func (s *Store) writeLocked(ctx context.Context, lock string, fn func(tx *writeTx) error) error {
	noMessage := func(err error) bool { return errors.Is(err, errOutbox) && ctx.Err() == nil }
	tx := &writeTx{}
	err := s.writeOnce(ctx, tx, lock, fn)
	if noMessage(err) && s.dialect.passing(err) {
		s.log.WarnContext(ctx, "telemetry message not stored, trying again", "err", err)
		tx = &writeTx{decided: tx.decided}
		if err = s.writeOnce(ctx, tx, lock, fn); noMessage(err) && s.dialect.lost(err) {
			return explain(err) // the message is not to blame, and would be gone with the next try
		}
	}
	if noMessage(err) {
		s.log.WarnContext(ctx, "telemetry message not stored, trying without", "err", err)
		err = s.writeOnce(ctx, &writeTx{noOutbox: true, decided: tx.decided}, lock, fn)
	}
	return explain(err)
}

// writePatience is for how long a transaction that writes may take on PostgreSQL, with the wait
// for others: a server, or the way to it, that takes longer has fallen silent without a word. What
// has to be written although the worker stops would wait for it as long as TCP does.
const writePatience = 30 * time.Second

func (s *Store) writeOnce(ctx context.Context, tx *writeTx, lock string, fn func(tx *writeTx) error) error {
	if s.dialect == sqliteDialect {
		return s.transact(ctx, tx, lock, fn)
	}
	bounded, cancel := context.WithTimeout(ctx, s.writePatience)
	defer cancel()
	err := s.transact(bounded, tx, lock, fn)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("PostgreSQL has not answered for %v: %w", s.writePatience, err)
	}
	return err
}

// transact is one transaction. Its statements end with ctx.
func (s *Store) transact(ctx context.Context, tx *writeTx, lock string, fn func(tx *writeTx) error) (err error) {
	if tx.transaction, err = s.db.BeginTx(ctx, nil); err != nil {
		return err
	}
	tx.bounds = ctx
	defer tx.Rollback()
	if lock != "" {
		if _, err := tx.ExecContext(ctx, lock); err != nil {
			return err
		}
	}
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.counters.apply(tx.outbox)
	return nil
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
