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

// burstRoom is the garbage of ten jobs, in bytes, which the heap takes before it is collected. With
// heapGrowth alone it was full after five, and after more of them with a Collector there, whose
// buffers are part of what lives.
const burstRoom = 24 << 20

// idleCollector collects garbage when no job has run for a moment, and gives the heap room for a
// burst. Jobs come in bursts, a message with some links each. What the last burst left behind would
// be collected at the cost of the first jobs of the next one, unless the relay, which has a
// Collector to send to, happens to do it.
type idleCollector struct {
	collect func() // when no job runs

	mu      sync.Mutex
	running int
	rooms   int // how often the heap was given room
	timer   *time.Timer
}

// newIdleCollector leaves the growth of the heap as it is if GOGC says it.
func newIdleCollector() *idleCollector {
	c := &idleCollector{collect: runtime.GC}
	if readMetric("/gc/gogc:percent") == heapGrowth {
		c.collect = func() {
			runtime.GC()
			c.mu.Lock()
			defer c.mu.Unlock()
			c.giveRoom()
		}
	}
	return c
}

// giveRoom lets the heap grow by burstRoom until the next collection. The runtime takes the percentage
// for a lasting one, of whatever lives then: several times as much as a burst needs.
func (c *idleCollector) giveRoom() {
	debug.SetGCPercent(growthFor(readMetric("/gc/heap/live:bytes")))
	c.rooms++
	runtime.AddCleanup(new([64]byte), c.collected, c.rooms) // nobody holds it: the next collection finds that
}

// collected is called after the collection that ended a room.
func (c *idleCollector) collected(room int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case room != c.rooms: // there is a newer one
	case c.running == 0:
		c.giveRoom() // the runtime collects every two minutes, and the burst is still to come
	default:
		debug.SetGCPercent(heapGrowth)
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
	return max(heapGrowth, int(burstRoom*100/max(live, 1<<20))) // at most 2400
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
		c.timer = time.AfterFunc(idleAfter, c.collect)
		return
	}
	c.timer.Reset(idleAfter)
}
