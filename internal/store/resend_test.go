package store

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// setAside fills the outbox with n jobs' messages and sets some of them aside, in that order.
func setAside(t *testing.T, s *Store, jobs int, ids ...int64) {
	t.Helper()
	for range jobs {
		runJob(t, s)
	}
	for i, id := range ids {
		if err := s.Refuse(t.Context(), id, "bad span", start.Add(time.Duration(i-len(ids))*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
}

func unsentIDs(t *testing.T, s *Store) (ids []int64) {
	t.Helper()
	rows, err := s.Unsent(t.Context(), 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestMessagesThatWereSetAsideAreListed(t *testing.T) {
	s := newStore(t)
	setAside(t, s, 2, 5, 2)
	all, err := s.SetAside(t.Context(), 0)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	want := SetAside{
		ID: 2, JobID: 1, Kind: "retrieval", Size: all[0].Size, CreatedAt: fromMicros(micros(start)),
		RefusedAt: fromMicros(micros(start.Add(-time.Second))), Reason: "bad span",
	}
	if all[0] != want || all[0].Size == 0 || all[1].ID != 5 {
		t.Errorf("listed %+v, want %+v first", all, want)
	}
	if newest, err := s.SetAside(t.Context(), 1); err != nil || len(newest) != 1 || newest[0].ID != 2 {
		t.Errorf("the newest: %+v, %v", newest, err)
	}
}

func TestResendLetsMessagesWaitAgain(t *testing.T) {
	s := newStore(t)
	setAside(t, s, 2, 2, 4, 5)
	if n, err := s.Resend(t.Context(), []int64{2, 5}); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	if ids := unsentIDs(t, s); !slices.Equal(ids, []int64{1, 2, 3, 5, 6}) {
		t.Errorf("unsent %v", ids)
	}
	// All of them, or none.
	for _, wrong := range []int64{1, 2, 99} {
		if _, err := s.Resend(t.Context(), []int64{4, wrong}); !errors.Is(err, ErrNotFound) {
			t.Errorf("message %d, which is not set aside: %v", wrong, err)
		}
	}
	if ids := unsentIDs(t, s); slices.Contains(ids, 4) {
		t.Errorf("unsent %v", ids)
	}
	// The Collector may refuse it once more.
	if err := s.Refuse(t.Context(), 2, "still bad", start); err != nil {
		t.Fatal(err)
	}
	if all, err := s.SetAside(t.Context(), 0); err != nil || len(all) != 2 || all[0].Reason != "still bad" {
		t.Errorf("set aside: %+v, %v", all, err)
	}
}

func TestResendAllTakesWhatWasSetAsideBefore(t *testing.T) {
	s := newStore(t)
	setAside(t, s, 20)
	for id := int64(1); id <= 3*resendBatch-10; id++ { // several transactions
		if err := s.Refuse(t.Context(), id, "bad span", start.Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	// One that is refused while it runs, as the relay may do with what it gets back.
	if err := s.Refuse(t.Context(), 60, "bad span", start.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.ResendAll(t.Context()); err != nil || n != 3*resendBatch-10 {
		t.Errorf("%d, %v", n, err)
	}
	if left, err := s.SetAside(t.Context(), 0); err != nil || len(left) != 1 || left[0].ID != 60 {
		t.Errorf("left: %+v, %v", left, err)
	}
	if n, err := s.ResendAll(t.Context()); err != nil || n != 0 {
		t.Errorf("once more: %d, %v", n, err)
	}
}
