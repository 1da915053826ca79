package store

import (
	"context"
	"fmt"
	"time"
)

// keepEvents is how long deliveries are remembered that are no new messages. Slack repeats
// one for an hour at most, or for a day when that is switched on.
const keepEvents = 48 * time.Hour

// noteEvent remembers a delivery by its id and reports whether it is the first of it. One
// without an id always is.
func noteEvent(ctx context.Context, tx *writeTx, id string, at time.Time) (fresh bool, err error) {
	if id == "" {
		return true, nil
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM events WHERE received_at < ?`, micros(at.Add(-keepEvents))); err != nil {
		return false, fmt.Errorf("forget old events: %w", err)
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO events (event_id, received_at) VALUES (?, ?) ON CONFLICT DO NOTHING`, id, micros(at))
	if err != nil {
		return false, fmt.Errorf("note event: %w", err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
