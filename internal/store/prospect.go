package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/technoshare/commentator/internal/commentator"
)

// Prospect is what has become of a link of a message, or what would become of it if the message came
// now.
type Prospect struct {
	Link
	// Job is the newest job of the link, or with Cooled the job of its page that keeps it from
	// having one. 0: there is none yet.
	Job int64
	// Cooled: its page was commented on not long ago.
	Cooled bool
	// OverLimit: it stands behind as many links as become jobs.
	OverLimit bool
	// Left: its message is known and left it without a job, for a reason that does not show any more.
	Left bool
}

// Foresee returns the prospects of a message's links by the rules of Receive, and writes nothing. m is
// as it would be received; editTS is Slack's time of its newest edit, "" when there was none. A nil
// database knows no message. It comes near what intake does where it cannot know: of an edit that was
// missed each link is judged as though it came now, and a page that was shared again since then may be
// named as what kept an earlier message from having a job.
func (r *ReadOnly) Foresee(ctx context.Context, m commentator.Message, editTS string, rules Rules) ([]Prospect, error) {
	at, settled := m.ReceivedAt, false
	var jobs []liveJob
	if r != nil {
		known, err := findText(ctx, r.reader, m.Channel, m.TS)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return nil, explain(err)
		default:
			if jobs, err = liveJobs(ctx, r.reader, known.id); err != nil {
				return nil, explain(err)
			}
			if settled = !laterTS(editTS, known.editedTS); settled {
				at = known.receivedAt
			}
		}
	}
	var all []Prospect
	for i, link := range rules.Links(m.Text) {
		p := Prospect{Link: link, OverLimit: i >= rules.Limit}
		for _, j := range jobs {
			if has([]Link{link}, j.url, j.key) {
				p.Job, p.OverLimit = j.id, false
			}
		}
		if r != nil && p.Job == 0 && !p.OverLimit {
			by, err := cooledBy(ctx, r.reader, m.Channel, link, at, rules.Cooldown)
			if err != nil {
				return nil, fmt.Errorf("foresee message %s/%s: %w", m.Channel, m.TS, explain(err))
			}
			p.Job, p.Cooled, p.Left = by, by != 0, by == 0 && settled
		}
		all = append(all, p)
	}
	return all, nil
}
