package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lockPoll is how often Start asks for a lock that another process holds.
const lockPoll = 50 * time.Millisecond

// acquire takes the lock that the operating system gives back when the process ends,
// however it ends, and leaves the process id in its file for whoever is refused.
func (q *Queue) acquire(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, q.cfg.LockWait)
	defer cancel()
	ok, err := q.lock.TryLockContext(wait, lockPoll)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("lock %s: %w", q.cfg.LockPath, err)
	}
	if !ok {
		return fmt.Errorf("%w%s; stop it, or leave the work to it (`commentator replay --enqueue`), or set DB_PATH to another file",
			ErrLocked, lockHolder(q.cfg.LockPath))
	}
	pid := strconv.Itoa(os.Getpid()) + "\n"
	if err := os.WriteFile(q.cfg.LockPath, []byte(pid), 0o600); err != nil {
		return errors.Join(fmt.Errorf("write lock file: %w", err), q.lock.Unlock())
	}
	return nil
}

func lockHolder(path string) string {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return ""
	}
	return " (process " + strings.TrimSpace(string(text)) + ")"
}

// repair makes jobs available that were running when their process ended, and takes the
// leadership from the client that is gone. River alone would wait for its lease (15 s)
// and then until the jobs are stuck (11 min). Holding the lock means that no other
// client runs jobs.
func (q *Queue) repair(ctx context.Context) error {
	tx, err := q.cfg.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, statement := range []string{
		`UPDATE river_job SET state = 'available' WHERE state = 'running'`,
		`DELETE FROM river_leader`,
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (q *Queue) runSweeps(ctx context.Context) {
	t := time.NewTicker(q.cfg.SweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := q.sweep(ctx); err != nil && ctx.Err() == nil {
				q.cfg.Logger.WarnContext(ctx, "look for lost jobs", "err", err)
			}
		}
	}
}

// sweep hands over the jobs that are not final and that River will not try again.
func (q *Queue) sweep(ctx context.Context) error {
	if q.cfg.OpenJobs == nil {
		return nil
	}
	// The open jobs first: a job and River's row appear in one transaction, so one that is
	// open now has its row in a later look, unless it became final meanwhile, which Lost
	// finds out.
	open, err := q.cfg.OpenJobs(ctx)
	if err != nil {
		return err
	}
	// A try that was believed dead may have made River forget a job that its successor
	// still works on.
	open = slices.DeleteFunc(open, q.worker.active.has)
	if len(open) == 0 {
		return nil
	}
	fates, err := q.fates(ctx, open)
	if err != nil {
		return fmt.Errorf("look for lost jobs: %w", err)
	}
	var errs []error
	for _, id := range open {
		if fate := fates[id]; fate != "" {
			errs = append(errs, q.cfg.Lost(ctx, id, fate))
		}
	}
	return errors.Join(errs...)
}

// fates returns the fate of those jobs that River will not try again.
func (q *Queue) fates(ctx context.Context, jobs []int64) (map[int64]Fate, error) {
	ids, err := json.Marshal(jobs)
	if err != nil {
		return nil, err
	}
	rows, err := q.cfg.Reader.QueryContext(ctx, `
		SELECT json_extract(args, '$.job_id') AS job, state FROM river_job
		WHERE kind = ? AND job IN (SELECT value FROM json_each(?)) ORDER BY id`, jobKind, string(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	fates := make(map[int64]Fate, len(jobs))
	for _, id := range jobs {
		fates[id] = FateMissing
	}
	for rows.Next() {
		var id int64
		var state string
		if err := rows.Scan(&id, &state); err != nil {
			return nil, err
		}
		switch f := Fate(state); {
		case fates[id] == "": // a row that lives outweighs all others
		case f == FateCompleted, f == FateCancelled, f == FateDiscarded:
			fates[id] = f
		default:
			fates[id] = ""
		}
	}
	return fates, rows.Err()
}
