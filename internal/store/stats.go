package store

import "sync/atomic"

// Stats counts, since Open, what was lost of the telemetry and what the background
// tasks did. A loss is counted when the transaction that it happened in commits.
type Stats struct {
	OutboxStored      int64 // messages put into the outbox
	OutboxBuildFailed int64 // messages that could not be made
	OutboxWriteFailed int64 // messages that the database would not take
	OutboxTooLarge    int64 // messages larger than the whole outbox may be
	OutboxEvicted     int64 // unsent or refused messages deleted to make room
	OutboxExpired     int64 // unsent or refused messages deleted because they were too old
	OutboxInPart      int64 // spans that the Collector rejected of messages that it took
	OutboxRefused     int64 // messages set aside because the Collector refuses them
	OutboxBytes       int64 // stored bytes of all messages now, sent ones too

	Checkpoints int64 // successful runs of the checkpointer
}

// Stats returns the counts.
func (s *Store) Stats() Stats {
	c := &s.counters
	return Stats{
		OutboxStored:      c.stored.Load(),
		OutboxBuildFailed: c.buildFailed.Load(),
		OutboxWriteFailed: c.writeFailed.Load(),
		OutboxTooLarge:    c.tooLarge.Load(),
		OutboxEvicted:     c.evicted.Load(),
		OutboxExpired:     c.expired.Load(),
		OutboxInPart:      c.inPart.Load(),
		OutboxRefused:     c.refused.Load(),
		OutboxBytes:       c.bytes.Load(),
		Checkpoints:       c.checkpoints.Load(),
	}
}

// Losses are the counts of messages that will not reach the Collector, by the reasons that
// telemetry reports them with; in_part counts spans.
func (s Stats) Losses() map[string]int64 {
	lost := map[string]int64{}
	for reason, n := range map[string]int64{
		"build": s.OutboxBuildFailed, "write": s.OutboxWriteFailed, "too_large": s.OutboxTooLarge, "evicted": s.OutboxEvicted,
		"expired": s.OutboxExpired, "in_part": s.OutboxInPart,
	} {
		if n > 0 {
			lost[reason] = n
		}
	}
	return lost
}

type counters struct {
	stored, buildFailed, writeFailed, tooLarge, evicted, expired, inPart, refused atomic.Int64
	bytes                                                                         atomic.Int64
	checkpoints                                                                   atomic.Int64
}

// outboxChange is what a transaction does to the outbox.
type outboxChange struct {
	bytes                                               int64
	stored, buildFailed, writeFailed, tooLarge, evicted int64
}

func (c *counters) apply(o outboxChange) {
	c.bytes.Add(o.bytes)
	c.stored.Add(o.stored)
	c.buildFailed.Add(o.buildFailed)
	c.writeFailed.Add(o.writeFailed)
	c.tooLarge.Add(o.tooLarge)
	c.evicted.Add(o.evicted)
}
