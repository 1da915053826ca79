//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
)

// outage kills MLflow, lets people go on, and starts it again as the guide says.
func (r *rehearsal) outage(ctx context.Context, s *step) error {
	group, err := r.leader("mlflow")
	if err != nil {
		return err
	}
	if err := syscall.Kill(-group, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill MLflow: %w", err)
	}
	s.did("killed MLflow's process group with SIGKILL")
	jobs, err := r.round(ctx, s, "tracing", commentator.DetailFull)
	if err != nil {
		return err
	}
	if answers("http://" + r.place.mlflow + "/health") {
		return fmt.Errorf("MLflow answers on %s although it was killed", r.place.mlflow)
	}
	s.checked("the worker went on without MLflow")
	began := time.Now()
	if _, err := r.follow(ctx, s, "MLflow server crashed"); err != nil {
		return err
	}
	up := time.Since(began)
	if err := r.delivered(ctx, s, jobs); err != nil {
		return err
	}
	s.checked("what was recorded meanwhile is there, %.1f s after MLflow was back (its start took %.1f s)", (time.Since(began) - up).Seconds(), up.Seconds())
	return nil
}

// quickRollback stops recording, first without a restart, then by the settings.
func (r *rehearsal) quickRollback(ctx context.Context, s *step) error {
	before, err := r.dump(ctx)
	if err != nil {
		return err
	}
	if _, err := r.follow(ctx, s, "Quick rollback: at once"); err != nil {
		return err
	}
	time.Sleep(time.Second) // what the worker may take to see it
	untold, err := r.round(ctx, s, "tracing", commentator.DetailOff)
	if err != nil {
		return err
	}
	s.checked("without a restart: nothing of %d jobs that started after `tracing off` is recorded", len(untold))
	if _, err := r.follow(ctx, s, "Quick rollback: by the settings", "Restart the worker"); err != nil {
		return err
	}
	more, err := r.round(ctx, s, "off", commentator.DetailOff)
	if err != nil {
		return err
	}
	after, err := r.dump(ctx)
	if err != nil {
		return err
	}
	if err := after.absent(append(untold, more...)); err != nil {
		return err
	}
	if before.newRuns() != after.newRuns() {
		return fmt.Errorf("MLflow holds %d runs, %d before", after.newRuns(), before.newRuns())
	}
	s.checked("MLflow holds the same %d new runs as before", after.newRuns())
	return nil
}

// forward switches recording on again.
func (r *rehearsal) forward(ctx context.Context, s *step) error {
	if _, err := r.follow(ctx, s, "Forward again", "Restart the worker"); err != nil {
		return err
	}
	jobs, err := r.round(ctx, s, "tracing", commentator.DetailFull)
	if err != nil {
		return err
	}
	return r.delivered(ctx, s, jobs)
}

// dayToDay runs what the guide has for monitoring and for trouble.
func (r *rehearsal) dayToDay(ctx context.Context, s *step) error {
	if _, err := r.follow(ctx, s, "Monitor", "The worker does not start", "Jobs take long", "The disk fills up", "Environments"); err != nil {
		return err
	}
	out, err := r.follow(ctx, s, "The old scripts")
	if err != nil {
		return err
	}
	if !strings.Contains(out, r.reference[r.world.newest].text) {
		return fmt.Errorf("no comment on the newest link is printed:\n%s", out)
	}
	if !strings.Contains(out, "200 OK") {
		return fmt.Errorf("the worker does not take the event:\n%s", out)
	}
	jobs, err := r.settled(ctx)
	if err != nil {
		return err
	}
	if len(jobs) != 1 || jobs[0].Outcome != commentator.OutcomeCancelled || jobs[0].ErrorType != "withdrawn" || len(jobs[0].Stages) != len(commentator.Stages) {
		return fmt.Errorf("the event became the jobs %+v", jobs)
	}
	s.checked("messages as the worker reads them; the comment on the newest link; an event, signed and posted, became job %d, which posts nothing since Slack does not have its message", jobs[0].JobID)
	return nil
}
