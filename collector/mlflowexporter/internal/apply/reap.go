package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// reapAtOnce bounds how many records with stale runs are worked on in one turn.
const reapAtOnce = 100

// Healthy reports whether news that came has been written: while MLflow is away, news of a
// run may wait in the queue, and no run is stale for want of them.
func (a *Applier) Healthy() bool {
	a.breaker.mu.Lock()
	defer a.breaker.mu.Unlock()
	return a.breaker.until.IsZero() && !a.troubled.Load()
}

// Reap ends runs that had no news in so much of the ledger's uptime, with a tag that says
// why; news reopen them. Verdicts that have waited so long for their job are given up. It works on some
// at a time, one call after the other; what cannot be done now is tried again after the others.
func (a *Applier) Reap(ctx context.Context, after time.Duration) error {
	return a.inTurn(a.ledger.Stale(after, reapAtOnce, a.unended), a.unended, func(s ledger.Stale) error {
		if err := a.reapJob(ctx, s, after); err != nil {
			return fmt.Errorf("end stale runs of trace %s: %w", s.TraceID, err)
		}
		return nil
	})
}

// inTurn works on records, up to reapAtOnce of which none has failed in this round through all of
// them, and adds those that fail. The next round begins when all had their turn.
func (a *Applier) inTurn(some []ledger.Stale, failed map[string]bool, work func(ledger.Stale) error) error {
	var errs []error
	for _, s := range some {
		if err := work(s); err != nil {
			errs = append(errs, err)
			failed[s.TraceID] = true
		}
		if !a.Healthy() {
			return errors.Join(errs...)
		}
	}
	if len(some) < reapAtOnce {
		clear(failed)
	}
	return errors.Join(errs...)
}

func (a *Applier) reapJob(ctx context.Context, s ledger.Stale, after time.Duration) error {
	defer a.locks.lock([]string{s.TraceID})()
	entries, err := a.ledger.Begin(ctx, []ledger.Claim{{TraceID: s.TraceID}})
	if err != nil {
		return err
	}
	j := &job{traceID: s.TraceID, entry: entries[0]}
	// The key of a stage begins with that of its job: stages come first.
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(j.entry.Job.Runs))) {
		if err = a.reapRun(ctx, j, key, s.NewsMS, after); err != nil {
			break
		}
	}
	if err == nil {
		err = a.dropWaiting(ctx, j)
	}
	return errors.Join(err, a.ledger.End(context.WithoutCancel(ctx), entries))
}

// GiveUp gives up verdicts that had no news since then and wait for a job of which nothing is open,
// some at a time, one call after the other. What cannot be looked for in MLflow now is kept, and tried again after the others.
func (a *Applier) GiveUp(ctx context.Context, since time.Time) error {
	return a.inTurn(a.ledger.Waiting(since, reapAtOnce, a.kept), a.kept, func(s ledger.Stale) error {
		if err := a.giveUp(ctx, s); err != nil {
			return fmt.Errorf("give up verdicts on trace %s: %w", s.TraceID, err)
		}
		return nil
	})
}

func (a *Applier) giveUp(ctx context.Context, s ledger.Stale) error {
	defer a.locks.lock([]string{s.TraceID})()
	entries, err := a.ledger.Begin(ctx, []ledger.Claim{{TraceID: s.TraceID}})
	if err != nil {
		return err
	}
	if j := (&job{traceID: s.TraceID, entry: entries[0]}); j.entry.Job.NewsMS <= s.NewsMS { // else there was news meanwhile
		err = a.dropWaiting(ctx, j)
	}
	return errors.Join(err, a.ledger.End(context.WithoutCancel(ctx), entries))
}

// reapRun ends one run unless somebody else has: another bridge, or a person.
func (a *Applier) reapRun(ctx context.Context, j *job, key string, newsMS int64, after time.Duration) error {
	rec := j.entry.Job.Runs[key]
	if !rec.Open() {
		return nil
	}
	r := &run{job: j, rec: rec, Run: reduce.Run{Key: key, TraceID: j.traceID, Name: rec.Name, Version: rec.Version}}
	now, err := a.readRun(ctx, rec.ID)
	if mlflow.IsCode(err, mlflow.CodeNotFound) || (err == nil && now.Info.Stage == mlflow.Deleted) {
		return a.gone(ctx, rec, err)
	}
	if err == nil && now.Info.Status != mlflow.StatusRunning {
		rec.Closed = true
		return nil
	}
	if err == nil && !rec.Stale {
		rec.Stale = true // before it is: whoever opens the ledger after a death in between takes it back
		err = a.ledger.Note(context.WithoutCancel(ctx), j.entry)
		rec.Stale = err == nil
	}
	if err == nil {
		err = a.call(ctx, func() error {
			if rec.EndsAs == "" {
				if err := a.client.SetTag(ctx, rec.ID, wire.TagStale, "no news for "+after.String()); err != nil {
					return err
				}
			}
			return a.client.UpdateRun(ctx, mlflow.UpdateRun{
				RunID: rec.ID, Status: cmp.Or(rec.EndsAs, mlflow.StatusKilled), EndTime: max(newsMS, now.Info.StartTime),
			})
		})
	}
	if mlflow.IsCode(err, mlflow.CodeNotFound) {
		return a.gone(ctx, rec, err)
	}
	err = a.lost(ctx, r, err)
	if rec.Gone {
		return err
	}
	if err != nil && !permanent(err) {
		return err
	}
	rec.Closed = true
	if err != nil {
		a.log.Warn("A stale run cannot be ended", zap.String("run_id", rec.ID), zap.Error(err))
		return nil
	}
	if rec.EndsAs == "" { // else it ends as it should: a worker that stopped
		a.cfg.Count(EventStaleRun, 1)
		a.cfg.Finished(mlflow.StatusKilled)
	}
	a.log.Info("A run without news was ended", zap.String("run_id", rec.ID), zap.String("trace_id", j.traceID), zap.Duration("stale_after", after))
	return nil
}

// gone notes that a run is not there any more, if that is what it means that it is not found: in
// another database it is made anew when there is news of it.
func (a *Applier) gone(ctx context.Context, rec *ledger.Run, notFound error) error {
	if notFound != nil {
		elsewhere, err := a.replaced(ctx, rec.Experiment)
		if err != nil {
			return err
		}
		if elsewhere {
			a.forgetAll()
			rec.Closed = true
			return nil
		}
	}
	rec.Gone = true
	return nil
}

// reopen takes back what Reap did to a run of which there is news.
func (a *Applier) reopen(ctx context.Context, r *run) error {
	if !r.rec.Stale || r.rec.Gone {
		r.rec.Closed = false
		return nil
	}
	if a.cfg.Shared && r.rec.EndsAs == "" { // else there is no tag by which another bridge would know
		// catchUp does it, unless another bridge has and the run is over meanwhile.
		_, _, err := a.catchUp(ctx, r)
		r.rec.Closed, r.rec.Stale = false, r.rec.Stale && err != nil
		return err
	}
	return a.takeBack(ctx, r)
}

// takeBack lets a run that was ended for want of news run again.
func (a *Applier) takeBack(ctx context.Context, r *run) error {
	err := a.call(ctx, func() error {
		return a.client.UpdateRun(ctx, mlflow.UpdateRun{RunID: r.rec.ID, Status: mlflow.StatusRunning})
	})
	if err == nil {
		err = a.call(ctx, func() error { return a.client.DeleteTag(ctx, r.rec.ID, wire.TagStale) })
		if mlflow.IsCode(err, mlflow.CodeNotFound) {
			err = nil // removed by a person, or by an attempt whose end we did not see
		}
	}
	if err = a.lost(ctx, r, err); err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	r.rec.Closed, r.rec.Stale = false, false
	return nil
}
