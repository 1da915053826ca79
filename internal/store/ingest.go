package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// Ingest writes a message and one job for each of its links, or one job without a link
// when there is none, and calls enqueue for each job in the same transaction: after a
// crash there are all or nothing.
//
// A message is known when its channel and timestamp, or its event id, are there
// already. Then known is true and nothing is written: jobs are those that the message
// has. With again, a known message gets new jobs, each with RetryOf pointing to the
// newest one of the same link.
//
// CreatedAt of the jobs is m.ReceivedAt in whole microseconds. It is a part of their
// identity and keeps jobs apart that get the same id because an old copy of the
// database was put back; so it must be the time of the call, not one from the event.
func (s *Store) Ingest(ctx context.Context, m commentator.Message, urls []string, again bool,
	enqueue func(ctx context.Context, tx *sql.Tx, jobID int64) error,
) (jobs []commentator.Job, known bool, err error) {
	if m.ReceivedAt.IsZero() {
		m.ReceivedAt = s.clock()
	}
	if len(urls) == 0 {
		urls = []string{""}
	}
	err = s.write(ctx, func(tx *writeTx) error {
		id, err := findMessage(ctx, tx, m)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		known = err == nil
		switch {
		case known && !again:
			jobs, err = s.jobsOfMessage(ctx, tx, id)
			return err
		case !known:
			if id, err = insertMessage(ctx, tx, m); err != nil {
				return err
			}
		}
		for _, link := range urls {
			job, err := s.insertJob(ctx, tx, id, link, m.ReceivedAt)
			if err != nil {
				return err
			}
			if err := enqueue(ctx, tx.Tx, job.ID); err != nil {
				return fmt.Errorf("enqueue job %d: %w", job.ID, err)
			}
			jobs = append(jobs, job)
		}
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("ingest message %s/%s: %w", m.Channel, m.TS, err)
	}
	return jobs, known, nil
}

func findMessage(ctx context.Context, tx *writeTx, m commentator.Message) (int64, error) {
	var id int64
	err := tx.QueryRowContext(ctx, `
		SELECT id FROM messages
		WHERE (channel_id = ? AND message_ts = ?) OR (event_id = ? AND event_id <> '')
		ORDER BY id LIMIT 1`, m.Channel, m.TS, m.EventID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, ErrNotFound
	}
	return id, err
}

func insertMessage(ctx context.Context, tx *writeTx, m commentator.Message) (int64, error) {
	res, err := tx.ExecContext(ctx, `
		INSERT INTO messages (channel_id, message_ts, thread_ts, user_id, text, event_id, received_at)
		VALUES (?, ?, ?, ?, ?, ?, ?)`,
		m.Channel, m.TS, m.ThreadTS, m.User, m.Text, m.EventID, micros(m.ReceivedAt))
	if err != nil {
		return 0, fmt.Errorf("insert message: %w", err)
	}
	return res.LastInsertId()
}

func (s *Store) insertJob(ctx context.Context, tx *writeTx, messageID int64, link string, at time.Time) (commentator.Job, error) {
	var before sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT max(id) FROM jobs WHERE message_id = ? AND url = ?`, messageID, link).Scan(&before)
	if err != nil {
		return commentator.Job{}, fmt.Errorf("find earlier job: %w", err)
	}
	j := commentator.Job{
		StoreID: s.storeID, MessageID: messageID, URL: link, Domain: domain(link), RetryOf: before.Int64,
		State: commentator.JobPending, CreatedAt: fromMicros(micros(at)),
	}
	res, err := tx.ExecContext(ctx,
		`INSERT INTO jobs (message_id, url, domain, retry_of, created_at) VALUES (?, ?, ?, ?, ?)`,
		j.MessageID, j.URL, j.Domain, nullID(j.RetryOf), micros(j.CreatedAt))
	if err != nil {
		return commentator.Job{}, fmt.Errorf("insert job: %w", err)
	}
	j.ID, err = res.LastInsertId()
	return j, err
}

// domain is the host of a link in lower case without its port; empty when the link
// cannot be read, which retrieval will say better.
func domain(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}
