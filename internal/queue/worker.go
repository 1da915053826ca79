package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/technoshare/commentator/internal/commentator"
)

// worker hands River's jobs to the handler.
type worker struct {
	river.WorkerDefaults[jobArgs]
	handle  Handler
	db      database
	backoff backoff
	active  active

	mu         sync.Mutex
	handedBack []int64 // jobs whose tries the stop of the queue ended
}

func (w *worker) Work(ctx context.Context, job *river.Job[jobArgs]) error {
	complete := func(tx *sql.Tx) error {
		// Also when the job's time is over, or the queue stops: what is done is done.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rowTimeout)
		defer cancel()
		return w.db.complete(ctx, tx, job)
	}
	if job.Args.Quiet {
		ctx = context.WithValue(ctx, quietKey{}, true)
	}
	defer w.active.enter(job.Args.JobID)()
	err := w.handle(ctx, job.Args.JobID, complete)
	switch {
	case err == nil:
		return nil
	case !w.owns(ctx, job):
		return notOurs{err}
	case errors.Is(ctx.Err(), context.Canceled):
		w.handBack(job.Args.JobID)
		return river.JobSnooze(0) // the queue stops: no failure, go on at the next start
	}
	if wait := min(commentator.After(err), longestWait); wait > 0 {
		return river.JobSnooze(max(wait, w.backoff.after(len(job.Errors)+snoozes(job))))
	}
	return err
}

func (w *worker) handBack(job int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handedBack = append(w.handedBack, job)
}

// takeHandedBack returns them in the order of their ids.
func (w *worker) takeHandedBack() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := w.handedBack
	w.handedBack = nil
	slices.Sort(ids)
	return ids
}

// snoozes is how often a job was put off, which River keeps apart from its errors.
func snoozes(job *river.Job[jobArgs]) int {
	var said struct {
		Snoozes int `json:"snoozes"`
	}
	_ = json.Unmarshal(job.Metadata, &said) // River's own
	return said.Snoozes
}

// longestWait is for how long a job that somebody wants to be asked for later waits at most: what
// he said may be over sooner.
const longestWait = 10 * time.Minute

// rowTimeout is how long a try that is over may take to complete its row, or to look whose it is.
const rowTimeout = 5 * time.Second

// owns reports whether River's row is still that of this try. One that was believed dead while
// another one began has lost it. What cannot be found out is taken for the usual.
func (w *worker) owns(ctx context.Context, job *river.Job[jobArgs]) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rowTimeout)
	defer cancel()
	owns, err := w.db.owns(ctx, job)
	return owns || err != nil && !errors.Is(err, sql.ErrNoRows)
}

// notOurs is the error of a try whose row belongs to another one. River asks of a row only whether
// it runs before it writes how a try of it has ended, and so would take it from that one. It
// writes nothing for an error of several jobs that names none.
type notOurs struct{ error }

func (notOurs) Jobs() []*rivertype.JobRow   { return nil }
func (notOurs) ErrorsByID() map[int64]error { return nil }

// active is which jobs have a handler in this process that has not returned. On a SQLite file
// no other job has one.
type active struct {
	mu   sync.Mutex
	jobs map[int64]int
}

func (a *active) enter(job int64) (leave func()) {
	a.add(job, 1)
	return func() { a.add(job, -1) }
}

func (a *active) add(job int64, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.jobs == nil {
		a.jobs = map[int64]int{}
	}
	if a.jobs[job] += n; a.jobs[job] == 0 {
		delete(a.jobs, job)
	}
}

func (a *active) has(job int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.jobs[job] > 0
}

// backoff is a schedule of retries as River asks for it. Errors are counted rather than
// attempts, because a killed process and a stopped one are no failures of the job.
type backoff []time.Duration

func (b backoff) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(b.after(len(job.Errors)))
}

// after returns the wait after a failure that `before` others preceded.
func (b backoff) after(before int) time.Duration {
	return b[min(before, len(b)-1)]
}

// warnings drops River's chatter below the level of a warning.
type warnings struct{ slog.Handler }

func (h warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{h.Handler.WithAttrs(attrs)}
}

func (h warnings) WithGroup(name string) slog.Handler { return warnings{h.Handler.WithGroup(name)} }
