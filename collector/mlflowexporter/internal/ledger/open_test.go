package ledger_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// put notes a run of a trace.
func put(t *testing.T, l *ledger.Ledger, id string, run ledger.Run) {
	t.Helper()
	putAll(t, l, []string{id}, run)
}

// putMany notes a run of each of the traces that have these numbers, all at once.
func putMany(t *testing.T, l *ledger.Ledger, from, to int, run ledger.Run) {
	t.Helper()
	var ids []string
	for i := from; i < to; i++ {
		ids = append(ids, strconv.Itoa(i))
	}
	putAll(t, l, ids, run)
}

func putAll(t *testing.T, l *ledger.Ledger, ids []string, run ledger.Run) {
	t.Helper()
	var claims []ledger.Claim
	for _, id := range ids {
		claims = append(claims, ledger.Claim{TraceID: id})
	}
	entries, err := l.Begin(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		*e.Job.Run(e.TraceID) = run
	}
	if err := l.End(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
}

func stale(l *ledger.Ledger, after time.Duration) (ids []string) {
	for _, s := range l.Stale(after, 10, nil) {
		ids = append(ids, s.TraceID)
	}
	return ids
}

// Uptime counts over restarts, from the last change of a record, and only for runs that
// have not ended.
func TestStaleIsWhatHadNoNewsInUptime(t *testing.T) {
	store := disk(t)
	l := open(t, store(), here, birth)
	up := func(d time.Duration) {
		t.Helper()
		if err := l.AddUptime(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	up(50 * time.Hour) // before there was anything: written with the first open record
	put(t, l, "early", ledger.Run{Experiment: "1@5", ID: "1"})
	put(t, l, "ended", ledger.Run{Experiment: "1@5", ID: "2", Done: true})
	put(t, l, "gone", ledger.Run{Experiment: "1@5", ID: "3", Gone: true})
	up(2 * time.Hour)
	l = open(t, store(), here, birth)
	put(t, l, "late", ledger.Run{Experiment: "1@5", ID: "4"})
	if got := stale(l, 3*time.Hour); got != nil {
		t.Errorf("stale after 2 h: %v", got)
	}
	up(time.Hour)
	if diff := cmp.Diff([]string{"early"}, stale(l, 3*time.Hour)); diff != "" {
		t.Error(diff)
	}
	put(t, l, "early", ledger.Run{Experiment: "1@5", ID: "1", Name: "news"})
	if got := stale(l, 3*time.Hour); got != nil {
		t.Errorf("stale although there was news: %v", got)
	}
	up(2 * time.Hour)
	l = open(t, store(), here, birth)
	if diff := cmp.Diff([]string{"late"}, stale(l, 3*time.Hour)); diff != "" {
		t.Error(diff)
	}
	put(t, l, "late", ledger.Run{Experiment: "1@5", ID: "4", Done: true})
	l = open(t, store(), here, birth)
	if got, s := stale(l, 0), l.Stats(); len(got) != 1 || s.Open != 1 || s.Records != 4 || s.Bytes == 0 {
		t.Errorf("stale: %v, stats %+v", got, s)
	}
}

// A ledger of a version that kept no index gets one.
func TestOldLedgersAreIndexed(t *testing.T) {
	store := disk(t)
	client := store()
	l := open(t, client, here, birth)
	put(t, l, "running", ledger.Run{Experiment: "1@5", ID: "1"})
	entries, err := l.Begin(t.Context(), []ledger.Claim{{TraceID: "running"}})
	if err != nil {
		t.Fatal(err)
	}
	scope := entries[0].Job.Scope
	// What earlier versions wrote.
	err = client.Batch(t.Context(),
		storage.DeleteOperation("open/running"),
		storage.SetOperation("ledger", []byte("\x01"+`{"scope":"`+scope+`","birth":1000}`)),
		storage.SetOperation("job/running", []byte("\x01"+`{"scope":"`+scope+`","runs":{"k":{"experiment":"1@5","id":"1","name":"job_1","said":["tag a"]}}}`)),
		storage.SetOperation("job/ended", []byte("\x01"+`{"scope":"`+scope+`","runs":{"k":{"experiment":"1@5","id":"2","version":{"end":5,"hash":"a"},"logged":true,"done":true}}}`)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l = open(t, store(), here, birth)
		if diff := cmp.Diff([]string{"running"}, stale(l, 0)); diff != "" {
			t.Error(diff)
		}
		if s := l.Stats(); s.Records != 2 || s.Open != 1 {
			t.Errorf("stats %+v", s)
		}
	}
}

// Of the runs of another server nobody will say more: they are not open, until the ledger is of that
// server again, and are forgotten like all others.
func TestRunsOfAnotherServerAreNotOpen(t *testing.T) {
	store := disk(t)
	there := ledger.Scope{Endpoint: "http://there"}
	notOpen := func(l *ledger.Ledger) {
		t.Helper()
		if s := l.Stats(); s.Open != 0 || s.Records != 1 || stale(l, 0) != nil {
			t.Errorf("stats %+v, stale %v", s, stale(l, 0))
		}
	}
	put(t, open(t, store(), here, birth), "running", ledger.Run{Experiment: "1@5", ID: "1"})
	notOpen(open(t, store(), there, birth))
	// What an earlier version left of it.
	client := store()
	if err := client.Batch(t.Context(), storage.SetOperation("open/running", []byte("\x01"+`{"seen":0,"news":1}`))); err != nil {
		t.Fatal(err)
	}
	notOpen(open(t, client, there, birth))
	index := storage.GetOperation("open/running")
	if err := client.Batch(t.Context(), index); err != nil || index.Value != nil {
		t.Errorf("the index holds %q, %v", index.Value, err)
	}
	l := open(t, store(), here, birth)
	if diff := cmp.Diff([]string{"running"}, stale(l, 0)); diff != "" {
		t.Error(diff)
	}
	l = open(t, store(), there, birth)
	if n, err := l.Prune(t.Context(), birth.Add(time.Hour), 0); n != 1 || err != nil {
		t.Errorf("%d removed, %v", n, err)
	}
}

// An entry of the index without a record goes when somebody looks.
func TestIndexWithoutARecord(t *testing.T) {
	store := disk(t)
	client := store()
	open(t, client, here, birth)
	if err := client.Batch(t.Context(), storage.SetOperation("open/t", []byte("\x01"+`{"seen":0,"news":1}`))); err != nil {
		t.Fatal(err)
	}
	l := open(t, client, here, birth)
	if diff := cmp.Diff([]string{"t"}, stale(l, 0)); diff != "" {
		t.Fatal(diff)
	}
	end(t, l, begin(t, l))
	for _, l := range []*ledger.Ledger{l, open(t, store(), here, birth)} {
		if got := stale(l, 0); got != nil {
			t.Errorf("stale: %v", got)
		}
	}
}

// A verdict that waits is listed when it has waited long, and nothing else is. Pruning leaves it.
func TestWaitingVerdictsAreNotPruned(t *testing.T) {
	store := disk(t)
	l := open(t, store(), here, birth)
	wait := func(id string) {
		t.Helper()
		entries, err := l.Begin(t.Context(), []ledger.Claim{{TraceID: id}})
		if err != nil {
			t.Fatal(err)
		}
		entries[0].Job.Take(reduce.Score{ID: id, RunKey: id})
		end(t, l, entries[0])
	}
	put(t, l, "running", ledger.Run{Experiment: "1@5", ID: "1"})
	put(t, l, "ended", ledger.Run{Experiment: "1@5", ID: "2", Done: true})
	wait("waits")
	wait("running")
	after := birth.Add(time.Hour)
	for range 2 {
		if _, err := l.Prune(t.Context(), after, 0); err != nil {
			t.Fatal(err)
		}
		if s := l.Stats(); s.Records != 2 {
			t.Errorf("stats %+v", s)
		}
		if got := l.Waiting(after, 10, nil); len(got) != 1 || got[0].TraceID != "waits" {
			t.Errorf("waiting: %v", got)
		}
		if got := l.Waiting(birth, 10, nil); len(got) != 0 {
			t.Errorf("waiting at once: %v", got)
		}
		l = open(t, store(), here, after)
	}
}

// meeting is a storage in which something else happens while a record is written.
type meeting struct {
	ledger.Memory
	meanwhile func()
}

func (m *meeting) Batch(ctx context.Context, ops ...*storage.Operation) error {
	record := slices.ContainsFunc(ops, func(op *storage.Operation) bool { return op.Type == storage.Set && op.Key == "job/a" })
	if meanwhile := m.meanwhile; record && meanwhile != nil {
		m.meanwhile = nil
		meanwhile()
	}
	return m.Memory.Batch(ctx, ops...)
}

// What the ledger says of itself is not overwritten by what it said before: not by a record that is
// written with uptime, while an experiment is counted.
func TestHeadIsNotOverwrittenByAnOlderOne(t *testing.T) {
	store := &meeting{}
	l := open(t, store, here, birth)
	if err := l.AddUptime(t.Context(), time.Hour); err != nil { // kept until there is a record
		t.Fatal(err)
	}
	counted := make(chan error, 1)
	store.meanwhile = func() {
		done := make(chan struct{})
		go func() { counted <- l.AddExperiment(t.Context()); close(done) }()
		select {
		case <-done:
		case <-time.After(100 * time.Millisecond): // it waits for the record
		}
	}
	put(t, l, "a", ledger.Run{Experiment: "1@5", ID: "1"})
	if err := <-counted; err != nil {
		t.Fatal(err)
	}
	for _, l := range []*ledger.Ledger{l, open(t, store, here, birth)} {
		if n := l.Experiments(); n != 1 {
			t.Errorf("%d experiments, want 1", n)
		}
		if got := stale(l, time.Hour); got != nil {
			t.Errorf("the record is stale at once: %v", got)
		}
	}
}
