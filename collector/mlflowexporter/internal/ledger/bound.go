package ledger

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// maxInMemory is how many records a ledger in memory holds: some 80 MB, at 4 KiB for a job with
// a trace, beside what the cache takes.
const maxInMemory = 20_000

// bound keeps a ledger in memory from growing for as long as Prune lets records stay. Its zero
// value is for a ledger on disk, which has none.
type bound struct {
	most  int // records
	turn  uint64
	marks map[string]mark // of the records, by trace id
	// lost are the traces of open records that were removed last, at most as many as there are
	// records: whatever there is of them in MLflow is to be looked for, whenever it started.
	lost      map[string]int // which of all that were removed each is
	lostFirst []string       // in the order in which they were removed
	forgotten int            // open records that were removed
}

// mark tells which records go first: of those that nothing more happens to, the one that was used
// longest ago, and only then those that are open.
type mark struct {
	open bool
	used uint64 // a later one is larger
	last uint64 // as Job.last
}

func (b *bound) note(e *Entry) {
	if b.most == 0 {
		return
	}
	b.turn++
	delete(b.lost, e.TraceID) // the record says it from now on
	b.marks[e.TraceID] = mark{open: e.Job.open() || e.Job.Waiting(), used: b.turn, last: e.Job.last()}
}

func (b *bound) forget(traceID string) { delete(b.marks, traceID) }

// lose notes that an open record is removed.
func (b *bound) lose(traceID string) {
	b.forgotten++
	b.lost[traceID] = b.forgotten
	if b.lostFirst = append(b.lostFirst, traceID); len(b.lostFirst) > b.most {
		if first := b.lostFirst[0]; b.lost[first] == b.forgotten-b.most { // else it was removed again since
			delete(b.lost, first)
		}
		b.lostFirst = b.lostFirst[1:]
	}
}

// surplus is how many records are to go, of so many that nothing more happens to: some more than
// must, so that the next ones need no sorting, but few of those that are open.
func (b *bound) surplus(closed int) int {
	must := len(b.marks) - b.most
	if n := must + b.most/20; n <= closed {
		return n
	}
	return max(closed, must+b.most/200)
}

// used keeps the records that somebody has in hand from being the first to go.
func (l *Ledger) used(claims []Claim) {
	if l.bound.most == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range claims {
		if m, ok := l.bound.marks[c.TraceID]; ok {
			l.bound.turn++
			m.used = l.bound.turn
			l.bound.marks[c.TraceID] = m
		}
	}
}

// lost reports whether there was a record of a trace that was removed while it was open.
func (l *Ledger) lost(traceID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bound.lost[traceID] > 0
}

// trim removes records of a ledger that has more than it may. Of jobs that started until the last
// news of these the ledger is not complete from then on, so that MLflow is asked for them.
func (l *Ledger) trim(ctx context.Context) error {
	if l.bound.most == 0 {
		return nil
	}
	l.heads.Lock()
	defer l.heads.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &l.bound
	if len(b.marks) <= b.most {
		return nil
	}
	closed := 0
	for _, m := range b.marks {
		if !m.open {
			closed++
		}
	}
	ids := slices.SortedFunc(maps.Keys(b.marks), func(x, y string) int {
		m, n := b.marks[x], b.marks[y]
		if m.open != n.open {
			if m.open {
				return 1
			}
			return -1
		}
		return cmp.Compare(m.used, n.used)
	})
	ids = ids[:b.surplus(closed)]
	next := l.head
	var ops, reads []*storage.Operation
	for _, id := range ids {
		next.BirthMS = max(next.BirthMS, int64(b.marks[id].last/uint64(time.Millisecond))+1) // ns since 1970 fit until 2262
		read := storage.GetOperation(jobPrefix + id)
		reads = append(reads, read)
		ops = append(ops, read, storage.DeleteOperation(jobPrefix+id), storage.DeleteOperation(openPrefix+id))
	}
	if err := l.store.Batch(ctx, append(ops, storage.SetOperation(headKey, encode(next)))...); err != nil {
		return fmt.Errorf("trim ledger: %w", err)
	}
	var bytes int64
	for _, read := range reads {
		bytes += int64(len(read.Value))
	}
	for _, id := range ids {
		if b.marks[id].open {
			b.lose(id)
		}
	}
	l.gone(ids, bytes)
	l.head, l.unsaved = next, false
	return nil
}

// gone notes that records, of so many bytes, were removed.
func (l *Ledger) gone(ids []string, bytes int64) {
	for _, id := range ids {
		delete(l.young, id)
		delete(l.old, id)
		delete(l.open, id)
		l.bound.forget(id)
	}
	l.records -= len(ids)
	l.bytes -= bytes
}
