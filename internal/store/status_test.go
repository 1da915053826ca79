package store

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

func TestStatusTellsWhatTheDatabaseHolds(t *testing.T) {
	path := newDatabase(t)
	s := open(t, path, WithClock(func() time.Time { return start }))
	empty, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Status{}, empty); diff != "" {
		t.Errorf("a new database: %s", diff)
	}
	done := runJob(t, s)
	ingest(t, s, "9.9", "https://a.test/")
	exec(t, s, `DELETE FROM outbox`)
	for i, body := range []string{"12", "1", "123"} {
		_, err := s.db.ExecContext(t.Context(), `INSERT INTO outbox (job_id, kind, created_at, body, size) VALUES (1, 'a', ?, ?, 9)`, 5+i, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
	}
	link := telemetry.Link{Endpoint: "http://127.0.0.1:4317", Since: start, Problem: "connection refused"}
	ids := rowIDs(t, s)
	if err := errors.Join(s.MarkSent(t.Context(), ids[1:2], start), s.Refuse(t.Context(), ids[2], "too odd", start), s.NoteLink(t.Context(), link)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Status{
		Pending: 1, Final: 1, OldestOpen: got.OldestOpen,
		Unsent: Pile{1, 2, fromMicros(5)}, Sent: Pile{1, 1, fromMicros(6)}, Refused: Pile{1, 3, fromMicros(7)},
		LastSent: start.Truncate(time.Microsecond), LastRefusal: "too odd", Link: link,
	}
	if diff := cmp.Diff(want, got); diff != "" || got.OldestOpen.IsZero() || done.State != commentator.JobFinal {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// An outage that goes on began when it was met first, whoever meets it later: a short command beside the
// worker, or the worker's next start.
func TestAnOutageOfTheCollectorIsAsOldAsItsFirstNote(t *testing.T) {
	s := newStore(t)
	const here, there = "http://127.0.0.1:4317", "http://127.0.0.1:14317"
	hour := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour).Truncate(time.Second) }
	for i, tc := range []struct {
		note  telemetry.Link
		since time.Time
	}{
		{telemetry.Link{Endpoint: here, Since: hour(1), Problem: "connection refused"}, hour(1)},
		{telemetry.Link{Endpoint: here, Since: hour(2), Problem: "connection refused"}, hour(1)},
		{telemetry.Link{Endpoint: here, Since: hour(3), Problem: "it did not answer"}, hour(1)},
		{telemetry.Link{Endpoint: there, Since: hour(4), Problem: "connection refused"}, hour(4)},
		{telemetry.Link{Endpoint: here, Since: hour(5)}, hour(5)},
		{telemetry.Link{Endpoint: here, Since: hour(6), Problem: "connection refused"}, hour(6)},
		{telemetry.Link{Endpoint: here}, time.Time{}}, // it is over, though nothing is taken yet
		{telemetry.Link{Endpoint: here, Since: hour(8)}, hour(8)},
	} {
		if err := s.NoteLink(t.Context(), tc.note); err != nil {
			t.Fatal(err)
		}
		got, err := s.Status(t.Context())
		tc.note.Since = tc.since
		if diff := cmp.Diff(tc.note, got.Link); diff != "" || err != nil {
			t.Errorf("note %d: %v (-want +got)\n%s", i, err, diff)
		}
	}
}

// A process that begins with a message that is refused does not unsay that others are taken.
func TestARefusalLeavesThatTheCollectorTakesMessages(t *testing.T) {
	s := newStore(t)
	const here, there = "http://127.0.0.1:4317", "http://127.0.0.1:14317"
	up := telemetry.Link{Endpoint: here, Since: start.Truncate(time.Second)}
	for _, step := range []struct{ note, want telemetry.Link }{
		{up, up},
		{telemetry.Link{Endpoint: here}, up},
		{telemetry.Link{Endpoint: there}, telemetry.Link{Endpoint: there}},
	} {
		if err := s.NoteLink(t.Context(), step.note); err != nil {
			t.Fatal(err)
		}
		got, err := s.Status(t.Context())
		if diff := cmp.Diff(step.want, got.Link); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
}

// A short command that finds the same outage of a source of strategies changes neither since when nor what
// came last.
func TestTheStateOfTheRemoteSourceIsThatOfAllProcesses(t *testing.T) {
	s := newStore(t)
	const here, there = "http://127.0.0.1:5778/sampling", "http://127.0.0.1:15778/sampling"
	hour := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour).Truncate(time.Second) }
	for i, tc := range []struct{ note, want telemetry.RemoteState }{
		{telemetry.RemoteState{Endpoint: here, Since: hour(1), Says: "all", Revision: "1"}, telemetry.RemoteState{Endpoint: here, Since: hour(1), Says: "all", Revision: "1"}},
		{telemetry.RemoteState{Endpoint: here, Since: hour(2), Problem: "refused"}, telemetry.RemoteState{Endpoint: here, Since: hour(2), Problem: "refused", Says: "all", Revision: "1"}},
		{telemetry.RemoteState{Endpoint: here, Since: hour(3), Problem: "refused"}, telemetry.RemoteState{Endpoint: here, Since: hour(2), Problem: "refused", Says: "all", Revision: "1"}},
		{telemetry.RemoteState{Endpoint: there, Since: hour(4), Problem: "refused"}, telemetry.RemoteState{Endpoint: there, Since: hour(4), Problem: "refused"}},
		{telemetry.RemoteState{Endpoint: there, Since: hour(5), Says: "none", Revision: "2"}, telemetry.RemoteState{Endpoint: there, Since: hour(5), Says: "none", Revision: "2"}},
	} {
		if err := s.NoteRemote(t.Context(), tc.note); err != nil {
			t.Fatal(err)
		}
		got, err := s.Status(t.Context())
		if diff := cmp.Diff(tc.want, got.Remote); diff != "" || err != nil {
			t.Errorf("note %d: %v (-want +got)\n%s", i, err, diff)
		}
	}
}

func rowIDs(t *testing.T, s *Store) (ids []int64) {
	t.Helper()
	rows, err := s.Unsent(t.Context(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

// Losses add up over the processes that work on a database.
func TestLossesAreNotedForGood(t *testing.T) {
	path := newDatabase(t)
	for range 2 {
		s := open(t, path)
		s.counters.expired.Add(2)
		s.counters.tooLarge.Add(1)
		if err := s.noteLosses(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.counters.expired.Add(1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := open(t, path).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"expired": 6, "too_large": 2}, got.Losses); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
