package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// metaMigration is the key in the table meta under which an import leaves its note.
const metaMigration = "migration"

// Contents are all messages and jobs of a database, in the order of their ids.
type Contents struct {
	Messages []commentator.Message
	Jobs     []HeldJob
	Note     json.RawMessage // what the last import left; nil: there was none

	// LastMessageID and LastJobID are the highest ids that were ever given.
	LastMessageID, LastJobID int64
}

// HeldJob is a job with what another program has to know of it.
type HeldJob struct {
	commentator.Job
	Withdrawn bool // its link was taken back
	Asked     bool // Slack was asked to take its reply
	Replied   bool // the reply is in the thread
}

// Import is what another database brings. Ids are kept.
type Import struct {
	Messages []commentator.Message
	// Jobs that are final have their detail and all their times; the others are pending.
	Jobs []ImportedJob
	// Ended are jobs that are there, were never begun, and are final from now on.
	Ended []commentator.Job
	// LastMessageID and LastJobID are ids below which no new row may come.
	LastMessageID, LastJobID int64
	// Seen says up to which of Slack's times each channel's messages are known.
	Seen map[string]string
	Note any // kept as JSON for the next import
}

// ImportedJob is a job with what tells its page apart; empty: nothing.
type ImportedJob struct {
	commentator.Job
	LinkKey string
}

// Contents reads everything in one transaction.
func (s *Store) Contents(ctx context.Context) (Contents, error) {
	tx, err := s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return Contents{}, fmt.Errorf("read contents: %w", err)
	}
	defer tx.Rollback()
	c, err := s.contents(ctx, tx)
	if err != nil {
		return c, fmt.Errorf("read contents: %w", err)
	}
	return c, nil
}

// Import calls plan with what is there and writes what it returns, all in one transaction: after
// a crash there is everything of it or nothing. For each job that is pending it calls enqueue in
// that transaction. No telemetry is recorded.
func (s *Store) Import(ctx context.Context, plan func(Contents) (Import, error),
	enqueue func(ctx context.Context, tx *sql.Tx, jobID int64) error,
) error {
	// Not by write: a large database takes its time, and there are no messages.
	err := s.transact(ctx, &writeTx{}, s.dialect.lockAll, func(tx *writeTx) error {
		held, err := s.contents(ctx, tx)
		if err != nil {
			return err
		}
		in, err := plan(held)
		if err != nil {
			return err
		}
		return s.importRows(ctx, tx, in, enqueue)
	})
	if err != nil {
		return fmt.Errorf("import: %w", explain(err))
	}
	return nil
}

func (s *Store) importRows(ctx context.Context, tx *writeTx, in Import,
	enqueue func(ctx context.Context, tx *sql.Tx, jobID int64) error,
) error {
	for _, m := range in.Messages {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO messages (id, channel_id, message_ts, thread_ts, user_id, text, event_id, received_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			m.ID, m.Channel, m.TS, m.ThreadTS, m.User, m.Text, m.EventID, micros(m.ReceivedAt))
		if err != nil {
			return fmt.Errorf("insert message %d: %w", m.ID, err)
		}
	}
	for _, j := range in.Jobs {
		if err := insertWholeJob(ctx, tx, j); err != nil {
			return fmt.Errorf("insert job %d: %w", j.ID, err)
		}
		if j.State == commentator.JobFinal {
			continue
		}
		if err := enqueue(ctx, tx.Tx, j.ID); err != nil {
			return fmt.Errorf("enqueue job %d: %w", j.ID, err)
		}
	}
	for _, j := range in.Ended {
		if err := endUnbegun(ctx, tx, j); err != nil {
			return fmt.Errorf("end job %d: %w", j.ID, err)
		}
	}
	if err := raiseIDs(ctx, tx, map[string]int64{"messages": in.LastMessageID, "jobs": in.LastJobID}); err != nil {
		return err
	}
	for channel, ts := range in.Seen {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO channels (channel_id, seen_ts, updated_at) VALUES (?, ?, ?)
			ON CONFLICT (channel_id) DO UPDATE SET seen_ts = excluded.seen_ts, updated_at = excluded.updated_at
			WHERE channels.seen_ts < excluded.seen_ts`, channel, ts, micros(s.clock()))
		if err != nil {
			return fmt.Errorf("write channel %s: %w", channel, err)
		}
	}
	return writeNote(ctx, tx, metaMigration, in.Note)
}

func insertWholeJob(ctx context.Context, tx *writeTx, j ImportedJob) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO jobs (id, message_id, url, domain, link_key, retry_of, state, outcome, detail, attempt, failures, kills,
			error_type, error_message, created_at, started_at, finished_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		j.ID, j.MessageID, j.URL, domain(j.URL), j.LinkKey, nullID(j.RetryOf), j.State, j.Outcome, j.Detail, j.Attempt, j.Failures, j.Kills,
		j.ErrorType, j.ErrorMessage, micros(j.CreatedAt), nullMicros(j.StartedAt), nullMicros(j.FinishedAt))
	return err
}

// endUnbegun makes a job final that nobody has begun. The queue then forgets it as one that is
// final already.
func endUnbegun(ctx context.Context, tx *writeTx, j commentator.Job) error {
	res, err := tx.ExecContext(ctx, `
		UPDATE jobs SET state = ?, outcome = ?, detail = ?, attempt = ?, error_type = ?, error_message = ?, started_at = ?, finished_at = ?
		WHERE id = ? AND state = ? AND started_at IS NULL`,
		j.State, j.Outcome, j.Detail, j.Attempt, j.ErrorType, j.ErrorMessage, nullMicros(j.StartedAt), nullMicros(j.FinishedAt),
		j.ID, commentator.JobPending)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		err = fmt.Errorf("%w: it has begun meanwhile", ErrFenced)
	}
	return err
}

// raiseIDs makes sure that the next row of each table gets an id above the given one, and above
// those that rows brought along.
func raiseIDs(ctx context.Context, tx *writeTx, last map[string]int64) error {
	for table, id := range last {
		if err := tx.dialect.raiseID(ctx, tx, table, id); err != nil {
			return fmt.Errorf("raise ids of %s: %w", table, err)
		}
	}
	return nil
}

// raiseFileID writes what AUTOINCREMENT remembers, which has no row for a table that never had one.
func raiseFileID(ctx context.Context, tx *writeTx, table string, id int64) error {
	if id == 0 {
		return nil
	}
	res, err := tx.ExecContext(ctx, `UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?`, id, table)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)`, table, id)
	return err
}

// raisePostgresID also sees to rows that brought their ids along, which the sequence did not notice.
func raisePostgresID(ctx context.Context, tx *writeTx, table string, id int64) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`
		SELECT setval('%[1]s_id_seq', last) FROM (
			SELECT greatest(CAST(? AS BIGINT), (SELECT max(id) FROM %[1]s), (SELECT last_value FROM %[1]s_id_seq WHERE is_called)) AS last
		) AS ids WHERE last > 0`, table), id)
	return err
}

func (s *Store) lastID(ctx context.Context, q querier, table string) (id int64, err error) {
	err = q.QueryRowContext(ctx, fmt.Sprintf(s.dialect.lastID, table)).Scan(&id)
	return id, err
}

func (s *Store) contents(ctx context.Context, q querier) (c Contents, err error) {
	if c.Messages, err = allMessages(ctx, q); err != nil {
		return c, fmt.Errorf("read messages: %w", err)
	}
	jobs, err := s.jobs(ctx, q, `ORDER BY id`)
	if err != nil {
		return c, err
	}
	for _, j := range jobs {
		c.Jobs = append(c.Jobs, HeldJob{Job: j})
	}
	if err := readFates(ctx, q, c.Jobs); err != nil {
		return c, err
	}
	if c.LastMessageID, err = s.lastID(ctx, q, "messages"); err != nil {
		return c, fmt.Errorf("read last id of messages: %w", err)
	}
	if c.LastJobID, err = s.lastID(ctx, q, "jobs"); err != nil {
		return c, fmt.Errorf("read last id of jobs: %w", err)
	}
	note, err := meta(ctx, q, metaMigration)
	if errors.Is(err, ErrNotFound) {
		return c, nil
	}
	c.Note = json.RawMessage(note)
	return c, err
}

func allMessages(ctx context.Context, q querier) ([]commentator.Message, error) {
	return list(ctx, q, `
		SELECT id, channel_id, message_ts, thread_ts, user_id, text, event_id, received_at FROM messages ORDER BY id`, nil,
		func(rows *sql.Rows, m *commentator.Message) error {
			var received int64
			err := rows.Scan(&m.ID, &m.Channel, &m.TS, &m.ThreadTS, &m.User, &m.Text, &m.EventID, &received)
			m.ReceivedAt = fromMicros(received)
			return err
		})
}

// readFates fills in what is known of the replies of jobs.
func readFates(ctx context.Context, q querier, jobs []HeldJob) error {
	byID := make(map[int64]*HeldJob, len(jobs))
	for i := range jobs {
		byID[jobs[i].ID] = &jobs[i]
	}
	for _, fate := range []struct {
		query string
		set   func(*HeldJob)
	}{
		{`SELECT id FROM jobs WHERE withdrawn_at IS NOT NULL`, func(j *HeldJob) { j.Withdrawn = true }},
		{`SELECT DISTINCT job_id FROM posts`, func(j *HeldJob) { j.Asked = true }},
		{`SELECT DISTINCT job_id FROM posts WHERE reply_ts <> ''`, func(j *HeldJob) { j.Replied = true }},
	} {
		ids, err := list(ctx, q, fate.query, nil, scanValue[int64])
		if err != nil {
			return fmt.Errorf("read fates of jobs: %w", err)
		}
		for _, id := range ids {
			if j := byID[id]; j != nil {
				fate.set(j)
			}
		}
	}
	return nil
}

func nullMicros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: micros(t), Valid: !t.IsZero()}
}
