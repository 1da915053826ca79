package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/telemetry"
)

// claim is what one relay has to itself: with PostgreSQL the rows that its transaction has
// locked, which the server gives back when the process ends, however it ends. A SQLite file has
// one relay.
type claim struct {
	store *Store
	rows  []telemetry.OutboxRow
	marks executor
	tx    transaction        // Tx is nil with SQLite
	end   context.CancelFunc // of tx and its connection
}

// patience is for how long what does not end with its context waits for PostgreSQL: a server, or
// the way to it, that takes longer has fallen silent without a word.
const patience = 10 * time.Second

// errLate: a step succeeded at the moment at which its connection was given up.
var errLate = errors.New("the answer came too late")

// inTime takes a step of the claim's transaction, and ends its connection if it takes too long.
func (c *claim) inTime(step func() error) error {
	timer := time.AfterFunc(c.store.patience, c.end)
	err := step()
	if timer.Stop() {
		return err
	}
	if err == nil {
		err = errLate
	}
	return fmt.Errorf("PostgreSQL has not answered for %v: %w", c.store.patience, err)
}

// Claim implements telemetry.Outbox.
func (s *Store) Claim(ctx context.Context, afterID int64, maxBytes int) (_ telemetry.Claim, err error) {
	c := &claim{store: s, marks: s.db}
	if s.dialect == sqliteDialect {
		c.rows, err = s.Unsent(ctx, afterID, maxBytes)
		return c, err
	}
	// It outlives ctx, so that what was sent is marked also when the relay is told to stop.
	var lasting context.Context
	lasting, c.end = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			c.end()
		}
	}()
	begin := func() (err error) {
		c.tx, err = s.db.BeginTx(lasting, nil)
		return err
	}
	if err = c.inTime(begin); err != nil {
		return nil, fmt.Errorf("read outbox: %w", explain(err))
	}
	c.marks = c.tx
	if c.rows, err = unsentRows(ctx, c.tx, afterID, maxBytes, s.dialect.skipLocked); err != nil {
		return nil, errors.Join(err, c.inTime(c.tx.Rollback))
	}
	return c, nil
}

// Rows implements telemetry.Claim.
func (c *claim) Rows() []telemetry.OutboxRow { return c.rows }

// MarkSent implements telemetry.Claim.
func (c *claim) MarkSent(ctx context.Context, ids []int64, at time.Time) error {
	return c.store.markSent(ctx, c.marks, ids, at)
}

// Refuse implements telemetry.Claim.
func (c *claim) Refuse(ctx context.Context, id int64, reason string, at time.Time) error {
	return c.store.refuse(ctx, c.marks, id, reason, at)
}

// Release implements telemetry.Claim.
func (c *claim) Release() error {
	if c.tx.Tx == nil {
		return nil
	}
	defer c.end()
	if err := c.inTime(c.tx.Commit); err != nil && !errors.Is(err, errLate) { // what is committed is
		return fmt.Errorf("mark messages: %w", explain(err))
	}
	return nil
}

// Unsent returns the rows that are neither sent nor refused and whose id is above afterID, in the
// order of their ids: as many as fit into maxBytes by their Size, but at least one if there is
// any. Another relay may be sending them.
func (s *Store) Unsent(ctx context.Context, afterID int64, maxBytes int) ([]telemetry.OutboxRow, error) {
	if s.dialect != sqliteDialect {
		return unsentRows(ctx, s.reader, afterID, maxBytes, "")
	}
	rows, err := s.reader.QueryContext(ctx, `
		SELECT id, kind, body, size FROM outbox
		WHERE id > ? AND `+isUnsent+` ORDER BY id`, afterID)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	return scanOutbox(rows, maxBytes)
}

// claimMost is how many messages one relay has at most at a time.
const claimMost = 500

// unsentRows is Unsent for PostgreSQL, which would send all rows before the first is looked at.
// Lock is what stands behind the SELECT that chooses them.
func unsentRows(ctx context.Context, q querier, afterID int64, maxBytes int, lock string) ([]telemetry.OutboxRow, error) {
	rows, err := q.QueryContext(ctx, `
		WITH chosen AS MATERIALIZED (
			SELECT id, size FROM outbox WHERE id > ? AND `+isUnsent+` ORDER BY id LIMIT ?`+lock+`
		), summed AS (
			SELECT id, size, sum(size) OVER (ORDER BY id) AS total FROM chosen
		)
		SELECT outbox.id, kind, body, outbox.size FROM summed JOIN outbox ON outbox.id = summed.id
		WHERE total <= ? OR total = summed.size ORDER BY outbox.id`, afterID, claimMost, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", explain(err))
	}
	return scanOutbox(rows, maxBytes)
}

func scanOutbox(rows *sql.Rows, maxBytes int) (out []telemetry.OutboxRow, _ error) {
	defer rows.Close()
	sum := 0
	for rows.Next() {
		var r telemetry.OutboxRow
		if err := rows.Scan(&r.ID, &r.Kind, &r.Body, &r.Size); err != nil {
			return nil, fmt.Errorf("read outbox: %w", err)
		}
		if sum += r.Size; sum > maxBytes && len(out) > 0 {
			break
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read outbox: %w", explain(err))
	}
	return out, nil
}

func (s *Store) markSent(ctx context.Context, on executor, ids []int64, at time.Time) error {
	among, list := s.dialect.idIn(ids)
	_, err := on.ExecContext(ctx, `UPDATE outbox SET sent_at = ? WHERE sent_at IS NULL AND `+among, micros(at), list)
	if err != nil {
		return fmt.Errorf("mark messages as sent: %w", explain(err))
	}
	return nil
}

func (s *Store) refuse(ctx context.Context, on executor, id int64, reason string, at time.Time) error {
	res, err := on.ExecContext(ctx, `
		UPDATE outbox SET refused_at = ?, error = ? WHERE id = ? AND sent_at IS NULL AND refused_at IS NULL`,
		micros(at), reason, id)
	if err != nil {
		return fmt.Errorf("set message %d aside: %w", id, explain(err))
	}
	n, err := res.RowsAffected()
	s.counters.refused.Add(n)
	return err
}
