package store

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
)

func imported() Import {
	m := testMessage("1767600000.000100")
	m.ID, m.EventID, m.ReceivedAt = 7, "", fromMicros(micros(start))
	done := commentator.Job{
		ID: 5, MessageID: 7, URL: "https://Example.org:8080/a", State: commentator.JobFinal, Outcome: commentator.OutcomeError, Detail: commentator.DetailOff,
		Attempt: 3, ErrorType: "old", ErrorMessage: "why", CreatedAt: m.ReceivedAt, StartedAt: m.ReceivedAt, FinishedAt: m.ReceivedAt,
	}
	waits := commentator.Job{ID: 9, MessageID: 7, RetryOf: 5, State: commentator.JobPending, CreatedAt: m.ReceivedAt}
	return Import{
		Messages: []commentator.Message{m}, Jobs: []ImportedJob{{Job: done, LinkKey: "example.org/a"}, {Job: waits}},
		LastMessageID: 20, LastJobID: 30, Seen: map[string]string{"C1": m.TS}, Note: "a note",
	}
}

func importIt(in Import) func(Contents) (Import, error) {
	return func(Contents) (Import, error) { return in, nil }
}

func TestImportKeepsIDsAndEnqueuesWhatIsNotFinal(t *testing.T) {
	s := newStore(t)
	var ids []int64
	enqueue := func(_ context.Context, tx *sql.Tx, id int64) error {
		ids = append(ids, id)
		return tx.QueryRowContext(t.Context(), `SELECT id FROM jobs WHERE id = 9`).Scan(&id) // it is in the same transaction
	}
	in := imported()
	if err := s.Import(t.Context(), importIt(in), enqueue); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{9}, ids); diff != "" {
		t.Errorf("enqueued: %s", diff)
	}
	held, err := s.Contents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Contents{Messages: in.Messages, Note: []byte(`"a note"`), LastMessageID: 20, LastJobID: 30}
	for _, j := range in.Jobs {
		j.StoreID, j.Domain = s.StoreID(), domain(j.URL)
		want.Jobs = append(want.Jobs, HeldJob{Job: j.Job})
	}
	if diff := cmp.Diff(want, held); diff != "" {
		t.Error(diff)
	}
	var key, seen string
	if err := s.Reader().QueryRow(`SELECT link_key, (SELECT seen_ts FROM channels WHERE channel_id = 'C1') FROM jobs WHERE id = 5`).Scan(&key, &seen); err != nil {
		t.Fatal(err)
	}
	if key != "example.org/a" || seen != in.Messages[0].TS {
		t.Errorf("link key %q, channel seen until %q", key, seen)
	}
	if j := ingest(t, s, "1767700000.000100", "https://example.org/")[0]; j.ID != 31 || j.MessageID != 21 {
		t.Errorf("the next job is %d of message %d, want 31 of 21", j.ID, j.MessageID)
	}
}

func TestImportEndsJobsThatNobodyBegan(t *testing.T) {
	s := newStore(t)
	in := imported()
	if err := s.Import(t.Context(), importIt(in), noQueue); err != nil {
		t.Fatal(err)
	}
	end := in.Jobs[1].Job
	end.State, end.Outcome, end.Detail = commentator.JobFinal, commentator.OutcomeSuccess, commentator.DetailOff
	end.StartedAt, end.FinishedAt = end.CreatedAt, end.CreatedAt
	ended := Import{Ended: []commentator.Job{end}}
	if err := s.Import(t.Context(), importIt(ended), noQueue); err != nil {
		t.Fatal(err)
	}
	if j, err := s.Job(t.Context(), 9); err != nil || j.Outcome != commentator.OutcomeSuccess {
		t.Errorf("job %+v, %v", j, err)
	}
	if _, err := s.BeginAttempt(t.Context(), 9, start, full, startedMessage); !errors.Is(err, ErrFinal) {
		t.Errorf("an attempt at it: %v", err)
	}
	// One that is final already has been worked on here.
	if err := s.Import(t.Context(), importIt(ended), noQueue); !errors.Is(err, ErrFenced) {
		t.Errorf("error %v", err)
	}
}

func TestImportIsWholeOrIsNot(t *testing.T) {
	for name, spoil := range map[string]func(*Import){
		"a job without its message": func(in *Import) { in.Jobs[1].MessageID = 1000 },
		"an id twice":               func(in *Import) { in.Jobs[1].ID = 5 },
		"a job that is not there":   func(in *Import) { in.Ended = []commentator.Job{{ID: 1000, State: commentator.JobFinal}} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			in := imported()
			spoil(&in)
			if err := s.Import(t.Context(), importIt(in), noQueue); err == nil {
				t.Fatal("it was taken")
			}
			held, err := s.Contents(t.Context())
			if err != nil || len(held.Messages)+len(held.Jobs) > 0 || held.Note != nil || held.LastJobID != 0 {
				t.Errorf("left: %+v, %v", held, err)
			}
		})
	}
}
