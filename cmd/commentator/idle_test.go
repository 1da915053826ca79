package main

import (
	"context"
	"database/sql"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// A burst of jobs, two at a time, is followed by one collection, some time after the last of them.
func TestGarbageIsCollectedOnceAfterABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		times := make(chan time.Duration, 10)
		c := &idleCollector{collect: func() { times <- time.Since(start) }}
		job := c.watch(func(context.Context, int64, func(*sql.Tx) error) error {
			time.Sleep(200 * time.Millisecond)
			return nil
		})
		burst := func() {
			for i := range int64(4) {
				go func() { _ = job(t.Context(), i, nil) }()
				time.Sleep(100 * time.Millisecond)
			}
		}
		burst() // the last one ends after 500 ms
		time.Sleep(time.Hour - 400*time.Millisecond)
		burst()
		_ = job(t.Context(), 4, nil) // comes before it is idle for long
		time.Sleep(time.Hour)
		synctest.Wait()
		close(times)
		for _, want := range []time.Duration{500*time.Millisecond + idleAfter, time.Hour + 600*time.Millisecond + idleAfter, 0} {
			if got := <-times; got != want {
				t.Errorf("collected after %v, want %v", got, want)
			}
		}
	})
}

// The heap has room for a burst.
func TestTheHeapHasRoomForABurst(t *testing.T) {
	before := debug.SetGCPercent(heapGrowth)
	defer debug.SetGCPercent(before)
	percent := func() uint64 { return readMetric("/gc/gogc:percent") }

	c := newIdleCollector()
	c.collect()
	if live, growth := readMetric("/gc/heap/live:bytes"), percent(); live == 0 || live*growth/100 < burstRoom-burstRoom/100 {
		t.Errorf("%d bytes live and may grow by %d %%", live, growth)
	}
	c.forgetRoom()
	for live, want := range map[uint64]int{0: 2400, 3 << 20: 800, 8 << 20: heapGrowth, 100 << 20: heapGrowth} {
		if got := growthFor(live); got != want {
			t.Errorf("%d bytes live: %d %%, want %d", live, got, want)
		}
	}

	debug.SetGCPercent(50) // as GOGC does
	c = newIdleCollector()
	c.collect()
	if got := percent(); got != 50 {
		t.Errorf("GOGC=50 became %d", got)
	}
}

// forgetRoom keeps the next collection from changing anything.
func (c *idleCollector) forgetRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rooms++
}

// The room is that of one collection: what lives in a burst, of which it would be a multiple, gets the
// usual one. It is given anew when no job runs.
func TestTheHeapHasRoomUntilItIsCollected(t *testing.T) {
	before := debug.SetGCPercent(heapGrowth)
	defer debug.SetGCPercent(before)
	c := newIdleCollector()
	defer c.forgetRoom()
	until := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) { // the runtime tells nobody
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	rooms := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.rooms
	}

	c.collect()
	first := rooms()
	runtime.GC()
	until("after a collection between two bursts there is no new room", func() bool { return rooms() > first })

	debug.SetGCPercent(2 * heapGrowth) // also when so much lives that the room is the usual one
	c.begin()
	lives := make([]byte, 30<<20)
	runtime.GC()
	until("the room outlives a collection", func() bool { return readMetric("/gc/gogc:percent") == heapGrowth })
	runtime.KeepAlive(lives)
}
