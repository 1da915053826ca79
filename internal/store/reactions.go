package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

// Judged makes the message with a person's verdict. (*telemetry.Provider).Feedback. It runs
// inside a write transaction: it must not use the store.
type Judged func(commentator.Job, commentator.Verdict) (telemetry.Message, error)

// React records that a person put a reaction on a reply or took it away, and what that
// reaction says: value, commentator.VerdictUp or VerdictDown. When it changes the person's
// verdict on the job, the message of judged is put into the outbox, in the same transaction.
//
// Of the events about one reaction of one person the newest counts, so that repeated events
// change nothing and the order in which they come does not matter. It returns ErrNotFound
// when the message is no reply to a job, and an error with the code "invalid_event_time" when
// the event has no time of Slack's.
func (s *Store) React(ctx context.Context, r commentator.Reaction, value int, judged Judged) (changed bool, err error) {
	at, err := commentator.ParseTS(r.EventTS)
	if err != nil {
		return false, &commentator.Error{Code: "invalid_event_time", Message: "A reaction has no valid time", Final: true, Err: err}
	}
	err = s.write(ctx, func(tx *writeTx) error {
		changed = false
		jobID, err := repliedTo(ctx, tx, r.Channel, r.MessageTS)
		if err != nil {
			return err
		}
		given, err := reactionsOf(ctx, tx, jobID, r.User)
		if err != nil {
			return err
		}
		before := given.verdict()
		event, order := given.place(reaction{name: r.Name, value: value, at: at, removed: !r.Added}, micros(s.clock()))
		if !given.apply(event) {
			return nil
		}
		if err := upsertReaction(ctx, tx, jobID, r, event); err != nil {
			return err
		}
		v := commentator.Verdict{JobID: jobID, User: r.User, Value: given.verdict(), At: order}
		if v.Value == before {
			return nil
		}
		changed = true
		j, _, err := s.job(ctx, tx, jobID)
		if err != nil {
			return err
		}
		return s.enqueueMessage(ctx, tx, jobID, func() (telemetry.Message, error) { return judged(j, v) })
	})
	if err != nil {
		return false, fmt.Errorf("record reaction to %s/%s: %w", r.Channel, r.MessageTS, err)
	}
	return changed, nil
}

// repliedTo returns the job that a message is a reply to. A notice that a job failed is none.
func repliedTo(ctx context.Context, q querier, channel, ts string) (int64, error) {
	var id int64
	err := q.QueryRowContext(ctx, `SELECT job_id FROM posts WHERE channel_id = ? AND reply_ts = ? AND reply_ts <> '' AND part >= 0`, channel, ts).Scan(&id)
	if err != nil {
		return 0, notFound(err)
	}
	return id, nil
}

// reaction is a row of the table: the newest event about one reaction of one person.
type reaction struct {
	name    string
	value   int
	at      time.Time
	removed bool
	written int64 // when the row was written, µs; one more than the row before it when it came late
}

// reactions are those of one person to one job.
type reactions []reaction

func reactionsOf(ctx context.Context, q querier, jobID int64, user string) (reactions, error) {
	out, err := list(ctx, q, `
		SELECT reaction, verdict, event_ts, removed, updated_at FROM reactions WHERE job_id = ? AND user_id = ?`, []any{jobID, user},
		func(rows *sql.Rows, r *reaction) (err error) {
			var ts string
			if err := rows.Scan(&r.name, &r.value, &ts, &r.removed, &r.written); err != nil {
				return err
			}
			r.at, err = commentator.ParseTS(ts)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("read reactions: %w", err)
	}
	return out, nil
}

// place says when the row of an event is written, and the time of the verdict that it leads
// to. That is the event's own if it is the newest. One that came late changes the verdict
// behind the newest event, whose message the bridge has, and before whatever the person does
// next: Slack counts microseconds, so there is room for 999 of them.
func (rs reactions) place(event reaction, now int64) (reaction, time.Time) {
	var newest time.Time
	var base, last int64 // when the newest event was written, and the last one
	for _, r := range rs {
		last = max(last, r.written)
		if r.at.After(newest) || r.at.Equal(newest) && r.written < base {
			newest, base = r.at, r.written
		}
	}
	if event.at.After(newest) {
		event.written = max(now, last+1)
		return event, event.at
	}
	event.written = last + 1
	return event, newest.Add(time.Duration(min(event.written-base, 999)))
}

// apply takes an event in and reports whether it is newer than what is known of its reaction.
// Of two events of one time the removal counts.
func (rs *reactions) apply(event reaction) bool {
	i := slices.IndexFunc(*rs, func(r reaction) bool { return r.name == event.name })
	if i < 0 {
		*rs = append(*rs, event)
		return true
	}
	known := (*rs)[i]
	if event.at.Before(known.at) || event.at.Equal(known.at) && (known.removed || !event.removed) {
		return false
	}
	(*rs)[i] = event
	return true
}

// verdict is what the newest reaction says that is still there. Of two of one time that with
// the lesser name counts.
func (rs reactions) verdict() int {
	standing := rs.standing()
	if standing == nil {
		return commentator.VerdictTakenBack
	}
	return standing.value
}

func (rs reactions) standing() *reaction {
	var out *reaction
	for i, r := range rs {
		if !r.removed && (out == nil || r.at.After(out.at) || r.at.Equal(out.at) && r.name < out.name) {
			out = &rs[i]
		}
	}
	return out
}

func upsertReaction(ctx context.Context, tx *writeTx, jobID int64, r commentator.Reaction, event reaction) error {
	removed := 0
	if event.removed {
		removed = 1
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO reactions (job_id, user_id, reaction, verdict, event_ts, removed, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (job_id, user_id, reaction) DO UPDATE SET
			verdict = excluded.verdict, event_ts = excluded.event_ts, removed = excluded.removed, updated_at = excluded.updated_at`,
		jobID, r.User, r.Name, event.value, r.EventTS, removed, event.written)
	if err != nil {
		return fmt.Errorf("write reaction: %w", err)
	}
	return nil
}

// Opinion is a verdict that stands, with what it is about.
type Opinion struct {
	commentator.Verdict
	Reaction string // that decides it
	Job      commentator.Job
	Channel  string
	ReplyTS  string // of the first message of the reply
}

// Opinions returns the verdicts that stand, by job and person: those that were given since a
// time; the zero time means all.
func (s *Store) Opinions(ctx context.Context, since time.Time) ([]Opinion, error) {
	out, err := s.opinions(ctx, since)
	if err != nil {
		return nil, fmt.Errorf("read verdicts: %w", err)
	}
	return out, nil
}

func (s *Store) opinions(ctx context.Context, since time.Time) ([]Opinion, error) {
	type key struct {
		job  int64
		user string
	}
	var order []key
	given := map[key]*reactions{}
	err := each(ctx, s.reader, `
		SELECT job_id, user_id, reaction, verdict, event_ts, removed FROM reactions ORDER BY job_id, user_id`, nil, func(rows *sql.Rows) (err error) {
		var k key
		var r reaction
		var ts string
		if err := rows.Scan(&k.job, &k.user, &r.name, &r.value, &ts, &r.removed); err != nil {
			return err
		}
		if r.at, err = commentator.ParseTS(ts); err != nil {
			return err
		}
		if given[k] == nil {
			given[k] = &reactions{}
			order = append(order, k)
		}
		*given[k] = append(*given[k], r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []Opinion
	for _, k := range order {
		standing := given[k].standing()
		if standing == nil || standing.at.Before(since) {
			continue
		}
		o := Opinion{Verdict: commentator.Verdict{JobID: k.job, User: k.user, Value: standing.value, At: standing.at}, Reaction: standing.name}
		if o.Job, _, err = s.job(ctx, s.reader, k.job); err != nil {
			return nil, err
		}
		err := s.reader.QueryRowContext(ctx, `SELECT channel_id, reply_ts FROM posts WHERE job_id = ? AND part >= 0 ORDER BY part LIMIT 1`, k.job).Scan(&o.Channel, &o.ReplyTS)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}
