package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/health"
	"github.com/technoshare/commentator/internal/queue"
)

type serveCommand struct {
	Drain bool          `aliases:"once" help:"Take nothing from Slack, and end when no job is left to work on. Failed attempts are repeated after seconds, not minutes."`
	Grace time.Duration `default:"20s" help:"How long running jobs and the outbox may take to end after a signal."`
}

// Help is shown below the flags.
func (serveCommand) Help() string {
	return `Takes events from Slack with SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP), and works off the queue, until SIGINT or SIGTERM; a second signal ends the process at once. Whatever is interrupted goes on with the next start. With SLACK_BOT_TOKEN comments are posted to Slack, else they stay in the database ("commentator jobs show ID").`
}

// Run works off the queue.
func (c *serveCommand) Run(ctx context.Context, a *app) error {
	if c.Grace <= 0 {
		return usageError{errors.New("--grace must be above 0")}
	}
	backoff := queue.ServeBackoff
	if c.Drain {
		backoff = queue.ReplayBackoff
	}
	w, err := a.openWorker(ctx, use{backoff: backoff})
	if err != nil {
		return unlessStopped(ctx, err)
	}
	w.startSlack(ctx)
	mode, why := a.cfg.Mode()
	var ready []health.Check
	if !c.Drain {
		ready = append(ready, health.Check{Name: "slack", Check: w.connected})
	}
	if err = w.startHealth(ready...); err == nil {
		err = w.queue.Start(ctx)
	}
	if err = unlessStopped(ctx, err); err == nil && ctx.Err() == nil {
		w.working.Store(true)
		a.log.InfoContext(ctx, "serving", "database", w.store.Path(), "telemetry", string(mode), "because", why, "version", readBuild().Version)
		err = c.work(ctx, w)
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Grace)
	defer cancel()
	w.working.Store(false)
	a.log.InfoContext(end, "stopping")
	err = errors.Join(err, w.close(end))
	return err
}

// unlessStopped leaves out an error of the start when it was asked to stop meanwhile, which is what
// most of them come from.
func unlessStopped(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return err
}

// work takes events from Slack, unless it only drains, until ctx ends or it cannot go on.
func (c *serveCommand) work(ctx context.Context, w *worker) error {
	if c.Drain {
		return w.waitForJobs(ctx)
	}
	r, err := w.receive(ctx)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	w.receiver.Store(r)
	select {
	case <-ctx.Done():
	case err = <-r.failed:
	}
	w.working.Store(false)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Grace)
	defer cancel()
	return errors.Join(err, r.stop(end))
}

// waitForJobs returns when no job is open, or ctx ends.
func (w *worker) waitForJobs(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		open, err := w.store.OpenJobs(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for open jobs: %w", err)
		}
		if len(open) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
