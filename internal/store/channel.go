package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Seen returns Slack's time up to which the messages of a channel are known without a gap, or are not
// wanted any more since younger ones were removed; "" for a channel that is new.
func (s *Store) Seen(ctx context.Context, channel string) (string, error) {
	return seenTS(ctx, s.reader, channel)
}

func seenTS(ctx context.Context, q querier, channel string) (ts string, err error) {
	err = q.QueryRowContext(ctx, `SELECT seen_ts FROM channels WHERE channel_id = ?`, channel).Scan(&ts)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read channel %s: %w", channel, err)
	}
	return ts, nil
}

// SetSeen says that the messages of a channel are known up to ts. It never goes back. Only
// who has read the channel's history up to there may say so: what Slack delivers by itself
// comes in any order.
func (s *Store) SetSeen(ctx context.Context, channel, ts string, at time.Time) error {
	return s.setSeen(ctx, channel, ts, at, `DO UPDATE SET seen_ts = excluded.seen_ts, updated_at = excluded.updated_at
		WHERE channels.seen_ts < excluded.seen_ts`)
}

// StartChannel lets a channel that is new begin at ts: what is older is not missed.
func (s *Store) StartChannel(ctx context.Context, channel, ts string, at time.Time) error {
	return s.setSeen(ctx, channel, ts, at, `DO NOTHING`)
}

func (s *Store) setSeen(ctx context.Context, channel, ts string, at time.Time, conflict string) error {
	err := s.write(ctx, func(tx *writeTx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO channels (channel_id, seen_ts, updated_at) VALUES (?, ?, ?)
			ON CONFLICT (channel_id) `+conflict, channel, ts, micros(at))
		return err
	})
	if err != nil {
		return fmt.Errorf("write channel %s: %w", channel, err)
	}
	return nil
}

// Channels returns the channels that are known.
func (s *Store) Channels(ctx context.Context) ([]string, error) {
	ids, err := list(ctx, s.reader, `SELECT channel_id FROM channels ORDER BY channel_id`, nil, scanValue[string])
	if err != nil {
		return nil, fmt.Errorf("list channels: %w", err)
	}
	return ids, nil
}

// laterTS reports whether Slack's time a is after b: seconds, a point, six digits. Any time
// is after none.
func laterTS(a, b string) bool {
	aSeconds, _, _ := strings.Cut(a, ".")
	bSeconds, _, _ := strings.Cut(b, ".")
	if len(aSeconds) != len(bSeconds) {
		return len(aSeconds) > len(bSeconds)
	}
	return a > b
}
