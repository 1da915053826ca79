package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// AskToPost notes, before a request to Slack, that part of a job's comment is asked for, and
// returns the reply as it is noted. One whose ReplyTS is set is in Slack already and must not be
// asked for again. What was returned survives the process.
//
// It returns an ErrFenced when another attempt owns the job, and commentator.ErrWithdrawn when
// the link was taken back: nothing may be asked for then.
func (s *Store) AskToPost(ctx context.Context, j commentator.Job, part int, channel, thread string, at time.Time) (commentator.Reply, error) {
	var r commentator.Reply
	err := s.write(ctx, func(tx *writeTx) error {
		if err := s.fence(ctx, tx, j); err != nil {
			return err
		}
		withdrawn, err := isWithdrawn(ctx, tx, j.ID)
		if err != nil {
			return err
		}
		if withdrawn {
			return commentator.ErrWithdrawn
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO posts (job_id, part, channel_id, thread_ts, attempt, asked_at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (job_id, part) DO UPDATE SET attempt = excluded.attempt, asked_at = excluded.asked_at
			WHERE posts.reply_ts = ''`,
			j.ID, part, channel, thread, j.Attempt, micros(at))
		if err != nil {
			return fmt.Errorf("write row: %w", err)
		}
		r, err = findReply(ctx, tx, j.ID, part)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("ask to post part %d of job %d: %w", part, j.ID, err)
	}
	return r, nil
}

func isWithdrawn(ctx context.Context, tx *writeTx, jobID int64) (bool, error) {
	var at sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT withdrawn_at FROM jobs WHERE id = ?`, jobID).Scan(&at)
	if err != nil {
		return false, fmt.Errorf("look whether the link was taken back: %w", err)
	}
	return at.Valid, nil
}

// Posted notes that Slack has taken a reply, and returns the timestamp that is noted. It is
// another one when somebody else had the same reply posted before: then that one counts. A
// failure notice that is no message of its own has no timestamp.
//
// It is not fenced: what Slack has taken is there, whoever owns the job now. When the link was
// taken back meanwhile, the reply is due for retraction.
func (s *Store) Posted(ctx context.Context, jobID int64, part int, replyTS string, at time.Time) (string, error) {
	var r commentator.Reply
	err := s.write(ctx, func(tx *writeTx) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE posts SET reply_ts = ?, posted_at = ?,
				retract_at = COALESCE(retract_at, (SELECT withdrawn_at FROM jobs WHERE jobs.id = posts.job_id))
			WHERE job_id = ? AND part = ? AND posted_at IS NULL`,
			replyTS, micros(at), jobID, part)
		if err != nil {
			return fmt.Errorf("update row: %w", err)
		}
		r, err = findReply(ctx, tx, jobID, part)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("note reply %s of job %d: %w", replyTS, jobID, err)
	}
	return r.ReplyTS, nil
}

// Replies returns what Slack was asked for on behalf of a job, notices first.
func (s *Store) Replies(ctx context.Context, jobID int64) ([]commentator.Reply, error) {
	return replies(ctx, s.reader, `WHERE job_id = ? ORDER BY part`, jobID)
}

// RetractionsDue returns replies that are to be deleted in Slack and are not, the oldest first.
// Of a job that is not final only those whose timestamp is known: it may still come.
func (s *Store) RetractionsDue(ctx context.Context, limit int) ([]commentator.Reply, error) {
	return replies(ctx, s.reader, `
		WHERE retract_at IS NOT NULL AND retracted_at IS NULL
			AND (posted_at IS NOT NULL OR EXISTS (SELECT 1 FROM jobs WHERE jobs.id = posts.job_id AND jobs.state = 'final'))
		ORDER BY retract_at, id LIMIT ?`, limit)
}

// Retracted notes that a reply is not in Slack any more.
func (s *Store) Retracted(ctx context.Context, jobID int64, part int, at time.Time) error {
	err := s.write(ctx, func(tx *writeTx) error {
		_, err := tx.ExecContext(ctx, `UPDATE posts SET retracted_at = ? WHERE job_id = ? AND part = ?`, micros(at), jobID, part)
		return err
	})
	if err != nil {
		return fmt.Errorf("note retraction of a reply of job %d: %w", jobID, err)
	}
	return nil
}

const isOpenNotice = `part = -1 AND posted_at IS NULL AND retract_at IS NULL`

// askForNotice notes, in the transaction that makes a job final, that people are to be told,
// unless the link was taken back.
func askForNotice(ctx context.Context, tx *writeTx, jobID int64, m commentator.Message, at time.Time) error {
	withdrawn, err := isWithdrawn(ctx, tx, jobID)
	if err != nil || withdrawn {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO posts (job_id, part, channel_id, thread_ts, attempt, asked_at) VALUES (?, ?, ?, ?, 0, ?)
		ON CONFLICT (job_id, part) DO NOTHING`,
		jobID, commentator.PartNotice, m.Channel, m.Thread(), micros(at))
	if err != nil {
		return fmt.Errorf("ask for a notice: %w", err)
	}
	return nil
}

// NoticesDue returns the jobs that ended with a notice which is not known to have been given,
// the oldest first. It looks at all replies there are: it is for the start of the program, and for
// a look every few minutes.
func (s *Store) NoticesDue(ctx context.Context) ([]int64, error) {
	ids, err := list(ctx, s.reader, `SELECT job_id FROM posts WHERE `+isOpenNotice+` ORDER BY id`, nil, scanValue[int64])
	if err != nil {
		return nil, fmt.Errorf("read notices: %w", err)
	}
	return ids, nil
}

// Notice returns the notice of a job. False: there is none, it is known to have been given, or
// the link was taken back.
func (s *Store) Notice(ctx context.Context, jobID int64) (commentator.Notice, bool, error) {
	var n commentator.Notice
	found, err := replies(ctx, s.reader, `WHERE job_id = ? AND `+isOpenNotice, jobID)
	if err != nil || len(found) == 0 {
		return n, false, err
	}
	n.Reply = found[0]
	if n.Job, err = s.Job(ctx, jobID); err != nil {
		return n, false, err
	}
	n.Message, err = s.Message(ctx, n.Job.MessageID)
	return n, err == nil, err
}

// AskToNotify notes, before a request to Slack, that a notice is asked for. It returns ErrFenced
// when somebody else has asked for it since it was read, or it is not wanted any more.
func (s *Store) AskToNotify(ctx context.Context, r commentator.Reply, at time.Time) error {
	err := s.write(ctx, func(tx *writeTx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE posts SET attempt = attempt + 1, asked_at = ?
			WHERE job_id = ? AND attempt = ? AND `+isOpenNotice, micros(at), r.JobID, r.Attempt)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrFenced, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ask for the notice of job %d: %w", r.JobID, err)
	}
	return nil
}

func findReply(ctx context.Context, q querier, jobID int64, part int) (commentator.Reply, error) {
	found, err := replies(ctx, q, `WHERE job_id = ? AND part = ?`, jobID, part)
	if err != nil {
		return commentator.Reply{}, err
	}
	if len(found) == 0 {
		return commentator.Reply{}, ErrNotFound
	}
	return found[0], nil
}

func replies(ctx context.Context, q querier, where string, args ...any) ([]commentator.Reply, error) {
	found, err := list(ctx, q, `
		SELECT job_id, part, channel_id, thread_ts, attempt, asked_at, reply_ts, posted_at, retract_at FROM posts `+where, args,
		func(rows *sql.Rows, r *commentator.Reply) error {
			var asked int64
			var posted, retract sql.NullInt64
			err := rows.Scan(&r.JobID, &r.Part, &r.Channel, &r.ThreadTS, &r.Attempt, &asked, &r.ReplyTS, &posted, &retract)
			r.AskedAt, r.PostedAt, r.RetractAt = fromMicros(asked), fromNullMicros(posted), fromNullMicros(retract)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("read replies: %w", err)
	}
	return found, nil
}
