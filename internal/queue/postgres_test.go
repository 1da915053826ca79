package queue_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/test/dbtest"
)

func workers(t *testing.T, s *store.Store) int {
	t.Helper()
	n, err := queue.Workers(t.Context(), s.Reader())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A job of a host that is gone goes on at another one, but not before its time-out: it may have
// lost its connection only.
func TestAKilledJobOfAnotherHostGoesOnAfterItsTimeout(t *testing.T) {
	dbtest.PostgresOnly(t)
	const timeout = 3 * time.Second
	address := newDatabase(t)
	id := prepare(t, address)
	t.Setenv(childHost, "first")
	runChild(t, address, "worked stage_a")

	s := openStore(t, address)
	q := newQueue(t, s, queue.Config{Handler: steps(s, ""), OpenJobs: s.OpenJobs, Lost: conclude(s), Host: "second", HostTimeout: timeout})
	began := time.Now()
	start(t, q)
	eventually(t, "finished", func() bool {
		j, err := s.Job(t.Context(), id)
		return err == nil && j.State == commentator.JobFinal
	})
	if took := time.Since(began); took < timeout || took >= 30*time.Second { // the default
		t.Errorf("it went on after %v, want %v at least", took, timeout)
	}
	j, err := s.Job(t.Context(), id)
	if err != nil || j.Outcome != commentator.OutcomeSuccess || j.Kills != 1 || j.Attempt != 2 {
		t.Errorf("job %+v, %v", j, err)
	}
	if records, err := s.Stages(t.Context(), id); err != nil || len(records) != 5 || records[0].Attempt != 1 || records[1].Attempt != 2 {
		t.Errorf("stages %+v, %v", records, err)
	}
}

// Two hosts share the jobs; each job is worked on once, also one that takes longer than the
// time after which a host counts as gone.
func TestTwoHostsShareTheJobs(t *testing.T) {
	dbtest.PostgresOnly(t)
	address := newDatabase(t)
	var mu sync.Mutex
	worked := map[int64][]string{}
	busy, both := map[string]bool{}, make(chan struct{}) // closed: each host has had a job
	long := make(chan struct{})
	var longest int64
	stores, queues := map[string]*store.Store{}, map[string]*queue.Queue{}
	for _, host := range []string{"first", "second"} {
		s := openStore(t, address)
		complete := completing(s, make(chan int64, 1000))
		queues[host] = newQueue(t, s, queue.Config{
			Host: host, HostTimeout: time.Millisecond, Workers: 2,
			Handler: func(ctx context.Context, id int64, c func(*sql.Tx) error) error {
				mu.Lock()
				worked[id] = append(worked[id], host)
				wait := id == longest
				if !busy[host] {
					if busy[host] = true; len(busy) == 2 {
						close(both)
					}
				}
				mu.Unlock()
				select { // else the first host may have done all before the second one starts
				case <-both:
				case <-ctx.Done():
					return ctx.Err()
				}
				if wait {
					<-long
				}
				return complete(ctx, id, c)
			},
		})
		stores[host] = s
	}
	s := stores["first"]
	longest = ingest(t, s, queues["first"].Enqueue)
	ids := []int64{longest}
	for range 60 {
		ids = append(ids, ingest(t, s, queues["first"].Enqueue))
	}
	for _, q := range queues {
		start(t, q)
	}
	if n := workers(t, s); n != 2 {
		t.Errorf("%d workers, want 2", n)
	}
	finished := func(n int) func() bool {
		return func() bool { return strings.Count(states(t, s), "completed") == n }
	}
	eventually(t, "all but one", finished(len(ids)-1))
	time.Sleep(3 * time.Second) // in which the other host looks for jobs that are nobody's, and has to find none
	close(long)
	eventually(t, "all", finished(len(ids)))
	share := map[string]int{}
	for _, id := range ids {
		if len(worked[id]) != 1 {
			t.Errorf("job %d was worked on by %v", id, worked[id])
		}
		share[worked[id][0]]++
	}
	if share["first"] == 0 || share["second"] == 0 {
		t.Errorf("the jobs were shared as %v", share)
	}
	stop(t, queues["second"])
	if n := workers(t, s); n != 1 {
		t.Errorf("%d workers after one has stopped, want 1", n)
	}
}

// A process that has stopped is gone: nobody counts it any more, nor waits for it.
func TestAProcessThatHasStoppedIsGoneAtOnce(t *testing.T) {
	dbtest.PostgresOnly(t)
	s := openStore(t, newDatabase(t))
	for range 10 { // the server takes its time to notice a connection that is closed, sometimes
		for _, alone := range []bool{false, true} {
			q := newQueue(t, s, queue.Config{Handler: completing(s, nil), Alone: alone, LockWait: time.Nanosecond})
			start(t, q)
			stop(t, q)
			if n := workers(t, s); n != 0 {
				t.Fatalf("%d workers, want none", n)
			}
		}
	}
}

// A process that has lost its connection to the server is present again at once.
func TestAProcessIsPresentAgainAfterItsConnectionWasLost(t *testing.T) {
	dbtest.PostgresOnly(t)
	s := openStore(t, newDatabase(t))
	calls := make(chan int64, 1)
	q := newQueue(t, s, queue.Config{Handler: completing(s, calls)})
	start(t, q)
	var lost []int64
	rows, err := s.DB().Query(`SELECT pid, pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'
		AND objsubid = 2 AND classid::bigint = hashtext('commentator/worker/' || current_schema())::bigint & 4294967295`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var pid int64
		var done bool
		if err := rows.Scan(&pid, &done); err != nil || !done {
			t.Fatal(done, err)
		}
		lost = append(lost, pid)
	}
	if err := rows.Err(); err != nil || len(lost) != 1 {
		t.Fatalf("connections %v were closed, %v", lost, err)
	}
	eventually(t, "gone", func() bool {
		var there bool
		err := s.Reader().QueryRow(`SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1)`, lost[0]).Scan(&there)
		return err == nil && !there
	})
	eventually(t, "present", func() bool { return workers(t, s) == 1 })
	id := ingest(t, s, q.Enqueue)
	if got := receive(t, calls); got != id {
		t.Errorf("worked on %d, want %d", got, id)
	}
}

// Who works alone is refused beside others, and refuses them.
func TestAlone(t *testing.T) {
	dbtest.PostgresOnly(t)
	address := newDatabase(t)
	s := openStore(t, address)
	serve := func(alone bool, wait time.Duration) *queue.Queue {
		return newQueue(t, s, queue.Config{Handler: completing(s, make(chan int64, 10)), Alone: alone, LockWait: wait})
	}
	other := serve(false, 0)
	start(t, other)
	err := serve(true, 20*time.Millisecond).Start(t.Context())
	if !errors.Is(err, queue.ErrLocked) || !strings.Contains(err.Error(), "replay --enqueue") || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("beside another one: %v", err)
	}
	alone := serve(true, patience)
	started := make(chan error)
	go func() { started <- alone.Start(t.Context()) }()
	stop(t, other)
	if err := receive(t, started); err != nil {
		t.Fatalf("after the other one: %v", err)
	}
	if err := serve(false, 20*time.Millisecond).Start(t.Context()); !errors.Is(err, queue.ErrLocked) {
		t.Errorf("beside one that works alone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(false, patience).Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A job is taken as soon as it is committed: the queue is told of it.
func TestPostgresTellsOfNewJobs(t *testing.T) {
	dbtest.PostgresOnly(t)
	s := openStore(t, newDatabase(t))
	calls := make(chan int64, 1)
	q := newQueue(t, s, queue.Config{Handler: completing(s, calls)}.PollEvery(time.Hour)) // it does not look by itself
	start(t, q)
	for range 20 {
		id := ingest(t, s, q.Enqueue)
		if got := receive(t, calls); got != id {
			t.Errorf("worked on %d, want %d", got, id)
		}
	}
}
