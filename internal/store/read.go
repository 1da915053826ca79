package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/technoshare/commentator/internal/commentator"
)

// Job returns a job, or ErrNotFound.
func (s *looking) Job(ctx context.Context, id int64) (commentator.Job, error) {
	j, _, err := s.job(ctx, s.reader, id)
	return j, err
}

// Message returns a message by its row id, or ErrNotFound.
func (s *Store) Message(ctx context.Context, id int64) (commentator.Message, error) {
	return message(ctx, s.reader, id)
}

// MessageByTS returns the message with Slack's timestamp ts in a channel, or ErrNotFound.
func (s *Store) MessageByTS(ctx context.Context, channel, ts string) (commentator.Message, error) {
	var id int64
	err := s.reader.QueryRowContext(ctx,
		`SELECT id FROM messages WHERE channel_id = ? AND message_ts = ?`, channel, ts).Scan(&id)
	if err != nil {
		return commentator.Message{}, fmt.Errorf("read message %s/%s: %w", channel, ts, notFound(err))
	}
	return message(ctx, s.reader, id)
}

// Filter selects jobs for ListJobs. The zero value selects the newest 100.
type Filter struct {
	State   commentator.JobState // empty: any
	Outcome commentator.Outcome  // empty: any
	Limit   int                  // 0: 100; negative: all
}

// ListJobs returns jobs, the newest first.
func (s *looking) ListJobs(ctx context.Context, f Filter) ([]commentator.Job, error) {
	switch {
	case f.Limit == 0:
		f.Limit = 100
	case f.Limit < 0:
		f.Limit = math.MaxInt
	}
	return s.jobs(ctx, s.reader, `
		WHERE (?1 = '' OR state = ?1) AND (?2 = '' OR outcome = ?2)
		ORDER BY id DESC LIMIT ?3`, string(f.State), string(f.Outcome), f.Limit)
}

// OpenJobs returns the ids of the jobs that are not final, the oldest first.
func (s *Store) OpenJobs(ctx context.Context) ([]int64, error) {
	ids, err := list(ctx, s.reader, `SELECT id FROM jobs WHERE state <> 'final' ORDER BY id`, nil, scanValue[int64])
	if err != nil {
		return nil, fmt.Errorf("list open jobs: %w", err)
	}
	return ids, nil
}

// OpenRecorded counts the jobs that have started, are recorded and are not final.
func (s *Store) OpenRecorded(ctx context.Context) (n int, err error) {
	err = s.reader.QueryRowContext(ctx, `
		SELECT count(*) FROM jobs WHERE state <> 'final' AND detail IN ('tracking', 'full')`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count open jobs: %w", err)
	}
	return n, nil
}

// Stages returns the finished attempts at the stages of a job, in the order in which
// they ended.
func (s *looking) Stages(ctx context.Context, jobID int64) ([]commentator.StageRecord, error) {
	return stages(ctx, s.reader, jobID)
}

const jobColumns = `id, message_id, url, domain, retry_of, state, outcome, detail, attempt, attempt_open,
	failures, kills, error_type, error_message, created_at, started_at, finished_at`

// job returns a row and whether an attempt at it is open.
func (s *looking) job(ctx context.Context, q querier, id int64) (j commentator.Job, open bool, err error) {
	return s.readJob(ctx, q, id, "")
}

// lockJob is job with a row that nobody else changes until tx ends.
func (s *looking) lockJob(ctx context.Context, tx *writeTx, id int64) (j commentator.Job, open bool, err error) {
	return s.readJob(ctx, tx, id, tx.dialect.forUpdate)
}

func (s *looking) readJob(ctx context.Context, q querier, id int64, lock string) (j commentator.Job, open bool, err error) {
	j, open, err = s.scanJob(q.QueryRowContext(ctx, `SELECT `+jobColumns+` FROM jobs WHERE id = ?`+lock, id))
	if err != nil {
		return j, false, fmt.Errorf("read job %d: %w", id, notFound(err))
	}
	return j, open, nil
}

func (s *looking) jobsOfMessage(ctx context.Context, q querier, messageID int64) ([]commentator.Job, error) {
	return s.jobs(ctx, q, `WHERE message_id = ? ORDER BY id`, messageID)
}

func (s *looking) jobs(ctx context.Context, q querier, where string, args ...any) ([]commentator.Job, error) {
	jobs, err := list(ctx, q, `SELECT `+jobColumns+` FROM jobs `+where, args, func(rows *sql.Rows, j *commentator.Job) (err error) {
		*j, _, err = s.scanJob(rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return jobs, nil
}

type scanner interface{ Scan(dest ...any) error }

func (s *looking) scanJob(row scanner) (j commentator.Job, open bool, err error) {
	var created int64
	var started, finished, retryOf sql.NullInt64
	err = row.Scan(&j.ID, &j.MessageID, &j.URL, &j.Domain, &retryOf, &j.State, &j.Outcome, &j.Detail,
		&j.Attempt, &open, &j.Failures, &j.Kills, &j.ErrorType, &j.ErrorMessage, &created, &started, &finished)
	j.StoreID = s.ids.of(j.ID)
	j.RetryOf = retryOf.Int64
	j.CreatedAt = fromMicros(created)
	j.StartedAt = fromNullMicros(started)
	j.FinishedAt = fromNullMicros(finished)
	return j, open, err
}

func message(ctx context.Context, q querier, id int64) (commentator.Message, error) {
	m := commentator.Message{ID: id}
	var received int64
	err := q.QueryRowContext(ctx, `
		SELECT channel_id, message_ts, thread_ts, user_id, text, event_id, received_at
		FROM messages WHERE id = ?`, id).
		Scan(&m.Channel, &m.TS, &m.ThreadTS, &m.User, &m.Text, &m.EventID, &received)
	if err != nil {
		return m, fmt.Errorf("read message %d: %w", id, notFound(err))
	}
	m.ReceivedAt = fromMicros(received)
	return m, nil
}

func stages(ctx context.Context, q querier, jobID int64) ([]commentator.StageRecord, error) {
	records, err := list(ctx, q, `
		SELECT id, stage, attempt, span_id, started_at, ended_at, error_type, error_message, result, analysis
		FROM stages WHERE job_id = ? ORDER BY id`, []any{jobID}, func(rows *sql.Rows, r *commentator.StageRecord) error {
		r.JobID = jobID
		var started, ended int64
		var result, analysis sql.Null[[]byte]
		err := rows.Scan(&r.ID, &r.Stage, &r.Attempt, &r.SpanID, &started, &ended, &r.ErrorType, &r.ErrorMessage, &result, &analysis)
		if err != nil {
			return err
		}
		r.StartedAt, r.EndedAt = fromMicros(started), fromMicros(ended)
		r.Result = result.V
		if analysis.Valid {
			if err := json.Unmarshal(analysis.V, &r.Analysis); err != nil {
				return fmt.Errorf("analysis of stage %d: %w", r.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read stages of job %d: %w", jobID, err)
	}
	return records, nil
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
