package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// CodeWithdrawn is the error_type of a job that was cancelled because its link or its
// message is gone.
const CodeWithdrawn = "withdrawn"

// Change applies an edit or a deletion of a message, in one transaction. m is the message as
// it is after the edit, or was before the deletion, for one that is not known.
//
// Jobs whose links are gone are taken back: one that waits ends as cancelled, one that runs
// does so before it posts, and replies are marked to be deleted in Slack. Links that are new
// get jobs, up to the limit. Deliveries may come in any order and more than once: an edit
// that is older than the newest applied changes nothing, and neither does any edit of a
// message that is gone.
//
// A message that is older than what is known of its channel, and is not known itself, was
// there before this program or held no link, or was removed with its jobs because it is old: then
// only links that the edit added count.
func (s *Store) Change(ctx context.Context, e commentator.Edit, m commentator.Message, r Rules) (Received, error) {
	var out Received
	err := s.write(ctx, func(tx *writeTx) error {
		out = Received{}
		fresh, err := noteEvent(ctx, tx, e.EventID, e.ReceivedAt)
		if err != nil {
			return err
		}
		if !fresh {
			out.Known = true
			return nil
		}
		known, err := findText(ctx, tx, e.Channel, e.TS)
		switch {
		case errors.Is(err, ErrNotFound):
			return s.changeUnknown(ctx, tx, e, m, r, &out)
		case err != nil:
			return err
		case known.deleted || !e.Deleted && !laterTS(e.EditTS, known.editedTS):
			out.Known = true
			return nil
		case e.Deleted:
			return s.forget(ctx, tx, known.id, e, r, &out)
		}
		return s.edit(ctx, tx, known, e, r, &out)
	})
	if err != nil {
		return Received{}, fmt.Errorf("change message %s/%s: %w", e.Channel, e.TS, err)
	}
	return out, nil
}

// knownText is what an edit is compared with.
type knownText struct {
	id         int64
	text       string
	editedTS   string
	deleted    bool
	receivedAt time.Time
}

func findText(ctx context.Context, q querier, channel, ts string) (k knownText, err error) {
	var deleted sql.NullInt64
	var received int64
	err = q.QueryRowContext(ctx,
		`SELECT id, text, edited_ts, deleted_at, received_at FROM messages WHERE channel_id = ? AND message_ts = ?`, channel, ts).
		Scan(&k.id, &k.text, &k.editedTS, &deleted, &received)
	k.deleted, k.receivedAt = deleted.Valid, fromMicros(received)
	if err != nil {
		return k, fmt.Errorf("find message: %w", notFound(err))
	}
	return k, nil
}

// changeUnknown writes a message that is first heard of by its change, so that the message
// itself, when it comes late, is known.
func (s *Store) changeUnknown(ctx context.Context, tx *writeTx, e commentator.Edit, m commentator.Message, r Rules, out *Received) error {
	m.EventID = "" // that of the change
	if e.Deleted {
		m.Text = ""
		id, _, err := insertMessage(ctx, tx, m, e.EditTS)
		if err != nil {
			return err
		}
		return s.forget(ctx, tx, id, e, r, out)
	}
	seen, err := seenTS(ctx, tx, e.Channel)
	if err != nil {
		return err
	}
	past, err := readHistory(ctx, tx)
	if err != nil {
		return err
	}
	links := r.Links(e.Text)
	taken := limited(links, r.Limit)
	written, err := commentator.ParseTS(e.TS)
	if err != nil {
		return err
	}
	if laterTS(e.TS, seen) && !past.forgets(written) {
		out.OverLimit = len(links) - len(taken)
	} else {
		taken = without(taken, r.Links(e.Before))
		if len(taken) == 0 {
			return nil
		}
	}
	m.Text = e.Text
	id, _, err := insertMessage(ctx, tx, m, e.EditTS)
	if err != nil {
		return err
	}
	return s.makeJobs(ctx, tx, id, e.Channel, e.ReceivedAt, taken, r, out)
}

// edit applies the new text of a message.
func (s *Store) edit(ctx context.Context, tx *writeTx, known knownText, e commentator.Edit, r Rules, out *Received) error {
	_, err := tx.ExecContext(ctx, `UPDATE messages SET text = ?, edited_ts = ? WHERE id = ?`, e.Text, e.EditTS, known.id)
	if err != nil {
		return fmt.Errorf("update message: %w", err)
	}
	jobs, err := liveJobs(ctx, tx, known.id)
	if err != nil {
		return err
	}
	links := r.Links(e.Text)
	var kept []Link // pages that have jobs and are still there
	for _, j := range jobs {
		if !has(links, j.url, j.key) {
			if err := s.withdraw(ctx, tx, j, e.ReceivedAt, r, out); err != nil {
				return err
			}
		} else if !has(kept, j.url, j.key) {
			kept = append(kept, Link{URL: j.url, Key: j.key})
		}
	}
	added := limited(without(limited(links, r.Limit), kept), r.Limit-len(kept))
	before := r.Links(known.text)
	past, err := readHistory(ctx, tx)
	if err != nil {
		return err
	}
	for _, link := range added {
		// A link that had cooled down when the message came has no job either. It stays so,
		// however much later words around it are changed.
		cooled := e.ReceivedAt
		if has(before, link.URL, link.Key) {
			if past.forgets(known.receivedAt) {
				continue // its job was removed, or would be by now
			}
			cooled = known.receivedAt
		}
		if err := s.makeUncooledJob(ctx, tx, known.id, e.Channel, e.ReceivedAt, cooled, link, r, out); err != nil {
			return err
		}
	}
	return nil
}

// forget marks a message as gone and takes its jobs back. Its text is not kept.
func (s *Store) forget(ctx context.Context, tx *writeTx, id int64, e commentator.Edit, r Rules, out *Received) error {
	_, err := tx.ExecContext(ctx, `UPDATE messages SET text = '', edited_ts = ?, deleted_at = ? WHERE id = ?`, e.EditTS, micros(e.ReceivedAt), id)
	if err != nil {
		return fmt.Errorf("update message: %w", err)
	}
	jobs, err := liveJobs(ctx, tx, id)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if err := s.withdraw(ctx, tx, j, e.ReceivedAt, r, out); err != nil {
			return err
		}
	}
	return nil
}

// liveJob is a job that was not taken back.
type liveJob struct {
	id       int64
	url, key string
	waits    bool // it is not final, and no attempt at it runs
}

func liveJobs(ctx context.Context, q querier, messageID int64) ([]liveJob, error) {
	jobs, err := list(ctx, q, `
		SELECT id, url, link_key, CASE WHEN state <> 'final' AND attempt_open = 0 THEN 1 ELSE 0 END
		FROM jobs WHERE message_id = ? AND withdrawn_at IS NULL ORDER BY id`, []any{messageID},
		func(rows *sql.Rows, j *liveJob) error { return rows.Scan(&j.id, &j.url, &j.key, &j.waits) })
	if err != nil {
		return nil, fmt.Errorf("read jobs of message: %w", err)
	}
	return jobs, nil
}

// withdraw takes a job back.
func (s *Store) withdraw(ctx context.Context, tx *writeTx, j liveJob, at time.Time, r Rules, out *Received) error {
	if _, err := tx.ExecContext(ctx, `UPDATE jobs SET withdrawn_at = ? WHERE id = ?`, micros(at), j.id); err != nil {
		return fmt.Errorf("withdraw job %d: %w", j.id, err)
	}
	_, err := tx.ExecContext(ctx, `UPDATE posts SET retract_at = ? WHERE job_id = ? AND retract_at IS NULL`, micros(at), j.id)
	if err != nil {
		return fmt.Errorf("retract replies of job %d: %w", j.id, err)
	}
	out.Withdrawn = append(out.Withdrawn, j.id)
	if !j.waits {
		return nil
	}
	if _, err := s.begin(ctx, tx, j.id, at, r.Decide, r.Started); err != nil {
		return fmt.Errorf("withdraw job %d: %w", j.id, err)
	}
	_, err = s.finish(ctx, tx, j.id, Ending{
		Outcome: commentator.OutcomeCancelled, ErrorType: CodeWithdrawn,
		ErrorMessage: "The link was taken back before it was commented on.", At: at,
	}, r.Ended)
	if err != nil {
		return fmt.Errorf("withdraw job %d: %w", j.id, err)
	}
	return nil
}

// without returns the links whose pages are not among others.
func without(links, others []Link) []Link {
	var out []Link
	for _, l := range links {
		if !has(others, l.URL, l.Key) {
			out = append(out, l)
		}
	}
	return out
}
