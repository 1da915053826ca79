package queue_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/queue"
)

// logged is a log that the queue writes and the test reads.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

// with returns the lines with a text.
func (l *logged) with(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.out.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestStopNamesTheJobsThatItHandsBack(t *testing.T) {
	s, log := openStore(t, newDatabase(t)), &logged{}
	running := make(chan int64, 2)
	q := newQueue(t, s, queue.Config{Logger: log.logger(), Handler: func(ctx context.Context, id int64, _ func(*sql.Tx) error) error {
		running <- id
		<-ctx.Done()
		return ctx.Err()
	}})
	first, second := ingest(t, s, q.Enqueue), ingest(t, s, q.Enqueue)
	start(t, q)
	receive(t, running)
	receive(t, running)
	stop(t, q)
	want := fmt.Sprintf(`jobs=2 ids="[%d %d]"`, first, second)
	if lines := log.with("handed back"); len(lines) != 1 || !strings.Contains(lines[0], "level=INFO") || !strings.Contains(lines[0], want) {
		t.Errorf("logged %q, want one line with %s", lines, want)
	}
}

func TestStopSaysNothingOfJobsThatEndInTime(t *testing.T) {
	s, log := openStore(t, newDatabase(t)), &logged{}
	calls := make(chan int64, 1)
	q := newQueue(t, s, queue.Config{Logger: log.logger(), Handler: completing(s, calls)})
	ingest(t, s, q.Enqueue)
	start(t, q)
	receive(t, calls)
	if err := q.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lines := log.with("handed back"); len(lines) > 0 {
		t.Errorf("logged %q", lines)
	}
}

// River asks for jobs all the time. While that fails its log has one line, not one for each time.
func TestWhatFailsAllTheTimeIsLoggedOnce(t *testing.T) {
	s, log := openStore(t, newDatabase(t)), &logged{}
	calls := make(chan int64, 1)
	q := newQueue(t, s, queue.Config{Logger: log.logger(), Handler: completing(s, calls)}.PollEvery(10*time.Millisecond))
	start(t, q)
	execSQL(t, s, `ALTER TABLE river_job RENAME TO river_job_away`)
	deadline := time.Now().Add(patience)
	for len(log.with("Error fetching jobs")) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("River does not complain")
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond) // tens of times
	execSQL(t, s, `ALTER TABLE river_job_away RENAME TO river_job`)
	ingest(t, s, q.Enqueue)
	receive(t, calls)
	stop(t, q)
	first, sum := 0, 0
	for _, line := range log.with("Error fetching jobs") {
		if strings.Contains(line, "repeated: ") {
			sum++
		} else {
			first++
		}
	}
	if first != 1 || sum > 1 {
		t.Errorf("%d lines and %d that sum up:\n%s", first, sum, strings.Join(log.with(""), ""))
	}
}
