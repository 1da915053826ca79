package main

import (
	"context"
	"database/sql"
	"testing"
	"testing/synctest"
	"time"
)

// A burst of jobs, two at a time, is followed by one collection, which waits for the last of them.
func TestGarbageIsCollectedOnceAfterABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var collected []time.Duration
		c := &idleCollector{collect: func() { collected = append(collected, time.Since(start)) }}
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
		want := []time.Duration{500*time.Millisecond + idleAfter, time.Hour + 600*time.Millisecond + idleAfter}
		if len(collected) != 2 || collected[0] != want[0] || collected[1] != want[1] {
			t.Errorf("collected after %v, want %v", collected, want)
		}
	})
}
