package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

// Keys of the table meta for what one process notes and another one shows.
const (
	metaLosses = "outbox_losses" // JSON: Status.Losses
	metaLink   = "outbox_link"   // JSON of telemetry.Link
	metaRemote = "remote_state"  // JSON of telemetry.RemoteState
)

// Status is what a job database holds at one moment.
type Status struct {
	Pending, Running, Final int
	OldestOpen              time.Time // when the oldest job that is not final was created; zero: none

	Unsent, Sent, Refused Pile
	LastSent              time.Time        // zero: nothing is kept of what was sent
	LastRefusal           string           // why the last message was set aside
	Losses                map[string]int64 // messages that were lost, as in_part spans, by reason, since the database was made
	Link                  telemetry.Link
	Remote                telemetry.RemoteState // the source of sampling strategies; zero: none was asked
}

// Pile is some messages of the outbox.
type Pile struct {
	Messages int
	Bytes    int64     // as they are stored
	Oldest   time.Time // when the oldest of them was made; zero: none
}

// Status reads everything in one transaction.
func (s *Store) Status(ctx context.Context) (Status, error) { return readStatus(ctx, s.reader) }

func readStatus(ctx context.Context, db *database) (Status, error) {
	var out Status
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return out, fmt.Errorf("read status: %w", err)
	}
	defer tx.Rollback()
	for _, read := range []func(context.Context, querier, *Status) error{readJobCounts, readPiles, readLosses, readLink, readRemote} {
		if err := read(ctx, tx, &out); err != nil {
			return out, fmt.Errorf("read status: %w", err)
		}
	}
	return out, nil
}

func readJobCounts(ctx context.Context, tx querier, out *Status) error {
	var oldest sql.NullInt64
	err := tx.QueryRowContext(ctx, `
		SELECT count(*) FILTER (WHERE state = ?1), count(*) FILTER (WHERE state = ?2), count(*) FILTER (WHERE state = ?3),
			min(created_at) FILTER (WHERE state <> ?3) FROM jobs`,
		commentator.JobPending, commentator.JobRunning, commentator.JobFinal).Scan(&out.Pending, &out.Running, &out.Final, &oldest)
	out.OldestOpen = fromNullMicros(oldest)
	return err
}

func readPiles(ctx context.Context, tx querier, out *Status) error {
	for _, p := range []struct {
		pile  *Pile
		where string
	}{
		{&out.Unsent, isUnsent}, {&out.Sent, isSent}, {&out.Refused, isRefused},
	} {
		var oldest sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(length(body)), 0), min(created_at) FROM outbox WHERE `+p.where).
			Scan(&p.pile.Messages, &p.pile.Bytes, &oldest)
		if err != nil {
			return err
		}
		p.pile.Oldest = fromNullMicros(oldest)
	}
	var last sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT max(sent_at) FROM outbox WHERE `+isSent).Scan(&last); err != nil {
		return err
	}
	out.LastSent = fromNullMicros(last)
	err := tx.QueryRowContext(ctx, `SELECT error FROM outbox WHERE `+isRefused+` ORDER BY refused_at DESC LIMIT 1`).Scan(&out.LastRefusal)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

func readLosses(ctx context.Context, tx querier, out *Status) error {
	return readNote(ctx, tx, metaLosses, &out.Losses)
}

func readLink(ctx context.Context, tx querier, out *Status) error {
	return readNote(ctx, tx, metaLink, &out.Link)
}

func readRemote(ctx context.Context, tx querier, out *Status) error {
	return readNote(ctx, tx, metaRemote, &out.Remote)
}

// readNote reads a JSON value of meta; what is not there leaves it as it is.
func readNote(ctx context.Context, tx querier, key string, into any) error {
	text, err := meta(ctx, tx, key)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), into)
	}
	return err
}

// NoteRejected implements telemetry.Outbox.
func (s *Store) NoteRejected(spans int64) { s.counters.inPart.Add(spans) }

// NoteLink implements telemetry.Outbox. A process that finds what an earlier one found, that the same
// Collector takes nothing, leaves since when: the outage did not begin with it.
func (s *Store) NoteLink(ctx context.Context, l telemetry.Link) error {
	var known telemetry.Link
	err := readNote(ctx, s.db, metaLink, &known)
	if err == nil {
		switch {
		case known.Endpoint != l.Endpoint:
		case known.Problem != "" && l.Problem != "":
			l.Since = earlier(known.Since, l.Since)
		case known.Problem == "" && l.Problem == "" && l.Since.IsZero():
			return nil
		}
		err = writeNote(ctx, s.db, metaLink, l)
	}
	if err != nil {
		return fmt.Errorf("note state of the relay: %w", explain(err))
	}
	return nil
}

// NoteRemote keeps whether a source of sampling strategies answers. An outage is as old as for NoteLink,
// and a process that had no strategy of the source yet leaves the last one that another had.
func (s *Store) NoteRemote(ctx context.Context, r telemetry.RemoteState) error {
	var known telemetry.RemoteState
	err := readNote(ctx, s.db, metaRemote, &known)
	if err == nil {
		if r.Problem != "" && known.Endpoint == r.Endpoint {
			if known.Problem != "" {
				r.Since = earlier(known.Since, r.Since)
			}
			if r.Revision == "" {
				r.Says, r.Revision = known.Says, known.Revision
			}
		}
		err = writeNote(ctx, s.db, metaRemote, r)
	}
	if err != nil {
		return fmt.Errorf("note state of the sampling strategies: %w", explain(err))
	}
	return nil
}

// earlier is the earlier one of two times; a zero one is not known.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// noteLosses adds what was lost since the last time to what is noted. A process that is killed
// has noted what was lost until lossEvery before; of a SQLite file all that a full outbox gave up, see
// addEvicted.
func (s *Store) noteLosses(ctx context.Context) error {
	now := s.Stats().Losses()
	if s.dialect.addEvicted != "" {
		delete(now, "evicted")
	}
	if maps.Equal(now, s.noted) {
		return nil
	}
	err := s.write(ctx, func(tx *writeTx) error {
		total := map[string]int64{}
		if err := readNote(ctx, tx, metaLosses, &total); err != nil {
			return err
		}
		for _, reason := range slices.Sorted(maps.Keys(now)) {
			if n := now[reason] - s.noted[reason]; n > 0 {
				total[reason] += n
			}
		}
		return writeNote(ctx, tx, metaLosses, total)
	})
	if err == nil {
		s.noted = now
	}
	return err
}

func writeNote(ctx context.Context, db executor, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, string(text))
	return err
}
