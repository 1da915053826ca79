package main

import (
	"context"
	"database/sql"
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
		c := &idleCollector{collect: func() { times <- time.Since(start) }, busy: func() { t.Error("four jobs are no more than a burst") }}
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

// The heap has room for a burst, and its usual bounds when jobs do not end to come.
func TestTheHeapHasRoomForABurst(t *testing.T) {
	before := debug.SetGCPercent(heapGrowth)
	defer debug.SetGCPercent(before)
	percent := func() uint64 { return readMetric("/gc/gogc:percent") }

	synctest.Test(t, func(t *testing.T) { // in which the pause of a slow machine is none
		c := newIdleCollector()
		c.idle()
		if live, growth := readMetric("/gc/heap/live:bytes"), percent(); live == 0 || live*growth/100 < burstRoom-burstRoom/100 {
			t.Errorf("%d bytes live and may grow by %d %%", live, growth)
		}
		for range burstJobs - 1 {
			c.begin()
			c.end()
		}
		debug.SetGCPercent(1000)
		c.begin()
		if got := percent(); got != heapGrowth {
			t.Errorf("after %d jobs the heap may grow by %d %%", burstJobs, got)
		}
	})
	for live, want := range map[uint64]int{0: 2400, 3 << 20: 800, 8 << 20: heapGrowth, 100 << 20: heapGrowth} {
		if got := growthFor(live); got != want {
			t.Errorf("%d bytes live: %d %%, want %d", live, got, want)
		}
	}

	debug.SetGCPercent(50) // as GOGC does
	c := newIdleCollector()
	c.idle()
	if got := percent(); got != 50 {
		t.Errorf("GOGC=50 became %d", got)
	}
}
