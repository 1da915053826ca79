package store

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/test/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is the time of the first event in the tests. It is no whole microsecond.
var start = time.Date(2026, 11, 23, 12, 0, 0, 123_456_789, time.UTC)

// newDatabase is a SQLite file or a PostgreSQL database, see dbtest; dbPath is always a file.
func newDatabase(t *testing.T) string { return dbtest.New(t) }

func dbPath(t *testing.T) string { return filepath.Join(t.TempDir(), "db.sqlite") }

func open(t *testing.T, path string, opts ...Option) *Store {
	t.Helper()
	opts = append([]Option{WithClock(func() time.Time { return start }), lookForLosses(time.Hour)}, opts...)
	s, err := Open(t.Context(), path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// lookForLosses sets how often the background task does; a test that does it itself wants no other.
func lookForLosses(every time.Duration) Option { return func(s *Store) { s.lossEvery = every } }

func newStore(t *testing.T, opts ...Option) *Store { return open(t, newDatabase(t), opts...) }

func noQueue(context.Context, *sql.Tx, int64) error { return nil }

func testMessage(ts string) commentator.Message {
	return commentator.Message{
		Channel: "C1", TS: ts, ThreadTS: "1.0", User: "U1", Text: "see <https://Example.org:8080/a>",
		EventID: "Ev" + ts, ReceivedAt: start,
	}
}

func ingest(t *testing.T, s *Store, ts string, urls ...string) []commentator.Job {
	t.Helper()
	jobs, known, err := s.Ingest(t.Context(), testMessage(ts), urls, false, noQueue)
	if err != nil || known {
		t.Fatalf("ingest: known %v, %v", known, err)
	}
	return jobs
}

// newJob returns a job that has not started.
func newJob(t *testing.T, s *Store) commentator.Job {
	t.Helper()
	return ingest(t, s, time.Now().Format(time.StampNano), "https://example.org/")[0]
}

func full(commentator.Job, commentator.Message) commentator.Decision {
	return commentator.Decision{Detail: commentator.DetailFull, By: commentator.BySettings, Ratio: 1}
}

func body(kind, text string) telemetry.Message {
	return telemetry.Message{Kind: kind, Body: []byte(text), Size: 10 * len(text)}
}

func startedMessage(commentator.Job, commentator.Message) (telemetry.Message, error) {
	return body("job started", "started"), nil
}

func endedMessage(commentator.Job, commentator.Message, []commentator.StageRecord) (telemetry.Message, error) {
	return body("process jobs", "ended"), nil
}

func begin(t *testing.T, s *Store, id int64) Attempt {
	t.Helper()
	a, err := s.BeginAttempt(t.Context(), id, start, full, startedMessage)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func record(stage commentator.Stage) commentator.StageRecord {
	return commentator.StageRecord{
		Stage: stage, SpanID: "00f067aa0ba902b7", StartedAt: start.Truncate(time.Microsecond),
		EndedAt: start.Truncate(time.Microsecond).Add(time.Second), Result: []byte(`{"coverage":"full"}`),
		Analysis: commentator.Analysis{Model: "gpt-4o", Usage: commentator.Usage{Calls: 1, Input: 7}},
	}
}

func commit(t *testing.T, s *Store, j commentator.Job, stage commentator.Stage) {
	t.Helper()
	if err := s.CommitStage(t.Context(), j, record(stage), body(string(stage), "stage"), nil); err != nil {
		t.Fatal(err)
	}
}

func finish(t *testing.T, s *Store, j commentator.Job, o commentator.Outcome) commentator.Job {
	t.Helper()
	j, err := s.Finish(t.Context(), j, Ending{Outcome: o, At: start.Add(time.Minute)}, endedMessage, nil)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func kinds(t *testing.T, s *Store) []string {
	t.Helper()
	rows, err := s.Unsent(t.Context(), 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	kinds := []string{}
	for _, r := range rows {
		kinds = append(kinds, r.Kind)
	}
	return kinds
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// MarkSent and Refuse are what a relay does through its claim.
func (s *Store) MarkSent(ctx context.Context, ids []int64, at time.Time) error {
	return s.markSent(ctx, s.db, ids, at)
}

func (s *Store) Refuse(ctx context.Context, id int64, reason string, at time.Time) error {
	return s.refuse(ctx, s.db, id, reason, at)
}
