package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/technoshare/commentator/internal/pause"
	"github.com/technoshare/commentator/internal/telemetry"
)

var _ telemetry.Outbox = (*Store)(nil)

// enqueueMessage puts the message that build makes into the outbox, unless there is none.
// Telemetry never fails a job: whatever goes wrong with the message is counted. The only
// error is errOutbox, upon which the transaction is made anew, see write.
func (s *Store) enqueueMessage(ctx context.Context, tx *writeTx, jobID int64, build func() (telemetry.Message, error)) error {
	if tx.noOutbox {
		tx.outbox.writeFailed++
		return nil
	}
	msg, err := s.built(ctx, jobID, build)
	switch {
	case err != nil:
		tx.outbox.buildFailed++
		s.log.WarnContext(ctx, "telemetry message not made", "job", jobID, "kind", msg.Kind, "err", err)
		return nil
	case msg.Empty():
		return nil
	case int64(len(msg.Body)) > s.outboxLimit:
		tx.outbox.tooLarge++
		s.log.WarnContext(ctx, "telemetry message larger than the outbox", "job", jobID, "kind", msg.Kind, "bytes", len(msg.Body))
		return nil
	}
	if err := s.insertMessageRow(ctx, tx, jobID, msg); err != nil {
		return fmt.Errorf("%w of job %d, %s, %d bytes: %w", errOutbox, jobID, msg.Kind, len(msg.Body), err)
	}
	return nil
}

// built makes a message. A defect of telemetry costs the message and not the job.
func (s *Store) built(ctx context.Context, jobID int64, build func() (telemetry.Message, error)) (msg telemetry.Message, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.log.ErrorContext(ctx, "telemetry panicked", "job", jobID, "panic", r, "stack", string(debug.Stack()))
			msg, err = telemetry.Message{}, fmt.Errorf("panic: %v", r)
		}
	}()
	return build()
}

const insertRow = `INSERT INTO outbox (job_id, kind, created_at, body, size) VALUES (?, ?, ?, ?, ?)`

func (s *Store) insertMessageRow(ctx context.Context, tx *writeTx, jobID int64, msg telemetry.Message) error {
	excess := s.counters.bytes.Load() + tx.outbox.bytes + int64(len(msg.Body)) - s.outboxLimit
	if err := evict(ctx, tx, excess); err != nil {
		return err
	}
	values := []any{jobID, msg.Kind, micros(s.clock()), msg.Body, msg.Size}
	var err error
	if s.insertRow != nil {
		_, err = tx.StmtContext(ctx, s.insertRow).ExecContext(ctx, values...) //nolint:sqlclosecheck // ends with the transaction
	} else {
		_, err = tx.ExecContext(ctx, insertRow, values...)
	}
	if err != nil {
		return err
	}
	tx.outbox.stored++
	tx.outbox.bytes += int64(len(msg.Body))
	return nil
}

// The conditions of the three groups of messages, as the partial indexes have them.
const (
	isSent    = "sent_at IS NOT NULL"
	isRefused = "refused_at IS NOT NULL AND sent_at IS NULL"
	isUnsent  = "sent_at IS NULL AND refused_at IS NULL"
)

// evictions are the groups in the order in which they make room. Each query goes by an index:
// it runs in the transaction of a job, also when the outbox is full and stays so.
var evictions = []struct {
	oldest string // query for id and size
	lost   bool
}{
	{`SELECT id, length(body) FROM outbox WHERE ` + isSent + ` ORDER BY sent_at, id LIMIT 1`, false},
	{`SELECT id, length(body) FROM outbox WHERE ` + isRefused + ` ORDER BY refused_at, id LIMIT 1`, true},
	{`SELECT id, length(body) FROM outbox WHERE ` + isUnsent + ` ORDER BY id LIMIT 1`, true},
}

// evict deletes messages until excess bytes are free: sent ones first, then refused
// ones, then unsent ones, each time the oldest first. What a relay is sending stays.
func evict(ctx context.Context, tx *writeTx, excess int64) error {
	before := tx.outbox.evicted
	for _, group := range evictions {
		for excess > 0 {
			var id, size int64
			err := tx.QueryRowContext(ctx, group.oldest+tx.dialect.skipLocked).Scan(&id, &size)
			if errors.Is(err, sql.ErrNoRows) {
				break
			}
			if err != nil {
				return fmt.Errorf("find oldest message: %w", err)
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM outbox WHERE id = ?`, id); err != nil {
				return fmt.Errorf("delete oldest message: %w", err)
			}
			excess -= size
			tx.outbox.bytes -= size
			if group.lost {
				tx.outbox.evicted++
			}
		}
	}
	if n := tx.outbox.evicted - before; n > 0 && tx.dialect.addEvicted != "" {
		if _, err := tx.ExecContext(ctx, tx.dialect.addEvicted, metaLosses, n); err != nil {
			return fmt.Errorf("count deleted messages: %w", err)
		}
	}
	return nil
}

// Depth implements telemetry.Outbox.
func (s *Store) Depth(ctx context.Context) (rows int, bytes int64, oldest time.Time, err error) {
	var created sql.NullInt64
	err = s.reader.QueryRowContext(ctx, `
		SELECT count(*), coalesce(sum(length(body)), 0), min(created_at) FROM outbox
		WHERE `+isUnsent).Scan(&rows, &bytes, &created)
	if err != nil {
		return 0, 0, time.Time{}, fmt.Errorf("measure outbox: %w", err)
	}
	return rows, bytes, fromNullMicros(created), nil
}

// measured is how many messages measureOutbox looks at in one query, and measureRest how long it
// leaves the processors to the jobs after each: tens of thousands at once take a tenth of a second.
const (
	measured    = 1000
	measureRest = 20 * time.Millisecond
)

// measureOutbox counts the bytes of all messages anew: what another process wrote, or a
// statement that somebody typed, is in no counter. A message that commits as it begins may be
// counted twice, and one that is evicted meanwhile subtracted twice, until the next time.
func (s *Store) measureOutbox(ctx context.Context, rest time.Duration) error {
	before := s.counters.bytes.Load()
	var last sql.NullInt64 // later ones are in the counter
	if err := s.reader.QueryRowContext(ctx, `SELECT max(id) FROM outbox`).Scan(&last); err != nil {
		return fmt.Errorf("measure outbox: %w", err)
	}
	bytes := int64(0)
	for from, rows := int64(0), measured; rows == measured; {
		var part int64
		err := s.reader.QueryRowContext(ctx, `
			SELECT count(*), coalesce(sum(size), 0), coalesce(max(id), 0) FROM (
				SELECT id, length(body) AS size FROM outbox WHERE id > ? AND id <= ? ORDER BY id LIMIT ?) AS part`,
			from, last.Int64, measured).Scan(&rows, &part, &from)
		if err != nil {
			return fmt.Errorf("measure outbox: %w", err)
		}
		bytes += part
		if err := pause.For(ctx, rest); err != nil {
			return err
		}
	}
	s.counters.bytes.Add(bytes - before)
	return nil
}
