package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// take carries a decision into the job and returns what the column decision shall hold.
func take(j *commentator.Job, d commentator.Decision) (string, error) {
	if d.Detail == "" {
		d.Detail = commentator.DetailOff
	}
	j.Detail = d.Detail
	why, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("encode decision: %w", err)
	}
	return string(why), nil
}

// Decision returns why so much of a job is recorded. A job that has not started has none:
// the zero value. Of one that an older release decided only the detail is known.
func (s *looking) Decision(ctx context.Context, jobID int64) (commentator.Decision, error) {
	var d commentator.Decision
	var text string
	err := s.reader.QueryRowContext(ctx, `SELECT detail, decision FROM jobs WHERE id = ?`, jobID).Scan(&d.Detail, &text)
	if err != nil {
		return d, fmt.Errorf("read decision of job %d: %w", jobID, notFound(err))
	}
	if text == "" {
		return d, nil
	}
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return d, fmt.Errorf("read decision of job %d: %w", jobID, err)
	}
	return d, nil
}

// LastStarted returns the job that started last, and when: its decision tells what a worker goes by.
// The error wraps ErrNotFound when none has.
func (s *looking) LastStarted(ctx context.Context) (jobID int64, at time.Time, err error) {
	var micros int64
	err = s.reader.QueryRowContext(ctx, `
		SELECT id, started_at FROM jobs WHERE started_at IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT 1`).Scan(&jobID, &micros)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("look for the job that started last: %w", notFound(err))
	}
	return jobID, fromMicros(micros), nil
}

// Decided returns how many jobs a rule of the sampling file has decided, also of those that
// are no longer in the database.
func (s *looking) Decided(ctx context.Context, rule string) (int64, error) {
	var n int64
	err := s.reader.QueryRowContext(ctx, `
		SELECT count(*) FROM jobs WHERE decision <> '' AND `+s.reader.dialect.jsonText("decision", "by")+` = ?`, rule).Scan(&n)
	var h History
	if err == nil {
		h, err = readHistory(ctx, s.reader)
	}
	if err != nil {
		return 0, fmt.Errorf("count decisions of rule %s: %w", rule, explain(err))
	}
	return n + h.Decided[rule], nil
}
