package evaluation

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/telemetry"
)

// telemetry/outboxtest says what it promises, and what it does otherwise than the outbox of jobs.
var _ telemetry.Outbox = (*Store)(nil)

// enqueue puts a message into the outbox, unless there is none.
func enqueue(ctx context.Context, tx *sql.Tx, m telemetry.Message, at time.Time) error {
	if m.Empty() {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO outbox (kind, created_at, body, size) VALUES (?, ?, ?, ?)`, m.Kind, at.UnixMicro(), m.Body, m.Size)
	return err
}

const isUnsent = "sent_at IS NULL AND refused_at IS NULL"

// claim is rows of the outbox. The file has one relay: the process that holds its lock.
type claim struct {
	db   *sql.DB
	rows []telemetry.OutboxRow
}

// Claim implements telemetry.Outbox.
func (s *Store) Claim(ctx context.Context, afterID int64, maxBytes int) (telemetry.Claim, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, kind, body, size FROM outbox WHERE id > ? AND `+isUnsent+` ORDER BY id`, afterID)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	defer rows.Close()
	c := &claim{db: s.db}
	sum := 0
	for rows.Next() {
		var r telemetry.OutboxRow
		if err := rows.Scan(&r.ID, &r.Kind, &r.Body, &r.Size); err != nil {
			return nil, fmt.Errorf("read outbox: %w", err)
		}
		if sum += r.Size; sum > maxBytes && len(c.rows) > 0 {
			break
		}
		c.rows = append(c.rows, r)
	}
	return c, rows.Err()
}

// Rows implements telemetry.Claim.
func (c *claim) Rows() []telemetry.OutboxRow { return c.rows }

// MarkSent implements telemetry.Claim. What was sent is not kept: the results are.
func (c *claim) MarkSent(ctx context.Context, ids []int64, _ time.Time) error {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	_, err := c.db.ExecContext(ctx, `DELETE FROM outbox WHERE id IN (?`+strings.Repeat(", ?", max(0, len(ids)-1))+`)`, args...)
	if err != nil {
		return fmt.Errorf("mark messages as sent: %w", err)
	}
	return nil
}

// Refuse implements telemetry.Claim.
func (c *claim) Refuse(ctx context.Context, id int64, reason string, at time.Time) error {
	_, err := c.db.ExecContext(ctx, `UPDATE outbox SET refused_at = ?, error = ? WHERE id = ?`, at.UnixMicro(), reason, id)
	if err != nil {
		return fmt.Errorf("set message %d aside: %w", id, err)
	}
	return nil
}

// waitAgain lets what the Collector refused wait as the rest does: what made it refuse may have been
// corrected. Evaluations are rare, so that one more try each time costs nothing; within one, a message
// that is refused is not tried again.
func (s *Store) waitAgain(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, `UPDATE outbox SET refused_at = NULL, error = NULL WHERE refused_at IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("let refused messages wait again: %w", err)
	}
	return nil
}

// Refused returns how many messages the Collector has refused since the file was opened, and the reason
// of the last.
func (s *Store) Refused(ctx context.Context) (n int, reason string, err error) {
	err = s.db.QueryRowContext(ctx, `
		SELECT count(*), coalesce((SELECT error FROM outbox WHERE refused_at IS NOT NULL ORDER BY refused_at DESC, id DESC LIMIT 1), '')
		FROM outbox WHERE refused_at IS NOT NULL`).Scan(&n, &reason)
	if err != nil {
		return 0, "", fmt.Errorf("count refused messages: %w", err)
	}
	return n, reason, nil
}

// Release implements telemetry.Claim.
func (c *claim) Release() error { return nil }

// Depth implements telemetry.Outbox.
func (s *Store) Depth(ctx context.Context) (rows int, bytes int64, oldest time.Time, err error) {
	var created sql.NullInt64
	err = s.db.QueryRowContext(ctx, `
		SELECT count(*), coalesce(sum(length(body)), 0), min(created_at) FROM outbox WHERE `+isUnsent).Scan(&rows, &bytes, &created)
	if err != nil {
		return 0, 0, time.Time{}, fmt.Errorf("measure outbox: %w", err)
	}
	if created.Valid {
		oldest = time.UnixMicro(created.Int64).UTC()
	}
	return rows, bytes, oldest, nil
}

// NoteRejected implements telemetry.Outbox. The relay has warned of it; an evaluation keeps no counts.
func (s *Store) NoteRejected(int64) {}

// NoteLink implements telemetry.Outbox. Whoever evaluates is told at its end; nobody asks later.
func (s *Store) NoteLink(context.Context, telemetry.Link) error { return nil }
