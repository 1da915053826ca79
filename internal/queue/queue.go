// Package queue decides when a job is tried: River on the job database's write handle, be it a
// SQLite file or PostgreSQL.
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

	"github.com/riverqueue/river"

	"github.com/technoshare/commentator/internal/repeats"
)

// Handler works on a job.
//
// It calls complete in the transaction that makes the job final, and then returns nil,
// which it also does for a job that it finds final already: the queue then forgets it.
// Any error means that the job is to be tried again after the next back-off, or after what
// commentator.After says of it if that is longer, or at once after the next start when ctx
// was cancelled because the queue stops. Errors are not logged here. A try that finds its job
// owned by a newer one returns an error too: the queue must not forget what that one may
// still need.
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

// Patience is how long the retries of a schedule go on, and no longer than a job waits at most for
// somebody who wants to be asked later.
func Patience(schedule []time.Duration) (sum time.Duration) {
	for _, wait := range schedule {
		sum += wait
	}
	return min(sum, longestWait)
}

// Config configures a Queue.
type Config struct {
	// DB is the job database's write handle. That of a SQLite file must have one connection
	// that everybody shares: writers with connections of their own starve River.
	DB *sql.DB
	// Reader reads what Depth needs. Default DB.
	Reader *sql.DB
	// LockPath is the file that the working process locks, beside a SQLite file.
	LockPath string
	// Address is that of the PostgreSQL database that DB is of, which any number of processes
	// work on; it has to ask for tcp_keepalives, or a host that vanished is missed late. Empty:
	// it is a SQLite file.
	Address string
	// Alone refuses to work beside other processes on a PostgreSQL database, and keeps others
	// from beginning to. On a SQLite file a process always works alone.
	Alone bool
	// LockWait is how long Start waits for a process that is about to end. Default 3 s.
	LockWait time.Duration
	// Host names this machine: a job of a process of it that was killed goes on at once when
	// another one starts. Default: the system's name. PostgreSQL only.
	Host string
	// HostTimeout is after how long without a sign of life the jobs of any other process go
	// on here. Default 30 s. PostgreSQL only.
	HostTimeout time.Duration

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

	// pollEvery is how often River looks for jobs that nobody told it of. Zero: River's default, 1 s.
	pollEvery time.Duration
}

func (c Config) withDefaults() Config {
	if c.Reader == nil {
		c.Reader = c.DB
	}
	if c.LockWait == 0 {
		c.LockWait = 3 * time.Second
	}
	if c.HostTimeout == 0 {
		c.HostTimeout = 30 * time.Second
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
	Quiet bool  `json:"quiet,omitempty"`
}

func (jobArgs) Kind() string { return jobKind }

// Queue is the job queue of one database.
type Queue struct {
	cfg    Config
	db     database
	client client
	worker *worker
	log    *slog.Logger // what is tried each second does not fill the log when it fails
	ended  func()       // of log

	stopSweeps context.CancelFunc
	sweeps     sync.WaitGroup
}

// New prepares the queue's tables and returns a queue that can be filled. Its owner calls Stop at
// its end, also without Start.
func New(ctx context.Context, cfg Config) (*Queue, error) {
	cfg = cfg.withDefaults()
	once := repeats.New(cfg.Logger.Handler())
	log := slog.New(warnings{once})
	db, err := newDatabase(cfg, log)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	q := &Queue{cfg: cfg, db: db, worker: &worker{handle: cfg.Handler, db: db, backoff: cfg.Backoff}, log: log, ended: once.End}
	if err := q.prepare(ctx); err != nil {
		db.close()
		return nil, err
	}
	return q, nil
}

func (q *Queue) prepare(ctx context.Context) (err error) {
	if err := q.db.migrate(ctx); err != nil {
		return fmt.Errorf("prepare queue tables: %w", err)
	}
	rc := &river.Config{
		Logger:               q.log,
		MaxAttempts:          riverMaxAttempts,
		FetchCooldown:        fetchCooldown,
		FetchPollInterval:    q.cfg.pollEvery,
		JobTimeout:           q.cfg.JobTimeout,
		RescueStuckJobsAfter: q.cfg.JobTimeout + time.Minute,
		RetryPolicy:          backoff(q.cfg.Backoff),
	}
	if q.cfg.Handler != nil {
		rc.Workers = river.NewWorkers()
		river.AddWorker(rc.Workers, q.worker)
		rc.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: q.cfg.Workers}}
	}
	if q.client, err = q.db.client(rc); err != nil {
		return fmt.Errorf("make queue client: %w", err)
	}
	return nil
}

// Enqueue puts a job into the queue as part of a transaction. Any process may do so
// while another one works the jobs off; that one notices within a tenth of a second.
func (q *Queue) Enqueue(ctx context.Context, tx *sql.Tx, jobID int64) error {
	return q.enqueue(ctx, tx, jobArgs{JobID: jobID})
}

// EnqueueQuiet is Enqueue for a job of which nobody in Slack is to hear, whichever process works
// it off; its handler learns it by Quiet.
func (q *Queue) EnqueueQuiet(ctx context.Context, tx *sql.Tx, jobID int64) error {
	return q.enqueue(ctx, tx, jobArgs{JobID: jobID, Quiet: true})
}

func (q *Queue) enqueue(ctx context.Context, tx *sql.Tx, args jobArgs) error {
	if err := q.db.insert(ctx, tx, args); err != nil {
		return fmt.Errorf("enqueue job: %w", err)
	}
	return nil
}

type quietKey struct{}

// Quiet reports whether a handler's context is that of a job of EnqueueQuiet.
func Quiet(ctx context.Context) bool {
	quiet, _ := ctx.Value(quietKey{}).(bool)
	return quiet
}

// ErrLocked: another process works the jobs of this database off, which this one or that one
// wants to do alone.
var ErrLocked = errors.New("another commentator process works on this database")

// Start begins to work jobs off. Jobs that ran when their process was killed go on at
// once; with PostgreSQL those of another host's after HostTimeout. On a SQLite file one
// process at a time may work: Start returns ErrLocked when there is another one that does
// not end within LockWait. On PostgreSQL it does so because of Alone only.
//
// ctx bounds the start only; Stop ends the work.
func (q *Queue) Start(ctx context.Context) error {
	if q.cfg.Handler == nil {
		return errors.New("start queue: it has no handler")
	}
	if err := q.db.enter(ctx); err != nil {
		return fmt.Errorf("start queue: %w", err)
	}
	if err := q.start(ctx); err != nil {
		return fmt.Errorf("start queue: %w", errors.Join(err, q.db.leave()))
	}
	return nil
}

func (q *Queue) start(ctx context.Context) error {
	if err := q.db.repair(ctx); err != nil {
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
// that still run are cancelled, and the log says which jobs are handed back so. It returns when
// all handlers have returned, or with an error when they don't.
func (q *Queue) Stop(ctx context.Context) error {
	defer q.ended()
	defer q.db.close()
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
		q.sayHandedBack(ctx)
	}
	q.stopSweeps = nil
	if err := errors.Join(err, q.db.leave()); err != nil {
		return fmt.Errorf("stop queue: %w", err)
	}
	return nil
}

// sayHandedBack names the jobs that did not end in time.
func (q *Queue) sayHandedBack(ctx context.Context) {
	ids := q.worker.takeHandedBack()
	if len(ids) == 0 {
		return
	}
	q.cfg.Logger.InfoContext(ctx, "jobs did not end in time; they are handed back and go on with the next start", "jobs", len(ids), "ids", ids[:min(len(ids), namedMost)])
}

// namedMost is how many jobs a line of the log names.
const namedMost = 20

// Depth is how much the queue holds at one moment.
type Depth struct {
	Waiting int       // jobs that wait for a worker or for their back-off
	Running int       // jobs that are worked on
	Oldest  time.Time // since when the first of those that could run has waited; zero when none does
}

// Depth reads how much the queue holds.
func (q *Queue) Depth(ctx context.Context) (Depth, error) {
	d, err := q.db.depth(ctx)
	if err != nil {
		return Depth{}, fmt.Errorf("measure queue: %w", err)
	}
	return d, nil
}
