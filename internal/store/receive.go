package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// Link is a link of a message.
type Link struct {
	URL string // as it was shared; empty: the message holds none
	Key string // what tells its page apart; empty: never taken for the page of another link
}

// Rules say how what comes from Slack becomes jobs. All fields but Cooldown are required.
type Rules struct {
	// Links returns the links of a text, also those over the limit. To make a job of a text
	// without links, it returns a Link without URL.
	Links func(text string) []Link
	// Limit is how many links of a message become jobs, at least 1.
	Limit int
	// Cooldown is for how long a page is not commented on again in its channel. 0: not at all.
	Cooldown time.Duration

	Enqueue Enqueue

	// What records the end of a job that is taken back.
	Decide  Decide
	Started Started
	Ended   Ended
}

// Received is what became of a message or of a change of one.
type Received struct {
	// Known: it changed nothing, because it came before, or something newer did.
	Known bool
	// Jobs are those that were made.
	Jobs []commentator.Job
	// Cooled are links that made no job, because their pages were commented on not long ago.
	Cooled []Link
	// OverLimit is how many more links there were.
	OverLimit int
	// Withdrawn are the jobs that were taken back.
	Withdrawn []int64
}

// Receive writes a new message of Slack with the jobs of its links, in one transaction. A
// message that is known changes nothing, however it came to be known: by an edit of it, its
// deletion, or the history of its channel.
func (s *Store) Receive(ctx context.Context, m commentator.Message, r Rules) (Received, error) {
	var out Received
	err := s.write(ctx, func(tx *writeTx) error {
		out = Received{}
		id, inserted, err := insertMessage(ctx, tx, m, "")
		if err != nil {
			return err
		}
		if !inserted {
			out.Known = true
			return nil
		}
		links := r.Links(m.Text)
		taken := limited(links, r.Limit)
		out.OverLimit = len(links) - len(taken)
		return s.makeJobs(ctx, tx, id, m.Channel, m.ReceivedAt, taken, r, &out)
	})
	if err != nil {
		return Received{}, fmt.Errorf("receive message %s/%s: %w", m.Channel, m.TS, err)
	}
	return out, nil
}

func limited(links []Link, limit int) []Link { return links[:min(max(limit, 0), len(links))] }

// makeJobs makes the jobs of links whose pages have not been commented on not long ago.
func (s *Store) makeJobs(ctx context.Context, tx *writeTx, messageID int64, channel string, at time.Time, links []Link, r Rules, out *Received) error {
	for _, link := range links {
		if err := s.makeUncooledJob(ctx, tx, messageID, channel, at, at, link, r, out); err != nil {
			return err
		}
	}
	return nil
}

// makeUncooledJob makes the job of a link unless its page had cooled down at some time.
func (s *Store) makeUncooledJob(ctx context.Context, tx *writeTx, messageID int64, channel string, at, cooled time.Time, link Link, r Rules, out *Received) error {
	by, err := cooledBy(ctx, tx, channel, link, cooled, r.Cooldown)
	if err != nil {
		return err
	}
	if by != 0 {
		out.Cooled = append(out.Cooled, link)
		return nil
	}
	j, err := s.makeJob(ctx, tx, messageID, link, at, r.Enqueue)
	if err != nil {
		return err
	}
	out.Jobs = append(out.Jobs, j)
	return nil
}

// earlierJobs says that the key is not empty, though it never is: without that jobs_link, which
// leaves empty ones out, is no use, and every message of the channel would be looked at.
const earlierJobs = `
	SELECT jobs.id FROM jobs JOIN messages ON messages.id = jobs.message_id
	WHERE jobs.link_key = ? AND jobs.link_key <> '' AND jobs.created_at > ? AND messages.channel_id = ?
		AND jobs.withdrawn_at IS NULL AND jobs.outcome IN ('', 'success')
	ORDER BY jobs.created_at LIMIT 1`

// cooledBy returns the first job of a page in a channel within a cool-down that led to a comment or
// still may, 0 when there is none. One that failed, or was taken back, does not keep another person
// from sharing the page.
func cooledBy(ctx context.Context, q querier, channel string, link Link, at time.Time, cooldown time.Duration) (job int64, err error) {
	if cooldown <= 0 || link.Key == "" {
		return 0, nil
	}
	err = q.QueryRowContext(ctx, earlierJobs, link.Key, micros(at.Add(-cooldown)), channel).Scan(&job)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("look for earlier jobs of the page: %w", err)
	}
	return job, nil
}

// has reports whether the page of a job is among links.
func has(links []Link, url, key string) bool {
	return slices.ContainsFunc(links, func(l Link) bool { return l.Key == key && key != "" || l.URL == url })
}
