package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/test/dbtest"
)

// logged is a log that background tasks write and the test reads.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

// take returns the lines with a text, and forgets all.
func (l *logged) take(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.out.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	l.out.Reset()
	return found
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// A full outbox says that it gives up messages when that begins, once an hour with how many, and at the end.
func TestAFullOutboxSaysThatItGivesUpMessages(t *testing.T) {
	const size = 100
	now, log := start, &logged{}
	s, err := Open(t.Context(), newDatabase(t), WithClock(func() time.Time { return now }), WithLogger(log.logger()), WithOutboxLimit(2*size), lookForLosses(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	job := newJob(t, s)
	add := func(n int) {
		t.Helper()
		enqueue(t, s, job.ID, n, size)
	}
	tend := func(want int) {
		t.Helper()
		now = now.Add(time.Minute)
		s.tendLosses(t.Context(), s.log)
		wantGivenUp(t, log, want)
	}
	add(2)
	tend(0)
	add(3)
	wantGivenUp(t, log, 0) // not for each job
	tend(3)
	for range 59 {
		add(1)
		tend(0)
	}
	add(1)
	tend(60)
	for range 28 { // with pauses it is still the same
		tend(0)
		add(1)
		tend(0)
	}
	for range 3 {
		tend(0)
	}
	tend(28)
	for range 60 {
		tend(0)
	}
	add(2) // it begins anew
	tend(2)
	add(4)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantGivenUp(t, log, 4)
}

// enqueue puts n messages of size bytes into the outbox, each in a transaction of its own.
func enqueue(t *testing.T, s *Store, job int64, n, size int) {
	t.Helper()
	for range n {
		err := s.write(t.Context(), func(tx *writeTx) error {
			return s.enqueueMessage(t.Context(), tx, job, func() (telemetry.Message, error) {
				return telemetry.Message{Kind: "x", Body: make([]byte, size), Size: size}, nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// losses are those that are noted in the database.
func losses(t *testing.T, s *Store) map[string]int64 {
	t.Helper()
	status, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status.Losses
}

// A worker that is killed has noted what a full outbox gave up: the count goes with the messages. What
// was noted before stays, and nothing is counted twice.
func TestMessagesThatAFullOutboxGivesUpAreNotedWithTheirEnd(t *testing.T) {
	dbtest.SQLiteOnly(t)
	s := newStore(t, WithOutboxLimit(200))
	job := newJob(t, s)
	broken := errors.New("broken")
	for i, step := range []struct {
		do   func() error
		want map[string]int64
	}{
		{func() error { enqueue(t, s, job.ID, 2, 100); return nil }, nil},
		{func() error { enqueue(t, s, job.ID, 3, 100); return nil }, map[string]int64{"evicted": 3}},
		{func() error { return s.noteLosses(t.Context()) }, map[string]int64{"evicted": 3}},
		{func() error { enqueue(t, s, job.ID, 1, 300); return s.noteLosses(t.Context()) }, map[string]int64{"evicted": 3, "too_large": 1}},
		{func() error { enqueue(t, s, job.ID, 1, 200); return nil }, map[string]int64{"evicted": 5, "too_large": 1}},
		{func() error { // what is rolled back gives nothing up
			err := s.write(t.Context(), func(tx *writeTx) error {
				return errors.Join(evict(t.Context(), tx, 100), broken)
			})
			if errors.Is(err, broken) {
				return nil
			}
			return err
		}, map[string]int64{"evicted": 5, "too_large": 1}},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, losses(t, s)); diff != "" {
			t.Errorf("after step %d (-want +got)\n%s", i, diff)
		}
	}
}

// Nobody waits for the minute in which old messages are removed.
func TestLossesAreSaidAndNotedSoon(t *testing.T) {
	log := &logged{}
	s := newStore(t, WithLogger(log.logger()), WithOutboxLimit(200), lookForLosses(time.Millisecond))
	enqueue(t, s, newJob(t, s).ID, 1, 300)
	enqueue(t, s, newJob(t, s).ID, 4, 100)
	said := false
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		said = said || len(log.take("the outbox is full")) > 0
		noted := losses(t, s)
		if said && noted["evicted"] == 2 && noted["too_large"] == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("said %t, noted %v", said, noted)
		}
	}
}

// wantGivenUp expects one line that says how many messages are given up, none with 0.
func wantGivenUp(t *testing.T, log *logged, messages int) {
	t.Helper()
	lines := log.take("the outbox is full")
	if messages == 0 && len(lines) == 0 {
		return
	}
	want := fmt.Sprintf("messages=%d max_bytes=200\n", messages)
	if len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "OUTBOX_MAX_BYTES") || !strings.HasSuffix(lines[0], want) {
		t.Errorf("logged %q, want one line with %q", lines, want)
	}
}

// What is written to a file that was removed, or that another one stands in for, is lost.
func TestAFileThatIsNoLongerInItsPlaceIsNoticed(t *testing.T) {
	log, path := &logged{}, dbPath(t)
	s := open(t, path, WithLogger(log.logger()))
	said := func(text string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // the task looks each second
			if lines := log.take(text); len(lines) > 0 {
				if len(lines) > 1 {
					t.Errorf("said %q", lines)
				}
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("nobody said %q", text)
			}
		}
	}
	well := func(want string) {
		t.Helper()
		err := s.Writable(t.Context())
		if want == "" && err == nil {
			return
		}
		if want == "" || err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "start it again") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	well("")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	said("was removed")
	well("was removed")
	other := dbPath(t)
	another, err := Open(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	if err := another.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	well("was replaced")
	if err := os.Rename(path+".old", path); err != nil {
		t.Fatal(err)
	}
	said("in its place again")
	well("")
	if j := runJob(t, s); j.State != commentator.JobFinal {
		t.Errorf("job %+v", j)
	}
}
