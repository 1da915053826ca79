package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// runSweeps looks for lost jobs, and for jobs of processes that are gone, at their intervals.
func (q *Queue) runSweeps(ctx context.Context) {
	sweep := time.NewTicker(q.cfg.SweepEvery)
	defer sweep.Stop()
	var repair <-chan time.Time
	if every := q.db.repairEvery(); every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		repair = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			if err := q.sweep(ctx); err != nil && ctx.Err() == nil {
				q.log.WarnContext(ctx, "look for lost jobs", "err", err)
			}
		case <-repair:
			if err := q.db.repair(ctx); err != nil && ctx.Err() == nil {
				q.log.WarnContext(ctx, "look for jobs of processes that are gone", "err", err)
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
		if fate := fates[id]; fate != "" && !q.worker.active.has(id) { // it may have begun meanwhile
			errs = append(errs, q.cfg.Lost(ctx, id, fate))
		}
	}
	return errors.Join(errs...)
}

// fates returns the fate of those jobs that River will not try again.
func (q *Queue) fates(ctx context.Context, jobs []int64) (map[int64]Fate, error) {
	rows, err := q.db.states(ctx, jobs)
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
