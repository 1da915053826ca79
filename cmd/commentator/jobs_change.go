package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
)

// changeHelp ends the help of the commands that change jobs.
const changeHelp = `

Each job is tried, whatever becomes of the others, and has a line: on standard output when it is done, else on standard error.

Exit code: 0 when all were done, 1 when something failed, such as the database, 2 when one cannot be done or the command line or a setting is wrong.`

type jobsRetryCommand struct {
	IDs   []int64 `arg:"" name:"job" help:"Ids of jobs that are final."`
	Again bool    `help:"Also repeat a job whose link has a comment, or may have one: it is commented on a second time."`
}

// Help is shown below the flags.
func (jobsRetryCommand) Help() string {
	return `A final job never reopens: a new one is made for its link, which serve works off. It is delivered as any other job of that message.` + changeHelp
}

// Run makes new jobs for the links of final ones.
func (c *jobsRetryCommand) Run(ctx context.Context, a *app) error {
	return a.changeJobs(ctx, c.IDs, func(ctx context.Context, w *worker, j commentator.Job) error {
		again, err := w.store.Retry(ctx, j.ID, time.Now(), store.Repeat{Again: c.Again, NotTaken: slack.NotTaken, Enqueue: w.queue.Enqueue})
		var commented store.CommentedError
		switch {
		case errors.Is(err, store.ErrOpen):
			return usageError{fmt.Errorf("job %d cannot be repeated: a job of its link is not final yet; `commentator jobs cancel` ends it", j.ID)}
		case errors.Is(err, store.ErrWithdrawn):
			return usageError{fmt.Errorf("job %d cannot be repeated: its link was taken back", j.ID)}
		case errors.As(err, &commented):
			return usageError{fmt.Errorf("job %d cannot be repeated: job %d has commented on its link, or may have; look into the thread, --again comments on the link a second time", j.ID, commented.Job)}
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
	return `The job ends at once as cancelled. An attempt that runs, in this or another process, can write nothing more and posts nothing that it has not asked Slack for.` + changeHelp
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

// changeJobs does something to jobs, one after the other, beside a worker that may be running.
// What keeps one from it keeps no other; the error joins what there was.
func (a *app) changeJobs(ctx context.Context, ids []int64, change func(context.Context, *worker, commentator.Job) error) error {
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
	var wrong, failed []error
	for i, id := range ids {
		if ctx.Err() != nil {
			failed = append(failed, fmt.Errorf("interrupted; not tried were jobs %s", strings.Trim(fmt.Sprint(ids[i:]), "[]")))
			break
		}
		err := w.changeJob(ctx, id, change)
		switch usage := new(usageError); {
		case errors.As(err, usage):
			wrong = append(wrong, usage.error)
		case err != nil:
			failed = append(failed, err)
		}
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), replayEnd)
	defer cancel()
	if err := w.close(end); err != nil {
		failed = append(failed, err)
	}
	all := problems{errors.Join(append(wrong, failed...)...)}
	switch {
	case len(failed) > 0:
		return all
	case len(wrong) > 0:
		return usageError{all}
	}
	return nil
}

// changeJob does something to a job that exists.
func (w *worker) changeJob(ctx context.Context, id int64, change func(context.Context, *worker, commentator.Job) error) error {
	j, err := w.store.Job(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return usageError{fmt.Errorf("there is no job %d in %s", id, w.app.cfg.DatabaseName())}
	}
	if err != nil {
		return err
	}
	return change(ctx, w, j)
}
