package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

var (
	birth = time.UnixMilli(1000)
	here  = ledger.Scope{Endpoint: "http://here"}
)

// disk gives a function that opens the same storage on disk, as after a restart.
func disk(t *testing.T) func() storage.Client { return diskWith(t, true) }

// quickDisk is disk without waiting for the device.
func quickDisk(t *testing.T) func() storage.Client { return diskWith(t, false) }

func diskWith(t *testing.T, fsync bool) func() storage.Client {
	t.Helper()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory, cfg.FSync = t.TempDir(), fsync
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := ext.Start(t.Context(), componenttest.NewNopHost()); err != nil {
		t.Fatal(err)
	}
	var last storage.Client
	t.Cleanup(func() {
		_ = last.Close(context.Background())
		_ = ext.Shutdown(context.Background())
	})
	return func() storage.Client {
		if last != nil {
			if err := last.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		last, err = ext.(storage.Extension).GetClient(t.Context(), component.KindExporter, component.MustNewID("mlflow"), "ledger")
		if err != nil {
			t.Fatal(err)
		}
		return last
	}
}

func open(t *testing.T, store ledger.Storage, scope ledger.Scope, now time.Time) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), store, scope, now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func begin(t *testing.T, l *ledger.Ledger, keys ...string) *ledger.Entry {
	t.Helper()
	c := ledger.Claim{TraceID: "t"}
	for _, k := range keys {
		c.Runs = append(c.Runs, ledger.RunClaim{Key: k, Experiment: "1@5"})
	}
	entries, err := l.Begin(t.Context(), []ledger.Claim{c})
	if err != nil {
		t.Fatal(err)
	}
	return entries[0]
}

func end(t *testing.T, l *ledger.Ledger, e *ledger.Entry) {
	t.Helper()
	if err := l.End(t.Context(), []*ledger.Entry{e}); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsOutliveARestart(t *testing.T) {
	store := disk(t)
	l := open(t, store(), here, birth)
	e := begin(t, l, "a")
	*e.Job.Run("a") = ledger.Run{Experiment: "1@5", ID: "id", Version: reduce.Version{EndUnixNano: 1 << 63, Hash: "h"}, Done: true}
	spans := ledger.Spans{{1}: {End: 2, Hash: 1 << 63}, {3}: {End: 4}}
	e.Job.Trace = &ledger.Trace{Experiment: "1@5", Spans: spans}
	e.Job.Run("never made")
	end(t, l, e)

	l = open(t, store(), here, birth.Add(time.Hour))
	if !l.Complete(1000) || l.Complete(999) {
		t.Error("the birth was forgotten")
	}
	e = begin(t, l, "a", "b")
	r := e.Job.Runs["a"]
	if r == nil || r.ID != "id" || !r.Done || r.Version.EndUnixNano != 1<<63 || len(e.Job.Runs) != 1 {
		t.Errorf("got %+v", e.Job)
	}
	if got := e.Job.Trace.Spans[pcommon.SpanID{1}]; got != spans[pcommon.SpanID{1}] || len(e.Job.Trace.Spans) != 2 {
		t.Errorf("got %v", e.Job.Trace.Spans)
	}
	if e.Open("a") || e.Open("b") {
		t.Error("intents that were taken back are open")
	}
}

func TestIntentWithoutEndIsOpenAfterwards(t *testing.T) {
	store := disk(t)
	l := open(t, store(), here, birth)
	begin(t, l, "killed", "lost")

	l = open(t, store(), here, birth)
	e := begin(t, l, "other") // another message of the same trace comes first
	if e.Open("other") {
		t.Error("nobody tried this one")
	}
	end(t, l, e)
	e = begin(t, l, "killed", "lost")
	if !e.Open("killed") || !e.Open("lost") {
		t.Error("an intent without end was forgotten")
	}
	e.SetOpen("killed", false)
	end(t, l, e)

	l = open(t, store(), here, birth)
	if e = begin(t, l, "killed", "lost"); e.Open("killed") || !e.Open("lost") {
		t.Errorf("killed %v, lost %v", e.Open("killed"), e.Open("lost"))
	}
}

func TestRunInAnotherDatabaseNeedsAnIntent(t *testing.T) {
	store := disk(t)
	l := open(t, store(), here, birth)
	e := begin(t, l, "a")
	*e.Job.Run("a") = ledger.Run{Experiment: "1@4", ID: "id"}
	end(t, l, e)
	e = begin(t, l, "a")
	e.SetOpen("a", true)
	if !e.Open("a") {
		t.Error("no intent for a run of a database that is gone")
	}
}

func TestOtherServerBeginsAnew(t *testing.T) {
	store := disk(t)
	l := open(t, store(), here, birth)
	e := begin(t, l, "a")
	*e.Job.Run("a") = ledger.Run{Experiment: "1@5", ID: "id"}
	end(t, l, e)
	for _, scope := range []ledger.Scope{{Endpoint: "http://there"}, {Endpoint: "http://here", Workspace: "w"}} {
		l = open(t, store(), scope, birth.Add(time.Second))
		if l.Complete(1999) || !l.Complete(2000) {
			t.Errorf("%v: the birth is of another server", scope)
		}
		if e = begin(t, l, "a"); len(e.Job.Runs) != 0 {
			t.Errorf("%v: got %+v", scope, e.Job)
		}
	}
}

// A ledger has a name of its own, which outlives restarts and another server.
func TestOwnerIsKept(t *testing.T) {
	store := disk(t)
	first, err := open(t, store(), here, birth).Owner(t.Context())
	if err != nil || first == "" {
		t.Fatalf("got %q, %v", first, err)
	}
	for _, scope := range []ledger.Scope{here, {Endpoint: "http://there"}} {
		if again, err := open(t, store(), scope, birth).Owner(t.Context()); again != first || err != nil {
			t.Errorf("%v: got %q, want %q, %v", scope, again, first, err)
		}
	}
	if other, err := open(t, disk(t)(), here, birth).Owner(t.Context()); other == first || err != nil {
		t.Errorf("two ledgers have the name %q, %v", other, err)
	}
}

func TestUnreadableRecordIsUnknown(t *testing.T) {
	client := disk(t)()
	l := open(t, client, here, birth)
	for _, value := range []string{"", "\x02{}", "\x01{"} {
		if err := client.Set(t.Context(), "job/t", []byte(value)); err != nil {
			t.Fatal(err)
		}
		if e := begin(t, l, "a"); len(e.Job.Runs) != 0 || !e.Open("a") {
			t.Errorf("%q: got %+v, and no reason to look for the run", value, e.Job)
		}
		l = open(t, client, here, birth)
	}
}

func TestPrunedRecordsAreLookedForInMLflow(t *testing.T) {
	store := disk(t)
	l := open(t, store(), here, birth)
	for i, id := range []string{"old", "new", "running"} {
		entries, err := l.Begin(t.Context(), []ledger.Claim{{TraceID: id}})
		if err != nil {
			t.Fatal(err)
		}
		*entries[0].Job.Run(id) = ledger.Run{Experiment: "1@5", ID: id}
		if i < 2 {
			entries[0].Job.Run(id).Done = true
			entries[0].Job.Run(id).Version = reduce.Version{EndUnixNano: uint64(birth.Add(time.Duration(i+1) * time.Hour).UnixNano())}
		}
		end(t, l, entries[0])
	}
	before := birth.Add(90 * time.Minute)
	if n, err := l.Prune(t.Context(), before, 0); n != 1 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	for range 2 {
		if l.Complete(before.UnixMilli()-1) || !l.Complete(before.UnixMilli()) {
			t.Error("the ledger claims to know what was pruned")
		}
		for id, known := range map[string]bool{"old": false, "new": true, "running": true} {
			entries, err := l.Begin(t.Context(), []ledger.Claim{{TraceID: id}})
			if err != nil || (len(entries[0].Job.Runs) == 1) != known {
				t.Errorf("%s: got %+v, %v", id, entries[0].Job, err)
			}
		}
		l = open(t, store(), here, before)
	}
}

// A clock that was far ahead for a while, when the ledger began or when it was pruned, does not leave it
// too young for what starts now, once it is pruned again. A clock that is behind when it is opened does
// not make it older than it is.
func TestLedgerOfAClockThatWasAhead(t *testing.T) {
	ahead := birth.AddDate(10, 0, 0)
	isBornAt := func(l *ledger.Ledger, at time.Time) {
		t.Helper()
		if !l.Complete(at.UnixMilli()) || l.Complete(at.UnixMilli()-1) {
			t.Errorf("the ledger is not born at %v", at)
		}
	}
	store := disk(t)
	isBornAt(open(t, store(), here, ahead), ahead)
	later := birth.Add(time.Hour)
	for _, now := range []time.Time{birth, later} {
		isBornAt(open(t, store(), here, now), ahead)
	}
	l := open(t, store(), here, later)
	if _, err := l.Prune(t.Context(), later, time.Hour+time.Minute); err != nil {
		t.Fatal(err)
	}
	isBornAt(l, later)
	for _, now := range []time.Time{ahead, later} {
		if _, err := l.Prune(t.Context(), now, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range []*ledger.Ledger{l, open(t, store(), here, later)} {
		isBornAt(l, later)
	}
}

func TestFailedStorage(t *testing.T) {
	broken := errors.New("disk full")
	if _, err := ledger.Open(t.Context(), failing{broken}, here, birth); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Batch(context.Context, ...*storage.Operation) error { return f.err }
