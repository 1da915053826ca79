package diskqueue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// ErrDisk is the answer to whoever gives something to a queue whose disk takes nothing.
var ErrDisk = errors.New("the disk of the sending queue takes nothing; try again later")

// errGivenUp: the disk took nothing until the end. What it holds is what the next life starts
// from, so that nothing more may be written, not even when there is room again.
var errGivenUp = errors.New("the disk of the sending queue took nothing until the end")

// The waits between two tries grow from one to the other.
const (
	firstWait = 50 * time.Millisecond
	lastWait  = time.Second
)

// patience is shared by the queues of a host.
type patience struct {
	ending  chan struct{} // closed when the queues are about to shut down
	once    sync.Once
	waiting atomic.Int32 // queues that wait for their disk
	changed func()       // is called when one begins to wait, and when it has waited
}

// patient is the storage client of a queue that waits until its disk has room.
//
// The queue takes an item out by writing that it is in hand and reading it, in one batch.
// When that fails, as on a full disk, it goes on to the next item and never comes back: a
// disk that is full for a moment costs everything that waits (getNextItem in
// persistent_queue.go, v0.161). So that batch is tried until it succeeds. All others may
// fail: what cannot be put in is refused, and what was delivered may come again.
type patient struct {
	storage.Client
	*patience
	log     *zap.Logger
	givenUp atomic.Bool
}

// Batch implements storage.Client.
func (p *patient) Batch(ctx context.Context, ops ...*storage.Operation) error {
	if p.givenUp.Load() {
		return errGivenUp
	}
	err := p.Client.Batch(ctx, ops...)
	if err == nil || !takesOut(ops) {
		return err
	}
	p.log.Warn("The disk of the sending queue takes nothing; deliveries wait, and what comes is refused, until it does", zap.Error(err))
	p.waiting.Add(1)
	p.changed()
	for wait := firstWait; err != nil; wait = min(2*wait, lastWait) {
		select {
		case <-time.After(wait):
		case <-p.ending:
			p.givenUp.Store(true)
			p.waiting.Add(-1) // what ends is neither well nor ill: that is no change
			return errors.Join(errGivenUp, err)
		}
		err = p.Client.Batch(ctx, ops...)
	}
	p.waiting.Add(-1)
	p.log.Info("The disk of the sending queue takes something again")
	p.changed()
	return nil
}

// takesOut tells the batch that takes an item out of the queue.
func takesOut(ops []*storage.Operation) bool {
	return slices.ContainsFunc(ops, func(op *storage.Operation) bool { return op.Type == storage.Set && op.Key == metadataKey }) &&
		slices.ContainsFunc(ops, func(op *storage.Operation) bool { return op.Type == storage.Get })
}
