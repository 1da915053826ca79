package ledger

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

const openPrefix = "open/"

// openJob is what is known of a record that something is still to happen to: a run of it has
// not ended, or a verdict waits for run or trace.
type openJob struct {
	// Waits is set when all runs have ended, or there is none.
	Waits  bool  `json:"waits,omitempty"`
	SeenMS int64 `json:"seen"` // uptime when it last had news, ms
	NewsMS int64 `json:"news"` // when that was, ms since 1970
}

// Stats are sizes of the ledger.
type Stats struct {
	Records int   // traces and other keys that it knows
	Bytes   int64 // of their records
	Open    int   // records with a run that has not ended
	// Forgotten counts records with such a run, or with a verdict that waits, for which there was no
	// room in memory.
	Forgotten int
}

// Stats says how large the ledger is.
func (l *Ledger) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := Stats{Records: l.records, Bytes: l.bytes, Forgotten: l.bound.forgotten}
	for _, one := range l.open {
		if !one.Waits {
			stats.Open++
		}
	}
	return stats
}

// Open reports whether the run exists and has not ended as far as the bridge knows.
func (r *Run) Open() bool { return r.ID != "" && !r.Gone && !r.Done && !r.Closed }

func (j *Job) open() bool {
	for _, r := range j.Runs {
		if r.Open() {
			return true
		}
	}
	return false
}

// walk learns at the start what is open and how large the ledger is. The records of a
// ledger that was written before there was an index get one; those of another scope, of which
// nobody will say more, lose theirs.
func (l *Ledger) walk(ctx context.Context) error {
	store, ok := l.store.(storage.Walker)
	if !ok {
		return nil
	}
	found, foreign := map[string]openJob{}, map[string]bool{}
	indexed := l.head.Indexed
	next := l.head
	next.Indexed = true
	first := true
	err := store.Walk(ctx, func(key string, value []byte) (ops []*storage.Operation, _ error) {
		if first && !indexed {
			ops = append(ops, storage.SetOperation(headKey, encode(next)))
		}
		first = false
		var one openJob
		if id, ok := strings.CutPrefix(key, openPrefix); ok && foreign[id] {
			ops = append(ops, storage.DeleteOperation(key))
		} else if ok && decode(value, &one) == nil {
			found[id] = one
		}
		id, ok := strings.CutPrefix(key, jobPrefix)
		if !ok {
			return ops, nil
		}
		l.records++
		l.bytes += int64(len(value))
		if isForeign(value, l.head.Scope) {
			foreign[id] = true
			if _, ok := found[id]; ok { // the storage keeps no order
				delete(found, id)
				ops = append(ops, storage.DeleteOperation(openPrefix+id))
			}
			return ops, nil
		}
		var j Job
		if !indexed && decode(value, &j) == nil && (j.open() || j.Waiting()) {
			one := openJob{Waits: !j.open(), SeenMS: l.head.UpMS, NewsMS: int64(j.last() / uint64(time.Millisecond))} // ns since 1970 fit until 2262
			found[id] = one
			ops = append(ops, storage.SetOperation(openPrefix+id, encode(one)))
		}
		return ops, nil
	})
	if err != nil {
		return fmt.Errorf("walk through ledger: %w", err)
	}
	l.open, l.head = found, next
	return nil
}

// isForeign reports whether a record is of another scope. One that nobody can read is not.
func isForeign(value []byte, scope string) bool {
	if bytes.HasPrefix(value, append([]byte{format}, `{"scope":"`+scope+`"`...)) {
		return false // as nearly all are, and as End writes them
	}
	var j struct {
		Scope string `json:"scope"`
	}
	return decode(value, &j) == nil && j.Scope != scope
}

// note gives the operations that keep the index of open records right when a changed
// record is written.
func (l *Ledger) note(e *Entry, now time.Time) (ops []*storage.Operation, after func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, was := l.open[e.TraceID]
	switch open := e.Job.open(); {
	case open || e.Job.Waiting():
		one := openJob{Waits: !open, SeenMS: l.head.UpMS, NewsMS: now.UnixMilli()}
		ops = append(ops, storage.SetOperation(openPrefix+e.TraceID, encode(one)))
		return ops, func() { l.open[e.TraceID] = one }
	case was:
		ops = append(ops, storage.DeleteOperation(openPrefix+e.TraceID))
		return ops, func() { delete(l.open, e.TraceID) }
	}
	return nil, func() {}
}

// unsavedHead gives the operation that writes uptime which is not on disk: what was seen never lies ahead
// of it there. Until written is called with how that ended, nobody else writes the head.
func (l *Ledger) unsavedHead() (ops []*storage.Operation, written func(error)) {
	l.heads.Lock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.unsaved {
		l.heads.Unlock()
		return nil, func(error) {}
	}
	return []*storage.Operation{storage.SetOperation(headKey, encode(l.head))}, func(err error) {
		l.mu.Lock()
		l.unsaved = err != nil
		l.mu.Unlock()
		l.heads.Unlock()
	}
}

// Seen notes that there was news of a record which could not be written, and comes again. After a
// restart the queue still has it.
func (l *Ledger) Seen(traceID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one, ok := l.open[traceID]; ok {
		one.SeenMS = l.head.UpMS
		l.open[traceID] = one
	}
}

// AddUptime counts time in which the bridge was there for news. What cannot be written is not counted.
func (l *Ledger) AddUptime(ctx context.Context, d time.Duration) error {
	l.heads.Lock()
	defer l.heads.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	before, unsaved := l.head.UpMS, l.unsaved
	l.head.UpMS += d.Milliseconds()
	l.unsaved = true
	if len(l.open) == 0 {
		return nil // there is nothing that it is counted for
	}
	if err := l.store.Batch(ctx, storage.SetOperation(headKey, encode(l.head))); err != nil {
		l.head.UpMS, l.unsaved = before, unsaved
		return fmt.Errorf("write uptime to ledger: %w", err)
	}
	l.unsaved = false
	return nil
}

// Stale is a record that is open and has had no news for long.
type Stale struct {
	TraceID string
	NewsMS  int64 // when it last had any, ms since 1970
}

// Stale lists up to n open records that had no news in so much uptime, the oldest first, apart from those
// of some traces.
func (l *Ledger) Stale(after time.Duration, n int, but map[string]bool) []Stale {
	return l.openWhere(n, but, func(one openJob) bool { return l.head.UpMS-one.SeenMS >= after.Milliseconds() })
}

// Waiting lists up to n records in which only a verdict waits and that had no news since then, the
// oldest first, apart from those of some traces.
func (l *Ledger) Waiting(since time.Time, n int, but map[string]bool) []Stale {
	return l.openWhere(n, but, func(one openJob) bool { return one.Waits && one.NewsMS < since.UnixMilli() })
}

func (l *Ledger) openWhere(n int, but map[string]bool, holds func(openJob) bool) []Stale {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Stale
	for _, id := range slices.Sorted(maps.Keys(l.open)) {
		if one := l.open[id]; !but[id] && holds(one) {
			found = append(found, Stale{TraceID: id, NewsMS: one.NewsMS})
		}
	}
	slices.SortStableFunc(found, func(a, b Stale) int { return cmp.Compare(a.NewsMS, b.NewsMS) })
	return found[:min(n, len(found))]
}
