package main

import (
	"context"
	"database/sql"
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
