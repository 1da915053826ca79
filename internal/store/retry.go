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

	// ErrCommented: a comment on the link is in Slack, or may be there since Slack was asked for it
	// and nobody knows the answer, or another program posted it.
	ErrCommented = errors.New("the link has a comment, or may have one")
)

// CommentedError is an ErrCommented that names the job whose comment it is.
type CommentedError struct{ Job int64 }

func (e CommentedError) Error() string { return fmt.Sprintf("%v: job %d", ErrCommented, e.Job) }

// Is says that it is an ErrCommented.
func (CommentedError) Is(target error) bool { return target == ErrCommented }

// Repeat says how a job is repeated. All fields but Again are required.
type Repeat struct {
	// Again repeats it though its link has a comment or may have one.
	Again bool
	// NotTaken says of the error_type of stage slack_post that Slack has taken nothing.
	NotTaken func(errorType string) bool
	Enqueue  Enqueue
}

// Retry makes a new job for the link of a job that is final, and puts it into the queue, in
// one transaction. The new job's RetryOf is the newest one of that link. Unless r says Again, a link
// that has a comment, or may have one, gets no second one: the error is a CommentedError.
func (s *Store) Retry(ctx context.Context, jobID int64, at time.Time, r Repeat) (commentator.Job, error) {
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
		if !r.Again {
			if err := uncommented(ctx, tx, messageID, link.URL, r.NotTaken); err != nil {
				return err
			}
		}
		again, err = s.makeJob(ctx, tx, messageID, link, at, r.Enqueue)
		return err
	})
	if err != nil {
		return commentator.Job{}, fmt.Errorf("retry job %d: %w", jobID, err)
	}
	return again, nil
}

// uncommented returns a CommentedError when a link of a message has a comment that stays, or may
// have one.
func uncommented(ctx context.Context, tx *writeTx, messageID int64, url string, notTaken func(errorType string) bool) error {
	// A job that only printed its comment, or kept it here, says so in the result of its last stage. One
	// that was imported has no stages: the program that it comes from posted what succeeded.
	var done sql.NullInt64
	err := tx.QueryRowContext(ctx, `
		SELECT max(id) FROM jobs WHERE message_id = ? AND url = ? AND outcome = 'success' AND withdrawn_at IS NULL
			AND NOT EXISTS (
				SELECT 1 FROM stages WHERE stages.job_id = jobs.id AND stage = ? AND stages.error_type = ''
					AND `+tx.dialect.jsonText("result", "delivery")+` IN ('print', 'store'))`,
		messageID, url, commentator.StageSlackPost).Scan(&done)
	if err != nil {
		return fmt.Errorf("find job that succeeded: %w", err)
	}
	if done.Valid {
		return CommentedError{done.Int64}
	}
	// The error is that of the attempt that asked last; it is empty when that one was killed.
	err = each(ctx, tx, `
		SELECT posts.job_id, posts.reply_ts, COALESCE(stages.error_type, '')
		FROM posts JOIN jobs ON jobs.id = posts.job_id
			LEFT JOIN stages ON stages.job_id = posts.job_id AND stages.attempt = posts.attempt AND stages.stage = ?
		WHERE jobs.message_id = ? AND jobs.url = ? AND posts.part >= 0 AND posts.retract_at IS NULL ORDER BY posts.id`,
		[]any{commentator.StageSlackPost, messageID, url}, func(rows *sql.Rows) error {
			var id int64
			var replyTS, errorType string
			if err := rows.Scan(&id, &replyTS, &errorType); err != nil {
				return err
			}
			if replyTS != "" || !notTaken(errorType) {
				return CommentedError{id}
			}
			return nil
		})
	if err != nil && !errors.Is(err, ErrCommented) {
		return fmt.Errorf("look for comments: %w", err)
	}
	return err
}
