package ledger_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// keysIn are the keys of a storage that begin so, without that.
func keysIn(t *testing.T, store *ledger.Memory, prefix string) (keys []string) {
	t.Helper()
	if err := store.Walk(t.Context(), func(key string, _ []byte) ([]*storage.Operation, error) {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			keys = append(keys, rest)
		}
		return nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

// A ledger in memory keeps so many jobs: what was used longest ago goes, of jobs that are over before
// those that are open, and is looked for in MLflow from then on.
func TestLedgerInMemoryIsBounded(t *testing.T) {
	store := &ledger.Memory{MaxRecords: 3}
	l := open(t, store, here, birth)
	ends := time.Now().Add(time.Hour) // after all that the clock of the ledger says
	add := func(id string, minute int, done bool) {
		t.Helper()
		put(t, l, id, ledger.Run{Experiment: "1@5", ID: id, Done: done, Version: reduce.Version{EndUnixNano: uint64(ends.Add(time.Duration(minute) * time.Minute).UnixNano())}})
	}
	holds := func(jobs, open []string, complete time.Time) {
		t.Helper()
		if diff := cmp.Diff([][]string{jobs, open}, [][]string{keysIn(t, store, "job/"), keysIn(t, store, "open/")}); diff != "" {
			t.Errorf("jobs and open ones (-want +got)\n%s", diff)
		}
		if s := l.Stats(); s.Records != len(jobs) || s.Open != len(open) || s.Bytes <= 0 {
			t.Errorf("%+v", s)
		}
		if !l.Complete(complete.UnixMilli()) || l.Complete(complete.UnixMilli()-1) {
			t.Errorf("it is not complete from %v on", complete)
		}
	}
	add("runs", 1, false)
	add("a", 2, true)
	add("b", 3, true)
	holds([]string{"a", "b", "runs"}, []string{"runs"}, birth)
	if _, err := l.Begin(t.Context(), []ledger.Claim{{TraceID: "a"}}); err != nil { // as a message that comes again
		t.Fatal(err)
	}
	add("c", 4, true)
	holds([]string{"a", "c", "runs"}, []string{"runs"}, ends.Add(3*time.Minute+time.Millisecond))
	entries, err := l.Begin(t.Context(), []ledger.Claim{{TraceID: "b"}})
	if err != nil || len(entries[0].Job.Runs) != 0 {
		t.Errorf("%v, %+v", err, entries[0].Job)
	}
	again := open(t, store, here, birth)
	if again.Complete(ends.UnixMilli()) {
		t.Error("opened anew, it claims to know what it removed")
	}

	// When all are open there is no other choice.
	for minute, id := range []string{"d", "e", "f"} {
		add(id, 5+minute, false)
	}
	holds([]string{"d", "e", "f"}, []string{"d", "e", "f"}, ends.Add(4*time.Minute+time.Millisecond))
	add("g", 8, false)
	holds([]string{"e", "f", "g"}, []string{"e", "f", "g"}, ends.Add(5*time.Minute+time.Millisecond))

	if n, err := l.Prune(t.Context(), ends.Add(24*time.Hour), 0); n != 0 || err != nil {
		t.Errorf("removed %d that run, %v", n, err)
	}
}

// Unless it is told otherwise a ledger in memory keeps 20,000 jobs at most, and of these nearly all.
func TestLedgerInMemoryKeepsThousands(t *testing.T) {
	l := open(t, &ledger.Memory{}, here, birth)
	for first := range 21 {
		putMany(t, l, first*1000, (first+1)*1000, ledger.Run{Experiment: "1@5", ID: "id", Done: true})
		if want := first*1000 + 1000; first < 20 && l.Stats().Records != want {
			t.Errorf("%d records, want %d", l.Stats().Records, want)
		}
	}
	if n := l.Stats().Records; n != 19_000 {
		t.Errorf("%d records are left", n)
	}
}

// No job that runs goes while enough that are over can go.
func TestLedgerInMemoryForgetsNoneThatRunsForThoseToCome(t *testing.T) {
	l := open(t, &ledger.Memory{MaxRecords: 200}, here, birth)
	putMany(t, l, 0, 195, ledger.Run{Experiment: "1@5", ID: "id"})
	putMany(t, l, 195, 201, ledger.Run{Experiment: "1@5", ID: "id", Done: true})
	if s := l.Stats(); s.Open != 195 || s.Records != 195 || s.Forgotten != 0 {
		t.Errorf("%+v", s)
	}
	putMany(t, l, 201, 207, ledger.Run{Experiment: "1@5", ID: "id"})
	if s := l.Stats(); s.Open != 199 || s.Records != 199 || s.Forgotten != 2 {
		t.Errorf("%+v", s)
	}
}

// A job that was forgotten while it ran is looked for whenever it says that it started, until there is a
// record again; the ids of as many are kept as there are records.
func TestJobsForgottenWhileTheyRanAreLookedFor(t *testing.T) {
	l := open(t, &ledger.Memory{MaxRecords: 2}, here, birth)
	runs := ledger.Run{Experiment: "1@5", ID: "id"}
	check := func(forgotten int, want map[string]bool) {
		t.Helper()
		for id, unsure := range want {
			entries, err := l.Begin(t.Context(), []ledger.Claim{{TraceID: id}})
			if err != nil {
				t.Fatal(err)
			}
			if entries[0].Open("any") != unsure {
				t.Errorf("%s may have runs that are not known: %v", id, !unsure)
			}
		}
		if n := l.Stats().Forgotten; n != forgotten {
			t.Errorf("%d are forgotten, want %d", n, forgotten)
		}
	}
	put(t, l, "over", ledger.Run{Experiment: "1@5", ID: "id", Done: true})
	for _, id := range []string{"a", "b", "c"} {
		put(t, l, id, runs)
	}
	check(1, map[string]bool{"a": true, "over": false, "never": false})
	put(t, l, "a", runs) // for b
	check(2, map[string]bool{"a": true, "b": true})
	put(t, l, "d", runs) // for c
	put(t, l, "e", runs) // for a
	check(4, map[string]bool{"a": true, "c": true, "never": false})
	put(t, l, "f", runs)
	check(5, map[string]bool{"d": true, "a": true})
}
