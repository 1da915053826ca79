// Package drive is what the benchmark and the worker under load have in common: requests and
// answers, and a stopwatch that adds up what the goroutine of a job spends in parts of the
// worker. The benchmark puts the calls of the stopwatch into copies of the worker's files, see
// test/bench/build.go; the worker itself knows nothing of it. Jobs run one after another.
package drive

import (
	"sync"
	"time"
)

// Part is what time is spent on.
type Part int

// The parts. Time in one that is called by another counts for the inner one alone.
const (
	Call   Part = iota // telemetry's functions that the pipeline calls
	Detail             // everything about detail spans, their attributes included
	Insert             // of a message into the outbox
	parts
)

// Sums is what one job spent.
type Sums struct {
	Call, Detail, Insert time.Duration
}

var (
	sums  [parts]time.Duration
	stack = make([]Part, 0, 16)
	begin = time.Now()
	last  time.Duration // when the part on top of the stack began or went on
)

// Enter says that a part begins; it returns what Leave needs, so that both fit into one
// statement: defer drive.Leave(drive.Enter(drive.Call)).
func Enter(p Part) Part {
	now := time.Since(begin)
	if n := len(stack); n > 0 {
		sums[stack[n-1]] += now - last
	}
	stack = append(stack, p)
	last = now
	return p
}

// Leave says that the part ends.
func Leave(p Part) {
	now := time.Since(begin)
	sums[p] += now - last
	stack = stack[:len(stack)-1]
	last = now
}

// Take returns the sums and begins anew.
func Take() Sums {
	s := Sums{sums[Call], sums[Detail], sums[Insert]}
	sums = [parts]time.Duration{}
	return s
}

var (
	mu     sync.Mutex
	stalls []stall
)

// stall is a time in which something ran beside the jobs that may hold them up.
type stall struct{ from, to time.Time }

// Begin notes when something beside the jobs begins, for End.
func Begin() time.Time { return time.Now() }

// End notes that it has ended.
func End(from time.Time) {
	mu.Lock()
	defer mu.Unlock()
	stalls = append(stalls, stall{from, time.Now()})
}

// Stalled reports whether anything ran beside a job that took from one time to another. It
// forgets what ended before.
func Stalled(from, to time.Time) bool {
	mu.Lock()
	defer mu.Unlock()
	kept := stalls[:0]
	for _, s := range stalls {
		if !s.to.Before(from) {
			kept = append(kept, s)
		}
	}
	stalls = kept
	for _, s := range stalls {
		if s.from.Before(to) {
			return true
		}
	}
	return false
}
