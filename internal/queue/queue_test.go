package queue_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/test/dbtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childPath) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for something that takes some milliseconds.
const patience = time.Minute

// newDatabase is a SQLite file or a PostgreSQL database, see dbtest.
func newDatabase(t *testing.T) string { return dbtest.New(t) }

// Expressions of the two databases.
func now() string {
	if dbtest.Postgres() {
		return `now()`
	}
	return `datetime('now')`
}

func nowAnd(interval string) string {
	if dbtest.Postgres() {
		return `now() + interval '` + interval + `'`
	}
	return `datetime('now', '` + interval + `')`
}

func jobID() string {
	if dbtest.Postgres() {
		return `(args ->> 'job_id')::bigint`
	}
	return `json_extract(args, '$.job_id')`
}

func execSQL(t *testing.T, s *store.Store, statements string) {
	t.Helper()
	if _, err := s.DB().Exec(statements); err != nil {
		t.Fatal(err)
	}
}

func openStore(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), path)
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

func newQueue(t *testing.T, s *store.Store, cfg queue.Config) *queue.Queue {
	t.Helper()
	cfg.DB, cfg.Reader, cfg.LockPath, cfg.Address = s.DB(), s.Reader(), s.LockPath(), s.Address()
	q, err := queue.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, q) })
	return q
}

func start(t *testing.T, q *queue.Queue) {
	t.Helper()
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// stop cancels what runs at once.
func stop(t *testing.T, q *queue.Queue) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := q.Stop(ctx); err != nil {
		t.Error(err)
	}
}

var ingested int

func ingest(t *testing.T, s *store.Store, enqueue func(context.Context, *sql.Tx, int64) error) int64 {
	t.Helper()
	ingested++
	m := commentator.Message{Channel: "C1", TS: fmt.Sprint(ingested), ReceivedAt: time.Now()}
	jobs, _, err := s.Ingest(t.Context(), m, []string{"https://example.org/"}, false, enqueue)
	if err != nil {
		t.Fatal(err)
	}
	return jobs[0].ID
}

func noQueue(context.Context, *sql.Tx, int64) error { return nil }

// completing returns a handler that reports what it is called for and completes it.
func completing(s *store.Store, calls chan<- int64) queue.Handler {
	return func(ctx context.Context, id int64, complete func(*sql.Tx) error) error {
		tx, err := s.DB().BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := complete(tx); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		calls <- id
		return nil
	}
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing happened")
		panic("unreachable")
	}
}

// eventually asks until the answer is yes: for what another process or River's
// goroutines do, which give no signal.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never %s", what)
		}
	}
}

func states(t *testing.T, s *store.Store) string {
	t.Helper()
	rows, err := s.Reader().Query(`SELECT ` + jobID() + `, state FROM river_job ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id int64
		var state string
		if err := rows.Scan(&id, &state); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(id, " ", state))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, ", ")
}

func depth(t *testing.T, q *queue.Queue) queue.Depth {
	t.Helper()
	d, err := q.Depth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAJobIsWorkedOnWhenItsTransactionCommits(t *testing.T) {
	s := openStore(t, newDatabase(t))
	calls := make(chan int64, 10)
	q := newQueue(t, s, queue.Config{Handler: completing(s, calls)})
	start(t, q)

	broken := errors.New("broken")
	_, _, err := s.Ingest(t.Context(), commentator.Message{Channel: "C", TS: "1", ReceivedAt: time.Now()}, nil, false,
		func(ctx context.Context, tx *sql.Tx, id int64) error {
			return errors.Join(q.Enqueue(ctx, tx, id), broken)
		})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	id := ingest(t, s, q.Enqueue)
	if got := receive(t, calls); got != id {
		t.Errorf("worked on %d, want %d", got, id)
	}
	if got, want := states(t, s), fmt.Sprintf("%d completed", id); got != want {
		t.Errorf("queue holds %q, want %q", got, want)
	}
	if d := depth(t, q); d != (queue.Depth{}) {
		t.Errorf("depth %+v", d)
	}
}

func TestAFailedJobIsTriedAgainAfterItsBackoff(t *testing.T) {
	s := openStore(t, newDatabase(t))
	calls := make(chan int64, 10)
	var mu sync.Mutex
	var tries []time.Time
	complete := completing(s, calls)
	q := newQueue(t, s, queue.Config{
		Backoff: []time.Duration{30 * time.Millisecond, 60 * time.Millisecond},
		Handler: func(ctx context.Context, id int64, c func(*sql.Tx) error) error {
			mu.Lock()
			tries = append(tries, time.Now())
			n := len(tries)
			mu.Unlock()
			if n < 4 {
				return errors.New("broken")
			}
			return complete(ctx, id, c)
		},
	})
	ingest(t, s, q.Enqueue)
	start(t, q)
	receive(t, calls)
	const first, second = 30 * time.Millisecond, 60 * time.Millisecond
	for i, least := range []time.Duration{first, second, second} {
		if wait := tries[i+1].Sub(tries[i]); wait < least {
			t.Errorf("retry %d after %v, want at least %v", i+1, wait, least)
		}
	}
}

// Whoever asks to be asked later says when; the pauses of the queue may be much shorter.
func TestAJobThatIsPutOffWaitsForWhatIsAskedFor(t *testing.T) {
	s := openStore(t, newDatabase(t))
	tried := make(chan int64, 10)
	later := map[int64]time.Duration{}
	q := newQueue(t, s, queue.Config{
		Backoff: []time.Duration{5 * time.Minute},
		Handler: func(_ context.Context, id int64, _ func(*sql.Tx) error) error {
			defer func() { tried <- id }()
			return fmt.Errorf("put off: %w", &commentator.Error{Code: "limited", Later: true, After: later[id]})
		},
	})
	tests := []struct {
		after       time.Duration
		least, most string
	}{
		{8 * time.Minute, "+5 minutes", "+8 minutes"},
		{time.Hour, "+8 minutes", "+10 minutes"},
		{time.Second, "+1 minutes", "+5 minutes"},
	}
	var ids []int64
	for _, tt := range tests {
		id := ingest(t, s, q.Enqueue)
		ids = append(ids, id)
		later[id] = tt.after
	}
	start(t, q)
	for range tests {
		receive(t, tried)
	}
	for i, tt := range tests {
		within := fmt.Sprintf(`SELECT count(*) FROM river_job WHERE %s = %d AND scheduled_at > %s AND scheduled_at <= %s`,
			jobID(), ids[i], nowAnd(tt.least), nowAnd(tt.most))
		eventually(t, fmt.Sprintf("put off by what lies between %s and %s", tt.least, tt.most), func() bool {
			var n int
			if err := s.Reader().QueryRowContext(t.Context(), within).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n == 1
		})
	}
}

func TestPatienceIsWhatTheRetriesTakeAndNoLongerThanAJobIsPutOff(t *testing.T) {
	for want, schedule := range map[time.Duration][]time.Duration{
		15 * time.Second: queue.ReplayBackoff,
		10 * time.Minute: queue.ServeBackoff,
		0:                nil,
	} {
		if got := queue.Patience(schedule); got != want {
			t.Errorf("Patience(%v) = %v, want %v", schedule, got, want)
		}
	}
}

func TestOneProcessWorksAndOthersMayEnqueue(t *testing.T) {
	dbtest.SQLiteOnly(t)
	path := newDatabase(t)
	s1 := openStore(t, path)
	calls := make(chan int64, 10)
	serve := newQueue(t, s1, queue.Config{Handler: completing(s1, calls)})
	start(t, serve)

	s2 := openStore(t, path)
	other := newQueue(t, s2, queue.Config{Handler: completing(s2, calls), LockWait: 20 * time.Millisecond})
	err := other.Start(t.Context())
	if !errors.Is(err, queue.ErrLocked) {
		t.Fatalf("error %v", err)
	}
	for _, part := range []string{fmt.Sprintf("process %d", os.Getpid()), "replay --enqueue", "DB_PATH"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	id := ingest(t, s2, other.Enqueue)
	if got := receive(t, calls); got != id {
		t.Errorf("worked on %d, want %d", got, id)
	}

	stop(t, serve)
	start(t, other)
	id = ingest(t, s1, serve.Enqueue)
	if got := receive(t, calls); got != id {
		t.Errorf("worked on %d, want %d", got, id)
	}
}

func TestStartWaitsForAProcessThatEnds(t *testing.T) {
	dbtest.SQLiteOnly(t)
	path := newDatabase(t)
	s1, s2 := openStore(t, path), openStore(t, path)
	first := newQueue(t, s1, queue.Config{Handler: completing(s1, nil)})
	second := newQueue(t, s2, queue.Config{Handler: completing(s2, nil), LockWait: patience})
	start(t, first)
	started := make(chan error)
	go func() { started <- second.Start(t.Context()) }()
	stop(t, first)
	if err := receive(t, started); err != nil {
		t.Error(err)
	}

	third := newQueue(t, s1, queue.Config{Handler: completing(s1, nil), LockWait: patience})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := third.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestAnInterruptedJobGoesOnAtTheNextStart(t *testing.T) {
	s := openStore(t, newDatabase(t))
	running := make(chan int64, 1)
	q := newQueue(t, s, queue.Config{Handler: func(ctx context.Context, id int64, _ func(*sql.Tx) error) error {
		running <- id
		<-ctx.Done()
		return ctx.Err()
	}})
	id := ingest(t, s, q.Enqueue)
	start(t, q)
	receive(t, running)
	if d := depth(t, q); d.Running != 1 || d.Waiting != 0 {
		t.Errorf("depth %+v", d)
	}
	stop(t, q)
	if got, want := states(t, s), fmt.Sprintf("%d available", id); got != want {
		t.Errorf("queue holds %q, want %q", got, want)
	}
	var errorsKept sql.NullString
	kept := `json(errors)`
	if dbtest.Postgres() {
		kept = `array_to_json(errors)`
	}
	if err := s.Reader().QueryRow(`SELECT ` + kept + ` FROM river_job`).Scan(&errorsKept); err != nil || errorsKept.Valid {
		t.Errorf("the stop counts as a failure: %q, %v", errorsKept.String, err)
	}

	calls := make(chan int64, 1)
	again := newQueue(t, s, queue.Config{Handler: completing(s, calls)})
	start(t, again)
	if got := receive(t, calls); got != id {
		t.Errorf("worked on %d, want %d", got, id)
	}
}

func TestStopLetsRunningJobsEnd(t *testing.T) {
	s := openStore(t, newDatabase(t))
	running, goOn := make(chan int64, 1), make(chan struct{})
	calls := make(chan int64, 1)
	complete := completing(s, calls)
	q := newQueue(t, s, queue.Config{Handler: func(ctx context.Context, id int64, c func(*sql.Tx) error) error {
		running <- id
		<-goOn
		return complete(ctx, id, c)
	}})
	ingest(t, s, q.Enqueue)
	start(t, q)
	receive(t, running)
	stopped := make(chan error)
	go func() { stopped <- q.Stop(context.Background()) }()
	close(goOn)
	if err := receive(t, stopped); err != nil {
		t.Error(err)
	}
	receive(t, calls)
}

// A job whose end is written when its time is over, or the queue stops, is completed like any other.
func TestAJobIsCompletedThoughItsContextHasEnded(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"too slow": 50 * time.Millisecond, "stopped": time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, newDatabase(t))
			running, calls := make(chan int64, 1), make(chan int64, 1)
			complete := completing(s, calls)
			q := newQueue(t, s, queue.Config{JobTimeout: timeout, Handler: func(ctx context.Context, id int64, c func(*sql.Tx) error) error {
				running <- id
				<-ctx.Done()
				return complete(context.WithoutCancel(ctx), id, c)
			}})
			id := ingest(t, s, q.Enqueue)
			start(t, q)
			receive(t, running)
			if name == "stopped" {
				stop(t, q)
			}
			receive(t, calls)
			if got, want := states(t, s), fmt.Sprintf("%d completed", id); got != want {
				t.Errorf("queue holds %q, want %q", got, want)
			}
		})
	}
}

func TestDepthSaysHowLongTheOldestJobHasWaited(t *testing.T) {
	s := openStore(t, newDatabase(t))
	q := newQueue(t, s, queue.Config{})
	if d := depth(t, q); d != (queue.Depth{}) {
		t.Errorf("empty queue: %+v", d)
	}
	before := time.Now().Add(-time.Millisecond)
	for range 3 {
		ingest(t, s, q.Enqueue)
	}
	execSQL(t, s, `UPDATE river_job SET state = 'retryable', scheduled_at = `+nowAnd("1 hour")+` WHERE id = 1`)
	d := depth(t, q)
	if d.Waiting != 3 || d.Running != 0 || d.Oldest.Before(before) || d.Oldest.After(time.Now()) {
		t.Errorf("depth %+v, want 3 that wait since %v", d, before)
	}
	if err := q.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "no handler") {
		t.Errorf("a queue without handler started: %v", err)
	}
}

func TestManyProcessesMayPrepareTheQueueAtOnce(t *testing.T) {
	path := newDatabase(t)
	var stores []*store.Store
	for range 6 {
		stores = append(stores, openStore(t, path))
	}
	var wg sync.WaitGroup
	for _, s := range stores {
		wg.Go(func() {
			q, err := queue.New(t.Context(), queue.Config{DB: s.DB(), LockPath: s.LockPath(), Address: s.Address()})
			if err == nil {
				err = q.Stop(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// Whoever works a quiet job off knows that it is one, also after a restart.
func TestAQuietJobStaysQuiet(t *testing.T) {
	s := openStore(t, newDatabase(t))
	heard := make(chan bool, 2)
	q := newQueue(t, s, queue.Config{Handler: func(ctx context.Context, _ int64, _ func(*sql.Tx) error) error {
		heard <- queue.Quiet(ctx)
		<-ctx.Done()
		return ctx.Err()
	}})
	ingest(t, s, q.EnqueueQuiet)
	start(t, q)
	if !receive(t, heard) {
		t.Error("the first handler does not know")
	}
	stop(t, q)
	again := newQueue(t, s, queue.Config{Handler: func(ctx context.Context, _ int64, complete func(*sql.Tx) error) error {
		heard <- queue.Quiet(ctx)
		return completing(s, make(chan int64, 1))(ctx, 0, complete)
	}})
	start(t, again)
	if !receive(t, heard) {
		t.Error("the second handler does not know")
	}
	ingest(t, s, again.Enqueue)
	if receive(t, heard) {
		t.Error("a job is quiet that is not")
	}
}
