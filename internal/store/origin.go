package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Origin is where in Slack a job comes from, and what of it was taken back there. Times are zero for
// what has not happened.
type Origin struct {
	Channel, TS, ThreadTS string    // its message; the channel of links of the command line is commentator.ReplayChannel
	DeletedAt             time.Time // Slack said that the message is gone
	WithdrawnAt           time.Time // the link was taken back, or its message
	ReplyTS               string    // the comment, or its first part; empty when Slack has none that is known of
	ReplyTakenBackAt      time.Time // all of the comment was deleted in Slack, or stays because Slack deletes it never
}

// Origin returns that of a job, or ErrNotFound.
func (s *looking) Origin(ctx context.Context, jobID int64) (Origin, error) {
	var o Origin
	var deleted, withdrawn sql.NullInt64
	err := s.reader.QueryRowContext(ctx, `
		SELECT channel_id, message_ts, thread_ts, deleted_at, withdrawn_at
		FROM jobs JOIN messages ON messages.id = jobs.message_id WHERE jobs.id = ?`, jobID).
		Scan(&o.Channel, &o.TS, &o.ThreadTS, &deleted, &withdrawn)
	if err != nil {
		return o, fmt.Errorf("read origin of job %d: %w", jobID, notFound(err))
	}
	o.DeletedAt, o.WithdrawnAt = fromNullMicros(deleted), fromNullMicros(withdrawn)
	stays := false
	err = each(ctx, s.reader, `SELECT reply_ts, retracted_at FROM posts WHERE job_id = ? AND part >= 0 AND reply_ts <> '' ORDER BY part`,
		[]any{jobID}, func(rows *sql.Rows) error {
			var ts string
			var retracted sql.NullInt64
			if err := rows.Scan(&ts, &retracted); err != nil {
				return err
			}
			if o.ReplyTS == "" {
				o.ReplyTS = ts
			}
			stays = stays || !retracted.Valid
			if at := fromNullMicros(retracted); at.After(o.ReplyTakenBackAt) {
				o.ReplyTakenBackAt = at
			}
			return nil
		})
	if err != nil {
		return o, fmt.Errorf("read replies of job %d: %w", jobID, err)
	}
	if stays {
		o.ReplyTakenBackAt = time.Time{}
	}
	return o, nil
}
