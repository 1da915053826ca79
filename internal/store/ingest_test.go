package store

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
)

func TestIngestMakesOneJobForEachLink(t *testing.T) {
	s := newStore(t)
	var enqueued []int64
	jobs, known, err := s.Ingest(t.Context(), testMessage("1.1"), []string{"https://Example.org:8080/a", "http://b.test", "::"}, false,
		func(_ context.Context, _ *sql.Tx, id int64) error { enqueued = append(enqueued, id); return nil })
	if err != nil || known {
		t.Fatalf("known %v, %v", known, err)
	}
	at := start.Truncate(time.Microsecond)
	want := []commentator.Job{
		{ID: 1, StoreID: s.StoreID(), MessageID: 1, URL: "https://Example.org:8080/a", Domain: "example.org", State: commentator.JobPending, CreatedAt: at},
		{ID: 2, StoreID: s.StoreID(), MessageID: 1, URL: "http://b.test", Domain: "b.test", State: commentator.JobPending, CreatedAt: at},
		{ID: 3, StoreID: s.StoreID(), MessageID: 1, URL: "::", State: commentator.JobPending, CreatedAt: at},
	}
	if diff := cmp.Diff(want, jobs); diff != "" {
		t.Error(diff)
	}
	read, err := s.jobsOfMessage(t.Context(), s.reader, 1)
	if diff := cmp.Diff(jobs, read); diff != "" || err != nil {
		t.Error("read back:", diff, err)
	}
	if diff := cmp.Diff([]int64{1, 2, 3}, enqueued); diff != "" {
		t.Error("enqueued:", diff)
	}
	m, err := s.MessageByTS(t.Context(), "C1", "1.1")
	wantMessage := testMessage("1.1")
	wantMessage.ID, wantMessage.ReceivedAt = 1, at
	if diff := cmp.Diff(wantMessage, m); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestIngestMakesOneJobForAMessageWithoutLinks(t *testing.T) {
	s := newStore(t)
	if jobs := ingest(t, s, "1.1"); len(jobs) != 1 || jobs[0].URL != "" || jobs[0].Domain != "" {
		t.Errorf("jobs %+v", jobs)
	}
}

func TestIngestKnowsAMessageByTimestampAndByEvent(t *testing.T) {
	s := newStore(t)
	first := ingest(t, s, "1.1", "https://a.test/", "https://b.test/")
	sameTS := testMessage("1.1")
	sameTS.EventID = "EvOther" // Slack sends a mention as two events
	sameEvent := testMessage("9.9")
	sameEvent.EventID = "Ev1.1"
	for name, m := range map[string]commentator.Message{"same": testMessage("1.1"), "same ts": sameTS, "same event": sameEvent} {
		jobs, known, err := s.Ingest(t.Context(), m, []string{"https://new.test/"}, false,
			func(context.Context, *sql.Tx, int64) error { return errors.New("must not be called") })
		if err != nil || !known {
			t.Fatalf("%s: known %v, %v", name, known, err)
		}
		if diff := cmp.Diff(first, jobs); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	noEvent := testMessage("2.2")
	noEvent.EventID = ""
	other := testMessage("3.3")
	other.EventID = ""
	for _, m := range []commentator.Message{noEvent, other} {
		if _, known, err := s.Ingest(t.Context(), m, nil, false, noQueue); known || err != nil {
			t.Errorf("a message without event id: known %v, %v", known, err)
		}
	}
}

func TestIngestAgainMakesNewJobsThatPointToTheEarlierOnes(t *testing.T) {
	s := newStore(t)
	first := ingest(t, s, "1.1", "https://a.test/", "https://b.test/")
	var last []commentator.Job
	for range 2 {
		m := testMessage("1.1")
		m.ReceivedAt = start.Add(time.Hour)
		jobs, known, err := s.Ingest(t.Context(), m, []string{"https://b.test/", "https://c.test/"}, true, noQueue)
		if err != nil || !known || len(jobs) != 2 {
			t.Fatalf("known %v, %d jobs, %v", known, len(jobs), err)
		}
		last = jobs
	}
	if last[0].ID != 5 || last[0].RetryOf != 3 || last[0].MessageID != first[0].MessageID || !last[0].CreatedAt.Equal(start.Add(time.Hour).Truncate(time.Microsecond)) {
		t.Errorf("job %+v", last[0])
	}
	if again, _, _ := s.Ingest(t.Context(), testMessage("1.1"), nil, false, noQueue); len(again) != 6 {
		t.Errorf("%d jobs in all, want 6", len(again))
	}
}

func TestIngestLeavesNothingWhenTheQueueRefuses(t *testing.T) {
	s := newStore(t)
	full := errors.New("queue full")
	n := 0
	_, _, err := s.Ingest(t.Context(), testMessage("1.1"), []string{"https://a.test/", "https://b.test/"}, false,
		func(context.Context, *sql.Tx, int64) error {
			if n++; n == 2 {
				return full
			}
			return nil
		})
	wantErr(t, err, full)
	_, err = s.MessageByTS(t.Context(), "C1", "1.1")
	wantErr(t, err, ErrNotFound)
	if open, err := s.OpenJobs(t.Context()); len(open) != 0 || err != nil {
		t.Errorf("jobs %v, %v", open, err)
	}
}
