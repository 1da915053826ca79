package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/pause"
)

// MinHistory is the least time for which final jobs are kept: Slack repeats a delivery for less.
const MinHistory = 48 * time.Hour

const (
	historyEvery = 10 * time.Minute
	historyRead  = 500                   // rows looked at in one query
	historyBatch = 10                    // rows removed in one transaction, so that no job waits long
	historyPause = 20 * time.Millisecond // between two transactions

	metaHistory = "history" // JSON of History
)

// History says what of the past is no longer in the database. Whoever compares it with what
// MLflow holds finds runs there of jobs that are gone here.
type History struct {
	Before  time.Time `json:"before,omitzero"` // final jobs that ended before it may be gone; zero: all are there
	Jobs    int64     `json:"jobs"`            // how many are gone
	LastJob int64     `json:"last_job"`        // the highest id among them
	// Decided is how many of them each rule of the sampling file had decided.
	Decided map[string]int64 `json:"decided,omitempty"`
	// Messages that were received before it may be gone; zero: those of jobs that are gone.
	Messages time.Time `json:"messages,omitzero"`
}

// forgets reports whether a message that was received, or written, at a time may be one of which
// jobs or the message itself were removed.
func (h History) forgets(at time.Time) bool { return at.Before(h.Before) || at.Before(h.Messages) }

// WithHistory lets the store remove final jobs, with their stages, replies and reactions, and
// messages without jobs, when they are older than keep; 0 keeps them all. Without it nothing is
// removed: who works on the database does it, nobody else.
//
// A job stays as long as a message of its telemetry waits, a later job repeats it, or its
// reply is to be deleted in Slack. A message stays as long as Slack's history may bring it
// again, which is read as far back as backfill; 0: it is not read. One that is removed though it was
// not read again moves the cursor of its channel, so that no later backfill brings it. What was
// imported from another database counts as old as the import, so that it can be given back.
func WithHistory(keep, backfill time.Duration) Option {
	return func(s *Store) { s.history = &historian{keep, backfill} }
}

// historian is how the history is kept.
type historian struct{ keep, backfill time.Duration }

// History returns what is no longer in the database.
func (s *looking) History(ctx context.Context) (History, error) {
	h, err := readHistory(ctx, s.reader)
	if err != nil {
		return h, fmt.Errorf("read history: %w", err)
	}
	return h, nil
}

func readHistory(ctx context.Context, q querier) (h History, err error) {
	err = readNote(ctx, q, metaHistory, &h)
	return h, err
}

// runHistory removes what is old, now and then.
func (s *Store) runHistory(ctx context.Context) {
	clean := func() {
		if err := s.cleanHistory(ctx, s.clock()); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "remove old jobs", "err", err)
		}
	}
	clean()
	every(ctx, historyEvery, clean)
}

// cleanHistory is one sweep.
func (s *Store) cleanHistory(ctx context.Context, now time.Time) error {
	if s.history.keep == 0 {
		return nil
	}
	before := now.Add(-max(s.history.keep, MinHistory))
	var imported struct{ At time.Time }
	if err := readNote(ctx, s.reader, metaMigration, &imported); err != nil {
		return fmt.Errorf("look for an import: %w", err)
	}
	if imported.At.After(before) {
		return nil // what was imported is as old as the import
	}
	// The database asks which jobs repeat one whenever that one is removed; without an index it
	// would read all jobs for it. PostgreSQL has it from the start.
	if s.dialect == sqliteDialect {
		if _, err := s.db.ExecContext(ctx, `CREATE INDEX IF NOT EXISTS jobs_retry ON jobs (retry_of)`); err != nil {
			return fmt.Errorf("index jobs: %w", explain(err))
		}
	}
	jobs, err := s.removeJobs(ctx, before)
	if err != nil {
		return fmt.Errorf("remove old jobs: %w", explain(err))
	}
	messages, err := s.removeMessages(ctx, before, now.Add(-s.history.backfill))
	if err != nil {
		return fmt.Errorf("remove old messages: %w", explain(err))
	}
	if jobs+messages > 0 {
		s.log.InfoContext(ctx, "old jobs are removed", "jobs", jobs, "messages", messages, "older_than", s.history.keep.String())
	}
	return nil
}

// removeJobs looks at the jobs in the order in which they were made, up to one that is not
// old enough.
func (s *Store) removeJobs(ctx context.Context, before time.Time) (int, error) {
	return s.removeOld(ctx, `SELECT id, created_at, finished_at FROM jobs WHERE id > ? ORDER BY id LIMIT ?`, before,
		func(rows *sql.Rows) (id, made int64, done bool, err error) {
			var finished sql.NullInt64
			err = rows.Scan(&id, &made, &finished)
			return id, made, finished.Valid && finished.Int64 < micros(before), err
		},
		func(batch []int64) (int, error) { return s.removeJobBatch(ctx, batch, before) })
}

// removeOld looks at rows in the order of their ids, up to one that was made at a time or after
// it, and removes those that are done. The query takes the id behind which to read and how many
// rows, remove returns how many of a batch are gone.
func (s *Store) removeOld(ctx context.Context, query string, before time.Time,
	scan func(*sql.Rows) (id, made int64, done bool, err error), remove func(batch []int64) (int, error),
) (removed int, err error) {
	for after, more := int64(0), true; more; {
		var old []int64
		read, young := 0, false
		err := each(ctx, s.reader, query, []any{after, historyRead}, func(rows *sql.Rows) error {
			id, made, done, err := scan(rows)
			if err != nil {
				return err
			}
			after = id
			read++
			if young = young || made >= micros(before); !young && done {
				old = append(old, id)
			}
			return nil
		})
		if err != nil {
			return removed, err
		}
		more = read == historyRead && !young
		for batch := range slices.Chunk(old, historyBatch) {
			n, err := remove(batch)
			if err != nil {
				return removed, err
			}
			if removed += n; pause.For(ctx, historyPause) != nil { // lets others write
				return removed, ctx.Err()
			}
		}
	}
	return removed, nil
}

// removeJobBatch removes those final jobs of a batch that nobody needs any more.
func (s *Store) removeJobBatch(ctx context.Context, batch []int64, before time.Time) (int, error) {
	n := 0
	err := s.write(ctx, func(tx *writeTx) error {
		gone, decided, err := removable(ctx, tx, batch)
		if n = len(gone); err != nil || n == 0 {
			return err
		}
		for _, table := range []string{"reactions", "posts", "stages"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE job_id IN `+marks(n), anys(gone)...); err != nil {
				return fmt.Errorf("delete from %s: %w", table, err)
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM jobs WHERE id IN `+marks(n), anys(gone)...); err != nil {
			return fmt.Errorf("delete jobs: %w", err)
		}
		h, err := readHistory(ctx, tx)
		if err != nil {
			return err
		}
		h.Jobs += int64(n)
		h.LastJob = max(h.LastJob, slices.Max(gone))
		if before.After(h.Before) {
			h.Before = before.UTC()
		}
		for rule, times := range decided {
			if h.Decided == nil {
				h.Decided = map[string]int64{}
			}
			h.Decided[rule] += times
		}
		return writeNote(ctx, tx, metaHistory, h)
	})
	return n, err
}

// removable returns those jobs of a batch that may go, and how many of them each rule of the
// sampling file has decided.
func removable(ctx context.Context, tx *writeTx, batch []int64) (gone []int64, decided map[string]int64, err error) {
	waiting, err := waitingFor(ctx, tx, batch)
	if err != nil {
		return nil, nil, err
	}
	decided = map[string]int64{}
	err = each(ctx, tx, `
		SELECT id, decision FROM jobs WHERE id IN `+marks(len(batch))+` AND state = 'final'
			AND NOT EXISTS (SELECT 1 FROM jobs later WHERE later.retry_of = jobs.id)
			AND NOT EXISTS (SELECT 1 FROM posts WHERE posts.job_id = jobs.id AND retract_at IS NOT NULL AND retracted_at IS NULL)`,
		anys(batch), func(rows *sql.Rows) error {
			var id int64
			var text string
			if err := rows.Scan(&id, &text); err != nil || waiting[id] {
				return err
			}
			gone = append(gone, id)
			var d commentator.Decision
			if text != "" {
				if err := json.Unmarshal([]byte(text), &d); err != nil {
					return fmt.Errorf("read decision of job %d: %w", id, err)
				}
			}
			if d.By != "" && d.By != commentator.BySettings && d.By != commentator.ByRemote {
				decided[d.By]++
			}
			return nil
		})
	return gone, decided, err
}

// waitingFor returns those jobs of a batch of which messages were not sent.
func waitingFor(ctx context.Context, tx *writeTx, batch []int64) (map[int64]bool, error) {
	waiting := map[int64]bool{}
	for _, group := range []string{isUnsent, isRefused} {
		err := each(ctx, tx, `SELECT job_id FROM outbox WHERE `+group+` AND job_id IN `+marks(len(batch)), anys(batch), func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			waiting[id] = true
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look for messages that wait: %w", err)
		}
	}
	return waiting, nil
}

// removeMessages removes messages that are old and have no job. One that is not before the
// time up to which its channel is known may come again with Slack's history, unless it was written
// before the oldest that is asked for.
func (s *Store) removeMessages(ctx context.Context, before, oldest time.Time) (int, error) {
	return s.removeOld(ctx, `
		SELECT id, received_at, NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.message_id = messages.id) FROM messages WHERE id > ? ORDER BY id LIMIT ?`, before,
		func(rows *sql.Rows) (id, made int64, done bool, err error) {
			err = rows.Scan(&id, &made, &done)
			return id, made, done, err
		},
		func(batch []int64) (n int, err error) {
			err = s.write(ctx, func(tx *writeTx) error {
				n, err = removeMessageBatch(ctx, tx, batch, before, oldest)
				return err
			})
			return n, err
		})
}

func removeMessageBatch(ctx context.Context, tx *writeTx, batch []int64, before, oldest time.Time) (int, error) {
	n, youngest := 0, map[string]string{} // of each channel
	err := each(ctx, tx, `
		DELETE FROM messages WHERE id IN `+marks(len(batch))+`
			AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.message_id = messages.id)
			AND NOT EXISTS (
				SELECT 1 FROM channels WHERE channels.channel_id = messages.channel_id AND seen_ts <= message_ts AND message_ts >= ?)
		RETURNING channel_id, message_ts`,
		append(anys(batch), commentator.TS(oldest)), func(rows *sql.Rows) error {
			var channel, ts string
			if err := rows.Scan(&channel, &ts); err != nil {
				return err
			}
			n++
			if laterTS(ts, youngest[channel]) {
				youngest[channel] = ts
			}
			return nil
		})
	if err != nil || n == 0 {
		return 0, err
	}
	if err := passRemoved(ctx, tx, youngest); err != nil {
		return 0, err
	}
	h, err := readHistory(ctx, tx)
	if err != nil || !before.After(h.Messages) {
		return n, err
	}
	h.Messages = before.UTC()
	return n, writeNote(ctx, tx, metaHistory, h)
}

// passRemoved moves the cursors of channels behind messages that were removed. Slack's history would
// bring them again as new ones once it is read further back. What was missed before them is not fetched
// then, either: no setting that was in force had asked for it.
func passRemoved(ctx context.Context, tx *writeTx, youngest map[string]string) error {
	for channel, ts := range youngest {
		at, err := commentator.ParseTS(ts)
		if err != nil {
			continue // it is not from Slack
		}
		_, err = tx.ExecContext(ctx, `UPDATE channels SET seen_ts = ? WHERE channel_id = ? AND seen_ts <= ?`,
			commentator.TS(at.Add(time.Microsecond)), channel, ts)
		if err != nil {
			return fmt.Errorf("write channel %s: %w", channel, err)
		}
	}
	return nil
}

// marks is a list of n placeholders.
func marks(n int) string { return "(" + strings.TrimSuffix(strings.Repeat("?, ", n), ", ") + ")" }

func anys(ids []int64) []any {
	out := make([]any, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}
