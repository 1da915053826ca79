package reconcile

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
	"github.com/technoshare/commentator/test/dbtest"
)

// TestJobsAreRead from a database with the worker's own tables.
func TestJobsAreRead(t *testing.T) {
	dbtest.SQLiteOnly(t) // compare_test.go reads from both
	path := filepath.Join(t.TempDir(), "db.sqlite")
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	write := func(statement string, args ...any) {
		t.Helper()
		if _, err := s.DB().ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	created := time.UnixMicro(1795410122123456)
	write(`INSERT INTO messages (id, channel_id, message_ts, received_at) VALUES (1, 'C', '1', 1)`)
	write(`INSERT INTO jobs (id, message_id, state, outcome, detail, created_at, finished_at) VALUES (7, 1, 'final', 'error', 'full', ?, 2), (8, 1, 'pending', '', '', ?, NULL)`,
		created.UnixMicro(), created.UnixMicro())
	write(`INSERT INTO stages (job_id, stage, attempt, span_id, started_at, ended_at, error_type) VALUES (7, 'retrieval', 1, 'aa', 1, 2, 'http_500'), (7, 'retrieval', 2, 'bb', 3, 4, '')`)
	requests, _, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	for _, td := range requests {
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		if err != nil {
			t.Fatal(err)
		}
		write(`INSERT INTO outbox (job_id, kind, created_at, body, size) VALUES (7, 'x', 1, ?, ?)`, s2.Encode(nil, body), len(body))
	}

	var jobs []Job
	for j, err := range Jobs(t.Context(), path) {
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
	}
	if len(jobs) != 2 || jobs[0].ID != 7 || jobs[1].ID != 8 {
		t.Fatalf("jobs %+v; want 7 and 8", jobs)
	}
	trace, root := wire.JobIdentity(s.StoreID(), 7, created)
	j := jobs[0]
	if j.TraceID != trace.String() || j.RootID != root.String() || !j.Final() || j.Outcome != "error" || j.Detail != "full" {
		t.Errorf("job %+v", j)
	}
	if len(j.Stages) != 2 || j.Stages[0] != (Stage{"retrieval", 1, "aa", true}) || j.Stages[1] != (Stage{"retrieval", 2, "bb", false}) {
		t.Errorf("stages %+v", j.Stages)
	}
	want := 0
	for _, td := range requests {
		want += td.SpanCount()
	}
	if len(j.spans) != want || want == 0 {
		t.Errorf("%d spans; want %d", len(j.spans), want)
	}
	if jobs[1].Recorded() || len(jobs[1].runs()) != 0 {
		t.Errorf("a pending job has runs: %+v", jobs[1].runs())
	}
}

// TestJobsOfAForeignFile says what is wrong.
func TestJobsOfAForeignFile(t *testing.T) {
	for _, err := range Jobs(t.Context(), filepath.Join(t.TempDir(), "none.sqlite")) {
		if err == nil {
			t.Error("no error")
		}
		return
	}
	t.Error("nothing was said")
}

// TestJobsThatACopyBroughtAlong are looked for where the original recorded them.
func TestJobsThatACopyBroughtAlong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite")
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.DB().ExecContext(t.Context(), `
		INSERT INTO messages (id, channel_id, message_ts, received_at) VALUES (1, 'C', '1', 1);
		INSERT INTO jobs (id, message_id, state, outcome, created_at, finished_at) VALUES (1, 1, 'final', 'error', 1, 2), (2, 1, 'pending', '', 1, NULL)`); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	own, err := store.Rekey(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[int64]string{}
	for id, storeID := range map[int64]string{1: s.StoreID(), 2: own} {
		trace, _ := wire.JobIdentity(storeID, id, time.UnixMicro(1))
		want[id] = trace.String()
	}
	for j, err := range Jobs(t.Context(), path) {
		if err != nil {
			t.Fatal(err)
		}
		if j.TraceID != want[j.ID] {
			t.Errorf("job %d has the trace %s; want %s", j.ID, j.TraceID, want[j.ID])
		}
		delete(want, j.ID)
	}
	if len(want) > 0 {
		t.Errorf("jobs %v are missing", want)
	}
}
