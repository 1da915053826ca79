package main

import (
	"context"
	"database/sql"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/queue"
)

// idleAfter is how long no job has to run: longer than the relay collects messages before it sends
// them, since that makes garbage too.
const idleAfter = 300 * time.Millisecond

const (
	// burstJobs are as many jobs without a pause as count as one burst.
	burstJobs = 20
	// burstRoom is the garbage of half as many, in bytes, which the heap takes before it is
	// collected. With heapGrowth alone it was full after five, and after more of them with a
	// Collector there, whose buffers are part of what lives.
	burstRoom = 24 << 20
)

// idleCollector collects garbage when no job has run for a moment, and gives the heap room for a
// burst. Jobs come in bursts, a message with some links each. What the last burst left behind would
// be collected at the cost of the first jobs of the next one, unless the relay, which has a
// Collector to send to, happens to do it.
type idleCollector struct {
	collect func() // when no job runs
	busy    func() // when a burst does not end

	mu      sync.Mutex
	running int
	jobs    int // since the last collection
	timer   *time.Timer
}

// newIdleCollector leaves the growth of the heap as it is if GOGC says it.
func newIdleCollector() *idleCollector {
	if readMetric("/gc/gogc:percent") != heapGrowth {
		return &idleCollector{collect: runtime.GC, busy: func() {}}
	}
	return &idleCollector{
		collect: func() {
			runtime.GC()
			debug.SetGCPercent(growthFor(readMetric("/gc/heap/live:bytes")))
		},
		busy: func() { debug.SetGCPercent(heapGrowth) },
	}
}

// readMetric reads a number of the runtime.
func readMetric(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// growthFor is the growth in percent by which a heap with so many bytes that live has burstRoom.
func growthFor(live uint64) int {
	return max(heapGrowth, int(burstRoom*100/max(live, 1<<20))) //nolint:gosec // at most 2400
}

// watch is a handler that counts as a job while it runs.
func (c *idleCollector) watch(h queue.Handler) queue.Handler {
	return func(ctx context.Context, jobID int64, complete func(tx *sql.Tx) error) error {
		c.begin()
		defer c.end()
		return h(ctx, jobID, complete)
	}
}

func (c *idleCollector) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running++
	if c.jobs++; c.jobs == burstJobs {
		c.busy()
	}
	if c.timer != nil {
		c.timer.Stop()
	}
}

func (c *idleCollector) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running--; c.running > 0 {
		return
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(idleAfter, c.idle)
		return
	}
	c.timer.Reset(idleAfter)
}

func (c *idleCollector) idle() {
	c.mu.Lock()
	c.jobs = 0
	c.mu.Unlock()
	c.collect()
}
