package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// SetAside is a message that the Collector refused for good.
type SetAside struct {
	ID        int64
	JobID     int64
	Kind      string
	Size      int // bytes before compression
	CreatedAt time.Time
	RefusedAt time.Time
	Reason    string
}

// SetAside returns messages that were set aside, the newest refusal first; at most limit, 0 is
// all.
func (s *looking) SetAside(ctx context.Context, limit int) ([]SetAside, error) {
	if limit == 0 {
		limit = 1 << 31
	}
	all, err := list(ctx, s.reader, `
		SELECT id, job_id, kind, size, created_at, refused_at, error FROM outbox
		WHERE `+isRefused+` ORDER BY refused_at DESC, id DESC LIMIT ?`, []any{limit}, func(rows *sql.Rows, m *SetAside) error {
		var created, refused int64
		err := rows.Scan(&m.ID, &m.JobID, &m.Kind, &m.Size, &created, &refused, &m.Reason)
		m.CreatedAt, m.RefusedAt = fromMicros(created), fromMicros(refused)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list messages that were set aside: %w", err)
	}
	return all, nil
}

// Resend lets messages wait again that were set aside, and returns how many. Either all of them
// are set aside or nothing changes and the error is an ErrNotFound.
func (s *Store) Resend(ctx context.Context, ids []int64) (int, error) {
	err := s.write(ctx, func(tx *writeTx) error {
		for _, id := range ids {
			res, err := tx.ExecContext(ctx, `UPDATE outbox SET refused_at = NULL, error = '' WHERE id = ? AND `+isRefused, id)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			if n == 0 {
				return fmt.Errorf("message %d that is set aside: %w", id, ErrNotFound)
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("resend messages: %w", err)
	}
	return len(ids), nil
}

// resendBatch is how many messages one transaction of ResendAll rewrites, bodies and all, so
// that no job waits long for it.
const resendBatch = 20

// ResendAll is Resend of all messages that are set aside when it begins.
func (s *Store) ResendAll(ctx context.Context) (int, error) {
	total, until := 0, micros(s.clock())
	for {
		res, err := s.db.ExecContext(ctx, `
			UPDATE outbox SET refused_at = NULL, error = '' WHERE id IN (
				SELECT id FROM outbox WHERE `+isRefused+` AND refused_at <= ? ORDER BY refused_at LIMIT ?)`, until, resendBatch)
		if err != nil {
			return total, fmt.Errorf("resend messages: %w", explain(err))
		}
		n, err := res.RowsAffected()
		if err != nil {
			return total, fmt.Errorf("resend messages: %w", err)
		}
		if total += int(n); n < resendBatch {
			return total, nil
		}
	}
}
