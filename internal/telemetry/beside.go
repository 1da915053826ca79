package telemetry

import (
	"log/slog"
	"runtime/debug"
	"sync"
)

// beside does what detail spans ask for beside the work of their stage, one thing after
// another, on a goroutine that exists as long as there is something to do. Details hold it in
// place of their stage, which a late one must not keep in memory.
type beside struct {
	rec *recorder
	log *slog.Logger

	mu      sync.Mutex
	closed  bool
	waiting []func()
	done    chan struct{} // closed when the goroutine ends; nil: there is none
}

// do has something done after what was asked for before. Once the stage has ended it does
// nothing: the spans have ended too.
func (b *beside) do(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.waiting = append(b.waiting, f)
	if b.done == nil {
		b.done = make(chan struct{})
		go b.work(b.done)
	}
}

// close waits until everything is done. A nil beside has nothing to do.
func (b *beside) close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.closed = true
	done := b.done
	b.mu.Unlock()
	if done != nil {
		<-done
	}
}

func (b *beside) work(done chan struct{}) {
	defer close(done)
	for {
		b.mu.Lock()
		all := b.waiting
		b.waiting = nil
		if len(all) == 0 {
			b.done = nil
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		for _, f := range all {
			b.try(f)
		}
	}
}

// try keeps a defect in what describes a span from ending the worker.
func (b *beside) try(f func()) {
	defer func() {
		if r := recover(); r != nil {
			b.log.Error("a detail span is not described", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	f()
}
