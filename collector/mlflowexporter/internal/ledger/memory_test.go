package ledger_test

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
)

// In memory as on disk, what fell out of the cache is known, a restart of the ledger changes nothing,
// and pruning gives the memory back.
func TestEveryStorageRemembersMoreThanTheCache(t *testing.T) {
	for name, store := range map[string]storage.Client{"memory": &ledger.Memory{}, "disk": quickDisk(t)()} {
		t.Run(name, func(t *testing.T) {
			l := open(t, store, here, birth)
			run := func(end time.Duration) ledger.Run {
				return ledger.Run{Experiment: "1@5", ID: "id", Done: true, Version: reduce.Version{EndUnixNano: uint64(birth.Add(end).UnixNano())}}
			}
			put(t, l, "a", run(0))
			const others = 2*2048 + 1
			for first := 0; first < others; first += 100 {
				putMany(t, l, first, min(first+100, others), run(time.Hour))
			}
			for _, l := range []*ledger.Ledger{l, open(t, store, here, birth)} {
				entries, err := l.Begin(t.Context(), []ledger.Claim{{TraceID: "a", Runs: []ledger.RunClaim{{Key: "a", Experiment: "1@5"}}}})
				if err != nil {
					t.Fatal(err)
				}
				if r := entries[0].Job.Runs["a"]; r == nil || r.ID != "id" {
					t.Errorf("the ledger claims to be complete, %v, and knows %+v", l.Complete(birth.UnixMilli()), entries[0].Job)
				}
				end(t, l, entries[0])
				if s := l.Stats(); s.Records != others+1 {
					t.Errorf("stats %+v", s)
				}
			}
			if n, err := l.Prune(t.Context(), time.Now().Add(time.Hour), 0); n != others+1 || err != nil {
				t.Errorf("removed %d, %v", n, err)
			}
			left := 0
			if err := store.(storage.Walker).Walk(t.Context(), func(string, []byte) ([]*storage.Operation, error) { left++; return nil, nil }); err != nil || left != 1 {
				t.Errorf("%d values are left, %v", left, err)
			}
		})
	}
}
