package main

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/queue"
)

// idleAfter is how long no job has to run: longer than the relay collects messages before it sends
// them, since that makes garbage too.
const idleAfter = 300 * time.Millisecond

// idleCollector collects garbage when no job has run for a moment. Jobs come in bursts, a message
// with some links each. What the last burst left behind would be collected at the cost of the first
// jobs of the next one, unless the relay, which has a Collector to send to, happens to do it.
type idleCollector struct {
	collect func() // runtime.GC

	mu      sync.Mutex
	running int
	timer   *time.Timer
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
