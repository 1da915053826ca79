// Package queue decides when a job is tried: River on the job database's write handle.
//
// River only carries the id of a job. What the job is, what has been done of it and how
// often it failed is in the job database, whose owner gives the Handler; River's own
// limit of attempts is never reached. All of River's types stay inside this package.
package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// Handler works on a job.
//
// It calls complete in the transaction that makes the job final, and then returns nil,
// which it also does for a job that it finds final already: the queue then forgets it.
// Any error means that the job is to be tried again after the next back-off, or at once
// after the next start when ctx was cancelled because the queue stops. Errors are not
// logged here. A try that finds its job owned by a newer one returns an error too: the
// queue must not forget what that one may still need.
type Handler func(ctx context.Context, jobID int64, complete func(tx *sql.Tx) error) error

// Fate says why the queue will not try a job that is not final.
type Fate string

// The fates.
const (
	FateMissing   Fate = "missing"   // the queue holds nothing of the job
	FateCompleted Fate = "completed" // the handler was done with it and left it open
	FateCancelled Fate = "cancelled" // somebody cancelled it in the queue
	FateDiscarded Fate = "discarded" // the queue gave up
)

// Back-off schedules: the wait after the first failure, after the second, and so on;
// the last one is repeated.
var (
	ServeBackoff  = []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
	ReplayBackoff = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}
)

// Config configures a Queue.
type Config struct {
	// DB is the job database's write handle. It must have one connection that everybody
	// shares: writers with connections of their own starve River.
	DB *sql.DB
	// Reader reads what Depth needs. Default DB.
	Reader *sql.DB
	// LockPath is the file that the working process locks, beside the database.
	LockPath string
	// LockWait is how long Start waits for a process that is about to end. Default 3 s.
	LockWait time.Duration

	// Handler works on jobs. Without one the queue can be filled and read but not started.
	Handler Handler
	// OpenJobs returns the ids of the jobs that are not final, and Lost makes one of them
	// final that the queue will never try. Both are called at Start and each minute.
	// Without OpenJobs there is no such sweep.
	OpenJobs func(ctx context.Context) ([]int64, error)
	Lost     func(ctx context.Context, jobID int64, fate Fate) error

	// Workers is how many jobs run at a time. Default 4.
	Workers int
	// Backoff is the schedule of retries. Default ServeBackoff.
	Backoff []time.Duration
	// JobTimeout ends the context of one try. Default 10 min. A try that runs a minute
	// longer is believed dead, and the job is tried again.
	JobTimeout time.Duration
	// SweepEvery is the interval between two sweeps. Default 1 min.
	SweepEvery time.Duration

	// Logger gets River's warnings and errors. Default: nothing is logged.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Reader == nil {
		c.Reader = c.DB
	}
	if c.LockWait == 0 {
		c.LockWait = 3 * time.Second
	}
	if c.Workers == 0 {
		c.Workers = 4
	}
	if c.Backoff == nil {
		c.Backoff = ServeBackoff
	}
	if c.JobTimeout == 0 {
		c.JobTimeout = 10 * time.Minute
	}
	if c.SweepEvery == 0 {
		c.SweepEvery = time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

const (
	jobKind = "job" // frozen: it is in databases

	// River would give up after so many attempts; MaxFailures and MaxKills of the job
	// database end a job long before.
	riverMaxAttempts = 1000

	fetchCooldown = 10 * time.Millisecond // River's 100 ms would cap the rate at 10 jobs/s per worker
	cancelGrace   = 10 * time.Second      // how long cancelled handlers may take to return
)

// jobArgs is what River stores of a job.
type jobArgs struct {
	JobID int64 `json:"job_id"`
}

func (jobArgs) Kind() string { return jobKind }

// Queue is the job queue of one database.
type Queue struct {
	cfg    Config
	client *river.Client[*sql.Tx]
	worker *worker
	lock   *flock.Flock

	stopSweeps context.CancelFunc
	sweeps     sync.WaitGroup
}

// New prepares the queue's tables and returns a queue that can be filled.
func New(ctx context.Context, cfg Config) (*Queue, error) {
	cfg = cfg.withDefaults()
	log := slog.New(warnings{cfg.Logger.Handler()})
	driver := riversqlite.New(cfg.DB)
	if err := migrate(ctx, cfg.DB, driver, log); err != nil {
		return nil, fmt.Errorf("prepare queue tables: %w", err)
	}
	w := &worker{handle: cfg.Handler}
	rc := &river.Config{
		Logger:               log,
		MaxAttempts:          riverMaxAttempts,
		FetchCooldown:        fetchCooldown,
		JobTimeout:           cfg.JobTimeout,
		RescueStuckJobsAfter: cfg.JobTimeout + time.Minute,
		RetryPolicy:          backoff(cfg.Backoff),
	}
	if cfg.Handler != nil {
		rc.Workers = river.NewWorkers()
		river.AddWorker(rc.Workers, w)
		rc.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: cfg.Workers}}
	}
	client, err := river.NewClient(driver, rc)
	if err != nil {
		return nil, fmt.Errorf("make queue client: %w", err)
	}
	return &Queue{cfg: cfg, client: client, worker: w, lock: flock.New(cfg.LockPath, flock.SetPermissions(0o600))}, nil
}

// migrate brings River's tables up to date, in one transaction that holds the write lock
// from its start: River alone would let two processes create the tables at once.
func migrate(ctx context.Context, db *sql.DB, driver *riversqlite.Driver, log *slog.Logger) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: log})
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	//nolint:staticcheck // deprecated because PostgreSQL cannot batch some migrations; SQLite can
	if _, err := m.MigrateTx(ctx, tx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	return tx.Commit()
}

// Enqueue puts a job into the queue as part of a transaction. Any process may do so
// while another one works the jobs off; that one notices within a tenth of a second.
func (q *Queue) Enqueue(ctx context.Context, tx *sql.Tx, jobID int64) error {
	if _, err := q.client.InsertTx(ctx, tx, jobArgs{JobID: jobID}, nil); err != nil {
		return fmt.Errorf("enqueue job: %w", err)
	}
	return nil
}

// ErrLocked: another process works the jobs of this database off.
var ErrLocked = errors.New("another commentator process works on this database")

// Start begins to work jobs off. Jobs that ran when their process was killed go on at
// once. One process at a time may do so, because it has to know that jobs which look
// like running are nobody's: Start returns ErrLocked when there is another one that
// does not end within LockWait.
//
// ctx bounds the start only; Stop ends the work.
func (q *Queue) Start(ctx context.Context) error {
	if q.cfg.Handler == nil {
		return errors.New("start queue: it has no handler")
	}
	if err := q.acquire(ctx); err != nil {
		return fmt.Errorf("start queue: %w", err)
	}
	if err := q.start(ctx); err != nil {
		return fmt.Errorf("start queue: %w", errors.Join(err, q.lock.Unlock()))
	}
	return nil
}

func (q *Queue) start(ctx context.Context) error {
	if err := q.repair(ctx); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	if err := q.sweep(ctx); err != nil {
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	if err := q.client.Start(context.WithoutCancel(ctx)); err != nil {
		stop()
		return err
	}
	q.stopSweeps = stop
	q.sweeps.Go(func() { q.runSweeps(background) })
	return nil
}

// Stop ends the work: no job is begun any more; when ctx ends, the contexts of those
// that still run are cancelled. It returns when all handlers have returned, or with an
// error when they don't.
func (q *Queue) Stop(ctx context.Context) error {
	if q.stopSweeps == nil {
		return nil // never started
	}
	q.stopSweeps()
	q.sweeps.Wait()
	err := q.client.Stop(ctx)
	if err != nil {
		hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelGrace)
		defer cancel()
		err = q.client.StopAndCancel(hard)
	}
	q.stopSweeps = nil
	if err := errors.Join(err, q.lock.Unlock()); err != nil {
		return fmt.Errorf("stop queue: %w", err)
	}
	return nil
}

// Depth is how much the queue holds at one moment.
type Depth struct {
	Waiting int       // jobs that wait for a worker or for their back-off
	Running int       // jobs that are worked on
	Oldest  time.Time // since when the first of those that could run has waited; zero when none does
}

// Depth reads how much the queue holds.
func (q *Queue) Depth(ctx context.Context) (Depth, error) {
	var d Depth
	var oldest sql.NullFloat64
	err := q.cfg.Reader.QueryRowContext(ctx, `
		SELECT count(*) FILTER (WHERE state <> 'running'), count(*) FILTER (WHERE state = 'running'),
			min(unixepoch(scheduled_at, 'subsec')) FILTER (WHERE state <> 'running' AND unixepoch(scheduled_at, 'subsec') <= unixepoch('subsec'))
		FROM river_job WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled')`).
		Scan(&d.Waiting, &d.Running, &oldest)
	if err != nil {
		return Depth{}, fmt.Errorf("measure queue: %w", err)
	}
	if oldest.Valid {
		d.Oldest = time.UnixMilli(int64(oldest.Float64 * 1000)).UTC()
	}
	return d, nil
}
