package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/technoshare/commentator/internal/repeats"
)

const (
	checkpointEvery = time.Second
	checkpointFrom  = 4 << 20  // bytes of write-ahead log from which it is worth while
	walKeep         = 8 << 20  // bytes that the log is cut down to when it starts over
	walMax          = 32 << 20 // bytes from which writers wait for the checkpoint

	pruneEvery = time.Minute
	lossEvery  = time.Second // how often it is looked whether something of the telemetry was lost
	// lossEveryShared is that on PostgreSQL, where the note excludes what all workers write.
	lossEveryShared = 10 * time.Second
	pruneBatch      = 200 // messages deleted in one transaction, so that no job waits long
	expireMost      = 50  // batches of messages that are given up in one sweep, oldest first

	evictedAgain = time.Hour // how often a full outbox that gives up messages is said once more
)

// runCheckpointer moves the write-ahead log into the database beside the jobs, on a
// connection of its own, so that no job's commit pays for it.
func (s *Store) runCheckpointer(ctx context.Context) {
	once := repeats.New(s.log.Handler())
	defer once.End()
	log := slog.New(once)
	replaced := false
	every(ctx, checkpointEvery, func() {
		if err := s.checkpoint(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "checkpoint of the job database", "err", err)
		}
		err := s.inPlace()
		switch {
		case err != nil && !replaced:
			s.log.ErrorContext(ctx, "what is written to the job database is lost", "err", err)
		case err == nil && replaced:
			s.log.InfoContext(ctx, "the job database is in its place again")
		}
		replaced = err != nil
	})
}

// checkpoint runs when the log has at least checkpointFrom bytes. PASSIVE waits for nobody and
// may leave the log's end; above walMax RESTART has the writers wait, for the
// checkpointer's busy timeout at most, so that the log starts over. When a reader keeps
// it from doing so, the next run tries again.
func (s *Store) checkpoint(ctx context.Context) error {
	info, err := os.Stat(s.path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Size() < checkpointFrom {
		return nil
	}
	mode := "PASSIVE"
	if info.Size() >= walMax {
		mode = "RESTART"
	}
	var busy, logged, moved int
	if err := s.checkpointer.QueryRowContext(ctx, `PRAGMA wal_checkpoint(`+mode+`)`).Scan(&busy, &logged, &moved); err != nil {
		return fmt.Errorf("%s: %w", mode, err)
	}
	s.counters.checkpoints.Add(1)
	return nil
}

// runPruner tends the outbox beside the jobs.
func (s *Store) runPruner(ctx context.Context) {
	once := repeats.New(s.log.Handler())
	defer once.End()
	log := slog.New(once)
	tend, look := time.NewTicker(pruneEvery), time.NewTicker(s.lossEvery)
	defer tend.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tend.C:
			s.tendOutbox(ctx)
		case <-look.C:
			if s.tendLosses(ctx, log) {
				look.Reset(s.lossEvery)
			} else { // whoever has the lock is not to find the next one waiting at once
				look.Reset(max(s.lossEvery, pruneEvery))
			}
		}
	}
}

// tendLosses says and notes what was lost, and reports whether it could. It writes nothing while nothing is.
func (s *Store) tendLosses(ctx context.Context, log *slog.Logger) bool {
	s.sayEvicted(ctx, evictedAgain)
	err := s.noteLosses(ctx)
	if err != nil && ctx.Err() == nil {
		log.WarnContext(ctx, "note lost telemetry messages", "err", err)
	}
	return err == nil
}

// tendOutbox deletes messages that are old enough.
func (s *Store) tendOutbox(ctx context.Context) {
	if err := s.expire(ctx, s.clock().Add(-s.maxAge)); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "give up old telemetry messages", "err", err)
	}
	if err := s.prune(ctx, s.clock().Add(-s.keepSent)); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "prune sent telemetry messages", "err", err)
	}
}

// prune deletes the messages sent before a time and measures the outbox anew.
func (s *Store) prune(ctx context.Context, before time.Time) error {
	for {
		res, err := s.db.ExecContext(ctx, `
			DELETE FROM outbox WHERE id IN (
				SELECT id FROM outbox WHERE sent_at IS NOT NULL AND sent_at < ? ORDER BY sent_at LIMIT ?`+s.dialect.skipLocked+`)`,
			micros(before), pruneBatch)
		if err != nil {
			return fmt.Errorf("delete sent messages: %w", err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if n < pruneBatch {
			return s.measureOutbox(ctx, measureRest)
		}
	}
}

// expire gives up messages made before a time that were never sent: those that wait and those
// that were set aside.
func (s *Store) expire(ctx context.Context, before time.Time) error {
	total := int64(0)
	defer func() {
		s.counters.expired.Add(total)
		if total > 0 {
			s.log.WarnContext(ctx, "telemetry messages are given up, since nobody took them for so long", "messages", total, "max_age", s.maxAge.String())
		}
	}()
	for _, group := range []struct{ oldest, where string }{
		{`SELECT id, created_at FROM outbox WHERE ` + isUnsent + ` ORDER BY id LIMIT ?`, isUnsent},
		{`SELECT id, created_at FROM outbox WHERE ` + isRefused + ` ORDER BY refused_at, id LIMIT ?`, isRefused},
	} {
		for range expireMost {
			// A few of the oldest are read, so that a sweep that finds nothing costs nothing.
			res, err := s.db.ExecContext(ctx, `
				DELETE FROM outbox WHERE id IN (
					SELECT id FROM (`+group.oldest+s.dialect.skipLocked+`) AS oldest WHERE created_at < ?) AND `+group.where,
				pruneBatch, micros(before))
			if err != nil {
				return fmt.Errorf("delete messages that nobody took: %w", explain(err))
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			if total += n; n < pruneBatch {
				break
			}
		}
	}
	return nil
}

// evictionSaid is what was said of messages that a full outbox gave up.
type evictionSaid struct {
	messages int64     // so many
	at       time.Time // when; zero: none was given up for long
}

// sayEvicted says that a full outbox gives up messages: when that begins, and how many there were
// each time again while it lasts. Jobs give them up, too many for a line each.
func (s *Store) sayEvicted(ctx context.Context, again time.Duration) {
	total, now := s.counters.evicted.Load(), s.clock()
	n := total - s.evictionSaid.messages
	switch {
	case n == 0 && now.Sub(s.evictionSaid.at) >= again:
		s.evictionSaid.at = time.Time{}
	case n == 0:
	case s.evictionSaid.at.IsZero() || now.Sub(s.evictionSaid.at) >= again:
		s.evictionSaid = evictionSaid{total, now}
		s.log.WarnContext(ctx, "the outbox is full; telemetry messages that nobody took are given up, the oldest first; bring the Collector back, or raise OUTBOX_MAX_BYTES",
			"messages", n, "max_bytes", s.outboxLimit)
	}
}

// every calls fn at each interval until ctx ends.
func every(ctx context.Context, interval time.Duration, fn func()) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			fn()
		}
	}
}
