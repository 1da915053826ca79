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
	running bool       // there is a goroutine
	busy    bool       // something is being done
	idle    *sync.Cond // busy has become false
}

func newBeside(rec *recorder, log *slog.Logger) *beside {
	b := &beside{rec: rec, log: log}
	b.idle = sync.NewCond(&b.mu)
	return b
}

// do has something done after what was asked for before. What takes little time does not
// wake anybody: it waits for the next that does, or for the end of the stage. Once the stage
// has ended nothing is done: the spans have ended too.
func (b *beside) do(little bool, f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.waiting = append(b.waiting, f)
	if !little && !b.running {
		b.running = true
		go b.run()
	}
}

func (b *beside) run() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && len(b.waiting) > 0 {
		b.next()
	}
	b.running = false
}

// close does what is left, and waits for what is being done. A nil beside has nothing to do.
func (b *beside) close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for b.busy {
		b.idle.Wait()
	}
	for len(b.waiting) > 0 {
		b.next()
	}
}

// next does what was asked for first. The lock is held before and after.
func (b *beside) next() {
	f := b.waiting[0]
	b.waiting = b.waiting[1:]
	b.busy = true
	b.mu.Unlock()
	b.try(f)
	b.mu.Lock()
	b.busy = false
	b.idle.Signal()
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
