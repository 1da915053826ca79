//go:build linux

package main

import (
	"maps"
	"sync"
)

// event is a kind of thing that happens while jobs flow. Kills come at counts of events, not
// at times, so that a seed leads to the same kind of moment on any machine.
type event string

const (
	eventPage    event = "page"    // a request for a page, held while the bell rings
	eventCall    event = "call"    // a model call, held likewise
	eventStage   event = "stage"   // a recorded attempt at a stage
	eventJournal event = "journal" // a write to the job database's log of transactions
	eventMessage event = "message" // an OTLP message in the outbox
	eventExport  event = "export"  // a request to the Collector, before the Collector sees it
	eventTaken   event = "taken"   // an answer of the Collector, before the worker sees it
	eventSent    event = "sent"    // a message that is marked as sent
	eventWrite   event = "write"   // a write to the Collector's disk
	eventQueue   event = "queue"   // such a write to the queue of what is for MLflow
	eventRequest event = "request" // a request to MLflow, before MLflow sees it
	eventAnswer  event = "answer"  // an answer of MLflow, before the Collector sees it
	eventCreated event = "created" // such an answer that says that a run was created
)

// bell counts events and springs a trap at one of them.
type bell struct {
	mu     sync.Mutex
	counts map[event]int
	trap   *trap
}

type trap struct {
	on     event
	left   int
	spring func()
}

// ring notes n events. When a trap is set for one of them it springs before ring returns, so
// that whatever waits for the caller is still under way.
func (b *bell) ring(e event, n int) {
	b.mu.Lock()
	if b.counts == nil {
		b.counts = map[event]int{}
	}
	b.counts[e] += n
	var sprung *trap
	if t := b.trap; t != nil && t.on == e {
		if t.left -= n; t.left <= 0 {
			sprung, b.trap = t, nil
		}
	}
	b.mu.Unlock()
	if sprung != nil {
		sprung.spring()
	}
}

// set sets a trap for the event that comes after `after` others of its kind, at least 1, in
// place of one that is set. The function takes it away and reports whether it was still set.
func (b *bell) set(on event, after int, spring func()) (cancel func() bool) {
	t := &trap{on, max(after, 1), spring}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trap = t
	return func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.trap != t {
			return false
		}
		b.trap = nil
		return true
	}
}

// total is how often each kind of event came.
func (b *bell) total() map[event]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.counts)
}
