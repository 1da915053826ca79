// Package ledger remembers what the bridge did in MLflow: which run belongs to which key,
// and how far each of them is, so that nothing is created or sent twice.
//
// Everything of one trace is one record, because one trace is one job, and a message of
// the worker is about one job: applying it costs two transactions of the storage, one
// that reads the record and notes the intent to create runs, and one that notes what was
// done.
package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

const (
	headKey      = "ledger"
	jobPrefix    = "job/"
	intentPrefix = "intent/"

	// format is the first byte of every value, before the JSON.
	format = 1

	// generation is how many records each of the two generations of the cache holds.
	generation = 2048
)

// Storage is what the ledger needs of a Collector storage client, which makes each Batch
// durable before it returns.
type Storage interface {
	// Batch executes the operations in order and in one transaction.
	Batch(ctx context.Context, ops ...*storage.Operation) error
}

// Scope says which MLflow server the ledger speaks of. A ledger of another scope is
// treated as if it knew nothing.
type Scope struct {
	Endpoint  string
	Workspace string
}

func (s Scope) id() string {
	sum := sha256.Sum256([]byte(s.Endpoint + "\n" + s.Workspace))
	return hex.EncodeToString(sum[:6])
}

// head is what the ledger says of itself.
type head struct {
	Scope   string `json:"scope"`
	BirthMS int64  `json:"birth"` // since when it has known everything the bridge did, ms
	// UpMS is the time in which the bridge was there for news, ms.
	UpMS int64 `json:"up,omitempty"`
	// Experiments counts the experiments that the bridge has created.
	Experiments int `json:"experiments,omitempty"`
	// Indexed is set when every record with an open run is in the index of open ones.
	Indexed bool `json:"indexed,omitempty"`
	// Owner tells this ledger from those of other bridges; empty as long as nobody asked.
	Owner string `json:"owner,omitempty"`
}

// Ledger is a cache in front of a Storage. It is safe for concurrent use as long as one
// trace is in one hand at a time.
type Ledger struct {
	store Storage
	now   func() time.Time

	heads      sync.Mutex // for writes of head, one after the other; taken before mu
	mu         sync.Mutex
	head       head
	unsaved    bool               // head has uptime that is not on disk
	young, old map[string]*Entry  // by trace id
	open       map[string]openJob // by trace id
	bound      bound
	records    int
	bytes      int64
}

// Open reads the ledger's head. It begins a new one, born now, when the storage is empty
// or belongs to another scope.
func Open(ctx context.Context, store Storage, scope Scope, now time.Time) (*Ledger, error) {
	opened := time.Now()
	clock := func() time.Time { return now.Add(time.Since(opened)) }
	l := &Ledger{store: store, now: clock, young: map[string]*Entry{}, open: map[string]openJob{}}
	if m, ok := store.(*Memory); ok {
		l.bound = bound{most: cmp.Or(m.MaxRecords, maxInMemory), marks: map[string]mark{}, lost: map[string]int{}}
	}
	get := storage.GetOperation(headKey)
	if err := store.Batch(ctx, get); err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	if decode(get.Value, &l.head) == nil && l.head.Scope == scope.id() {
		// A birth that is still to come stays until Prune: a clock may be behind for a while after a boot.
		return l, l.walk(ctx)
	}
	l.head = head{Scope: scope.id(), BirthMS: now.UnixMilli(), Owner: l.head.Owner}
	if err := store.Batch(ctx, storage.SetOperation(headKey, encode(l.head))); err != nil {
		return nil, fmt.Errorf("begin ledger: %w", err)
	}
	return l, l.walk(ctx)
}

// Complete reports whether the ledger knows every run whose job started at the given
// time, in ms since 1970. Of older ones MLflow has to be asked.
func (l *Ledger) Complete(startMS int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return startMS >= l.head.BirthMS
}

// Claim says what somebody is about to do with a trace.
type Claim struct {
	TraceID string
	Runs    []RunClaim // that may have to be created
}

// RunClaim names a run and where it shall be.
type RunClaim struct {
	Key        string
	Experiment string // as in Run
	// Again is set when the run may be made anew although it is known to be gone.
	Again bool
}

// Entry is the record of one trace in somebody's hand.
type Entry struct {
	TraceID string
	Job     Job

	intents map[string]*intent // by run key
	saved   string
}

// intent is a durable note that a run is about to be created.
type intent struct {
	get *storage.Operation // finds a note that an earlier attempt left
	// open is set while it is not known how an attempt to create the run ended.
	open bool
}

// Open reports whether a run may exist that Job does not know of, because an attempt to
// create it has no known end.
func (e *Entry) Open(key string) bool {
	i := e.intents[key]
	return e.Job.Unsure || (i != nil && i.open)
}

// SetOpen says whether it is unknown how an attempt to create a run ended.
func (e *Entry) SetOpen(key string, open bool) {
	if i := e.intents[key]; i != nil {
		i.open = open
	}
}

// Begin reads the records of some traces, in the order of the claims, and notes durably
// which runs are about to be created. End closes it, whatever happened in between.
func (l *Ledger) Begin(ctx context.Context, claims []Claim) ([]*Entry, error) {
	entries := make([]*Entry, len(claims))
	reads := make([]*storage.Operation, len(claims))
	l.used(claims)
	var ops []*storage.Operation
	for i, c := range claims {
		e := l.cached(c.TraceID)
		if e == nil {
			e = &Entry{TraceID: c.TraceID, intents: map[string]*intent{}}
			reads[i] = storage.GetOperation(jobPrefix + c.TraceID)
			ops = append(ops, reads[i])
		}
		entries[i] = e
		for _, r := range c.Runs {
			key := r.Key
			if e.intents[key] != nil || !e.Job.lacks(r) {
				continue
			}
			note := &intent{get: storage.GetOperation(intentPrefix + key)}
			ops = append(ops, note.get, storage.SetOperation(intentPrefix+key, []byte{format}))
			e.intents[key] = note
		}
	}
	if len(ops) == 0 {
		return entries, nil
	}
	if err := l.store.Batch(ctx, ops...); err != nil {
		for _, e := range entries {
			maps.DeleteFunc(e.intents, func(_ string, i *intent) bool { return i.get != nil })
		}
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	for i, e := range entries {
		for _, note := range e.intents {
			if note.get != nil {
				note.open, note.get = note.get.Value != nil, nil
			}
		}
		if reads[i] != nil {
			e.load(reads[i].Value, l.scope())
			e.Job.Unsure = e.Job.Unsure || (reads[i].Value == nil && l.lost(e.TraceID))
			l.keep(e)
		}
	}
	return entries, nil
}

func (e *Entry) load(value []byte, scope string) {
	if value == nil {
		return
	}
	if err := decode(value, &e.Job); err != nil {
		e.Job = Job{Unsure: true}
		return
	}
	if e.Job.Scope != scope {
		// Of another server. The ledger was born again when it came to this one, so that what
		// is older than that is looked for in MLflow.
		e.Job = Job{}
		return
	}
	e.saved = string(value)
}

// End notes durably what became of the entries, in one transaction. Intents whose end is
// known are taken back.
func (l *Ledger) End(ctx context.Context, entries []*Entry) error {
	var ops []*storage.Operation
	var after []func()
	for _, e := range entries {
		e.Job.forget()
		e.Job.Scope = l.scope()
		if e.saved != "" && e.Job.empty() && !e.Job.Unsure {
			index, indexed := l.note(e, l.now())
			ops = append(append(ops, storage.DeleteOperation(jobPrefix+e.TraceID)), index...)
			after = append(after, func() { l.grow(0, len(e.saved)); e.saved = ""; l.bound.forget(e.TraceID); indexed() })
		} else if e.Job.empty() && !e.Job.Unsure { // an entry of the index without a record is worth nothing
			index, indexed := l.note(e, l.now())
			ops, after = append(ops, index...), append(after, indexed)
		} else if value := encode(e.Job); string(value) != e.saved && !e.Job.empty() {
			now := l.now()
			e.Job.NewsMS = now.UnixMilli()
			value = encode(e.Job)
			index, indexed := l.note(e, now)
			ops = append(append(ops, storage.SetOperation(jobPrefix+e.TraceID, value)), index...)
			after = append(after, func() { l.grow(len(value), len(e.saved)); e.saved = string(value); l.bound.note(e); indexed() })
		}
		for key, i := range e.intents {
			if !i.open {
				ops = append(ops, storage.DeleteOperation(intentPrefix+key))
				after = append(after, func() { delete(e.intents, key) })
			}
		}
	}
	if len(ops) == 0 {
		return nil
	}
	head, written := l.unsavedHead()
	err := l.store.Batch(ctx, append(ops, head...)...)
	written(err)
	if err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	l.mu.Lock()
	for _, f := range after {
		f()
	}
	l.mu.Unlock()
	return l.trim(ctx)
}

// Note writes the record of an entry durably, which does not count as news. End is still to
// come.
func (l *Ledger) Note(ctx context.Context, e *Entry) error {
	value := encode(e.Job)
	if err := l.store.Batch(ctx, storage.SetOperation(jobPrefix+e.TraceID, value)); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grow(len(value), len(e.saved))
	e.saved = string(value)
	l.bound.note(e)
	return nil
}

func (l *Ledger) scope() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head.Scope
}

// grow counts a record that was written over another one, or over none of length 0, or that was
// removed, of length 0.
func (l *Ledger) grow(length, before int) {
	if before == 0 {
		l.records++
	}
	if length == 0 {
		l.records--
	}
	l.bytes += int64(length - before)
}

// Prune removes the records of traces of which nothing was new for so long, apart from those of
// this scope with a run that has not ended, or a verdict that waits. Of jobs that started earlier the ledger is not complete
// from then on. It does nothing when the storage cannot be walked through.
func (l *Ledger) Prune(ctx context.Context, now time.Time, memory time.Duration) (removed int, err error) {
	store, ok := l.store.(storage.Walker)
	if !ok {
		return 0, nil
	}
	l.heads.Lock()
	defer l.heads.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	var gone []string
	var bytes int64
	next := l.head
	before := now.Add(-memory)
	next.BirthMS = max(min(next.BirthMS, now.UnixMilli()), before.UnixMilli()) // the clock may have been ahead
	first := true
	err = store.Walk(ctx, func(key string, value []byte) (ops []*storage.Operation, _ error) {
		if first {
			first = false
			ops = append(ops, storage.SetOperation(headKey, encode(next)))
		}
		id, ok := strings.CutPrefix(key, jobPrefix)
		var j Job
		if !ok {
			return ops, nil
		}
		//nolint:nilerr // a record that nobody can read is left for the one who looks into it
		if decode(value, &j) != nil || j.last() == 0 || j.last() >= uint64(before.UnixNano()) || ((j.open() || j.Waiting()) && j.Scope == next.Scope) {
			return ops, nil
		}
		gone = append(gone, id)
		bytes += int64(len(value))
		return append(ops, storage.DeleteOperation(key), storage.DeleteOperation(openPrefix+id)), nil
	})
	if err != nil {
		return 0, fmt.Errorf("prune ledger: %w", err)
	}
	l.gone(gone, bytes)
	l.head = next
	return len(gone), nil
}

func (l *Ledger) cached(traceID string) *Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.young[traceID]; e != nil {
		return e
	}
	e := l.old[traceID]
	if e != nil {
		l.young[traceID] = e
	}
	return e
}

func (l *Ledger) keep(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.young) >= generation {
		l.old, l.young = l.young, map[string]*Entry{}
	}
	l.young[e.TraceID] = e
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // the types of this package hold nothing that JSON cannot
	}
	return append([]byte{format}, b...)
}

func decode(b []byte, v any) error {
	if len(b) == 0 || b[0] != format {
		return fmt.Errorf("decode ledger: unknown format")
	}
	if err := json.Unmarshal(b[1:], v); err != nil {
		return fmt.Errorf("decode ledger: %w", err)
	}
	return nil
}
