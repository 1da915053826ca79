package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
)

type jobsRetryCommand struct {
	IDs   []int64 `arg:"" name:"job" help:"Ids of jobs that are final."`
	Again bool    `help:"Also repeat a job whose link has a comment, or may have one: it is commented on a second time."`
}

// Help is shown below the flags.
func (jobsRetryCommand) Help() string {
	return `A final job never reopens: a new one is made for its link, which serve works off. It is delivered as any other job of that message.`
}

// Run makes new jobs for the links of final ones.
func (c *jobsRetryCommand) Run(ctx context.Context, a *app) error {
	return a.changeJobs(ctx, c.IDs, func(ctx context.Context, w *worker, j commentator.Job) error {
		again, err := w.store.Retry(ctx, j.ID, time.Now(), store.Repeat{Again: c.Again, NotTaken: slack.NotTaken, Enqueue: w.queue.Enqueue})
		switch {
		case errors.Is(err, store.ErrOpen):
			return usageError{fmt.Errorf("job %d cannot be repeated: a job of its link is not final yet; `commentator jobs cancel` ends it", j.ID)}
		case errors.Is(err, store.ErrWithdrawn):
			return usageError{fmt.Errorf("job %d cannot be repeated: its link was taken back", j.ID)}
		case errors.Is(err, store.ErrCommented):
			return usageError{fmt.Errorf("job %d: %w; look into the thread, --again comments on the link a second time", j.ID, err)}
		case err != nil:
			return err
		}
		fmt.Fprintf(a.stdout, "job %d: %s, repeats job %d\n", again.ID, again.State, again.RetryOf)
		return nil
	})
}

type jobsCancelCommand struct {
	IDs []int64 `arg:"" name:"job" help:"Ids of jobs that are not final."`
}

// Help is shown below the flags.
func (jobsCancelCommand) Help() string {
	return `The job ends at once as cancelled. An attempt that runs, in this or another process, can write nothing more and posts nothing that it has not asked Slack for.`
}

// Run ends jobs.
func (c *jobsCancelCommand) Run(ctx context.Context, a *app) error {
	return a.changeJobs(ctx, c.IDs, func(ctx context.Context, w *worker, j commentator.Job) error {
		ended, err := w.store.Conclude(ctx, j.ID, store.Ending{
			Outcome: commentator.OutcomeCancelled, ErrorType: "cancelled", ErrorMessage: "Somebody cancelled the job.", At: time.Now(),
		}, w.telemetry.Decide, w.telemetry.JobStarted, w.telemetry.JobEnded)
		if errors.Is(err, store.ErrFinal) {
			return usageError{fmt.Errorf("job %d is final; `commentator jobs show %d` says how it ended", j.ID, j.ID)}
		}
		if err != nil {
			return err
		}
		w.telemetry.Notify()
		fmt.Fprintf(a.stdout, "job %d: %s\n", ended.ID, ended.Outcome)
		return nil
	})
}

// changeJobs does something to jobs that exist, one after the other, beside a worker that
// may be running. The first error ends it; what was done before stays done.
func (a *app) changeJobs(ctx context.Context, ids []int64, change func(context.Context, *worker, commentator.Job) error) (err error) {
	s, err := a.openStore(ctx) // so that no database is made
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	w, err := a.openWorker(ctx, use{backoff: queue.ServeBackoff, brief: true})
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), replayEnd)
		defer cancel()
		err = errors.Join(err, w.close(end))
	}()
	for _, id := range ids {
		j, err := w.store.Job(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return usageError{fmt.Errorf("there is no job %d in %s", id, a.cfg.DatabaseName())}
		}
		if err != nil {
			return err
		}
		if err := change(ctx, w, j); err != nil {
			return err
		}
	}
	return nil
}
