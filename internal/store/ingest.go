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

// Enqueue puts a job into the queue in the transaction that makes it.
type Enqueue = func(ctx context.Context, tx *sql.Tx, jobID int64) error

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
//
// It knows no cool-down and no edits: it is for links that somebody asks for. What comes
// from Slack by itself goes through Receive and Change.
func (s *Store) Ingest(ctx context.Context, m commentator.Message, urls []string, again bool, enqueue Enqueue) (jobs []commentator.Job, known bool, err error) {
	if m.ReceivedAt.IsZero() {
		m.ReceivedAt = s.clock()
	}
	if len(urls) == 0 {
		urls = []string{""}
	}
	err = s.write(ctx, func(tx *writeTx) error {
		jobs, known = nil, false
		id, inserted, err := insertMessage(ctx, tx, m, "")
		if err != nil {
			return err
		}
		if known = !inserted; known && !again {
			jobs, err = s.jobsOfMessage(ctx, tx, id)
			return err
		}
		for _, link := range urls {
			job, err := s.makeJob(ctx, tx, id, Link{URL: link}, m.ReceivedAt, enqueue)
			if err != nil {
				return err
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

// insertMessage writes a message that is not known and returns its row. Two processes that
// get one message at a time end with one row.
func insertMessage(ctx context.Context, tx *writeTx, m commentator.Message, editedTS string) (id int64, inserted bool, err error) {
	err = tx.QueryRowContext(ctx, `
		INSERT INTO messages (channel_id, message_ts, thread_ts, user_id, text, event_id, received_at, edited_ts)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING
		RETURNING id`,
		m.Channel, m.TS, m.ThreadTS, m.User, m.Text, m.EventID, micros(m.ReceivedAt), editedTS).Scan(&id)
	if err == nil {
		return id, true, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return 0, false, fmt.Errorf("insert message: %w", err)
	}
	id, err = findMessage(ctx, tx, m)
	return id, false, err
}

func findMessage(ctx context.Context, tx *writeTx, m commentator.Message) (int64, error) {
	var id int64
	err := tx.QueryRowContext(ctx, `
		SELECT id FROM messages
		WHERE (channel_id = ? AND message_ts = ?) OR (event_id = ? AND event_id <> '')
		ORDER BY id LIMIT 1`, m.Channel, m.TS, m.EventID).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("find message: %w", notFound(err))
	}
	return id, nil
}

// makeJob writes a job and puts it into the queue.
func (s *Store) makeJob(ctx context.Context, tx *writeTx, messageID int64, link Link, at time.Time, enqueue Enqueue) (commentator.Job, error) {
	var before sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT max(id) FROM jobs WHERE message_id = ? AND url = ?`, messageID, link.URL).Scan(&before)
	if err != nil {
		return commentator.Job{}, fmt.Errorf("find earlier job: %w", err)
	}
	j := commentator.Job{
		StoreID: s.ids.current, MessageID: messageID, URL: link.URL, Domain: domain(link.URL), RetryOf: before.Int64,
		State: commentator.JobPending, CreatedAt: fromMicros(micros(at)),
	}
	err = tx.QueryRowContext(ctx,
		`INSERT INTO jobs (message_id, url, domain, link_key, retry_of, created_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING id`,
		j.MessageID, j.URL, j.Domain, link.Key, nullID(j.RetryOf), micros(j.CreatedAt)).Scan(&j.ID)
	if err != nil {
		return commentator.Job{}, fmt.Errorf("insert job: %w", err)
	}
	if err := enqueue(tx.bounded(ctx), tx.Tx, j.ID); err != nil {
		return commentator.Job{}, fmt.Errorf("enqueue job %d: %w", j.ID, err)
	}
	return j, nil
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
