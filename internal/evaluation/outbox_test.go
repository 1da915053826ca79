package evaluation_test

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/telemetry/outboxtest"
)

func TestOutboxKeepsItsPromises(t *testing.T) {
	outboxtest.Contract(t, func(t *testing.T) (telemetry.Outbox, func(telemetry.Message, time.Time)) {
		s := openStore(t, filepath.Join(t.TempDir(), "eval.sqlite"))
		t.Cleanup(func() { closeStore(t, s) })
		return s, messages(t, s)
	})
}

// What is corrected meanwhile is sent by the next evaluation; within one a refused message is let alone.
func TestRefusedMessagesWaitAgainForTheNextEvaluation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "eval.sqlite")
	s := openStore(t, path)
	put := messages(t, s)
	for _, kind := range []string{"a", "b"} {
		put(telemetry.Message{Kind: kind, Body: []byte(kind), Size: 1}, outboxtest.Start)
	}
	c, err := s.Claim(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range c.Rows() {
		if err := c.Refuse(t.Context(), row.ID, "because of "+row.Kind, outboxtest.Start.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if n, reason, err := s.Refused(t.Context()); n != 2 || reason != "because of b" || err != nil {
		t.Errorf("refused %d, the last %q, %v", n, reason, err)
	}
	waits(t, s, 0)

	looking, err := evaluation.LookAtStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	waits(t, looking, 0) // who only looks changes nothing
	closeStore(t, looking)
	closeStore(t, s)

	s = openStore(t, path)
	defer closeStore(t, s)
	waits(t, s, 2)
	if n, reason, err := s.Refused(t.Context()); n != 0 || reason != "" || err != nil {
		t.Errorf("refused %d, the last %q, %v", n, reason, err)
	}
}

func waits(t *testing.T, s *evaluation.Store, want int) {
	t.Helper()
	if rows, _, _, err := s.Depth(t.Context()); rows != want || err != nil {
		t.Errorf("%d messages wait, %v; want %d", rows, err, want)
	}
}

func openStore(t *testing.T, path string) *evaluation.Store {
	t.Helper()
	s, err := evaluation.OpenStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t *testing.T, s *evaluation.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// messages puts messages into the outbox as evaluations that end.
func messages(t *testing.T, s *evaluation.Store) func(telemetry.Message, time.Time) {
	n := 0
	return func(m telemetry.Message, at time.Time) {
		t.Helper()
		n++
		if err := s.Finish(context.Background(), "e"+strconv.Itoa(n), nil, m, at); err != nil {
			t.Fatal(err)
		}
	}
}
