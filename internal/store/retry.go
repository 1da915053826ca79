package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// What Retry refuses; a caller can tell it apart with errors.Is.
var (
	// ErrOpen: the job, or a later one of its link, is not final yet.
	ErrOpen = errors.New("the job is not final")

	// ErrWithdrawn: the job's link or message is gone.
	ErrWithdrawn = errors.New("the link was taken back")
)

// Retry makes a new job for the link of a job that is final, and puts it into the queue, in
// one transaction. The new job's RetryOf is the newest one of that link.
func (s *Store) Retry(ctx context.Context, jobID int64, at time.Time, enqueue Enqueue) (commentator.Job, error) {
	var again commentator.Job
	err := s.write(ctx, func(tx *writeTx) error {
		var messageID int64
		var link Link
		var withdrawn sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT message_id, url, link_key, withdrawn_at FROM jobs WHERE id = ?`, jobID).
			Scan(&messageID, &link.URL, &link.Key, &withdrawn)
		if err != nil {
			return notFound(err)
		}
		if withdrawn.Valid {
			return ErrWithdrawn
		}
		var open sql.NullInt64
		err = tx.QueryRowContext(ctx, `SELECT max(id) FROM jobs WHERE message_id = ? AND url = ? AND state <> 'final'`, messageID, link.URL).Scan(&open)
		if err != nil {
			return fmt.Errorf("find open job: %w", err)
		}
		if open.Valid {
			return fmt.Errorf("%w: job %d", ErrOpen, open.Int64)
		}
		again, err = s.makeJob(ctx, tx, messageID, link, at, enqueue)
		return err
	})
	if err != nil {
		return commentator.Job{}, fmt.Errorf("retry job %d: %w", jobID, err)
	}
	return again, nil
}
