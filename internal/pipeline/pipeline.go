// Package pipeline takes a job through its five stages:
//
//	retrieval ▶ stage_a ▶ stage_b ▶ quality_gates ▶ slack_post
//
// Each stage ends with one transaction that records its result together with its
// telemetry message. The recorded stages are the only truth of what has been done: an
// attempt begins by reading them, and goes on behind the last one that succeeded.
//
// Nothing that telemetry does or fails to do changes a result.
package pipeline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

// Config holds what a Pipeline works with. All fields but Telemetry, Patience, Analysers and Failed are required.
type Config struct {
	Store     *store.Store
	Telemetry *telemetry.Provider // nil: off

	Retriever commentator.Retriever
	Analyser  commentator.Analyser
	Render    commentator.Renderer
	Poster    commentator.Poster

	// Patience is for how long from its first attempt a job may be put off because a site takes no more
	// requests for a while. Zero: not at all; what can be had without waiting is taken.
	Patience time.Duration

	Themes []string               // the names that a project bullet may begin with
	Gates  commentator.GateLimits // what a comment has to keep

	// Analysers is asked once an attempt for what takes Analyser's place, so that prompts may change
	// between jobs and never within an attempt. Nil: they don't change.
	Analysers func() commentator.Analyser

	// Failed is told of each job that has ended as error or gate_failed, after it was noted in
	// the job database that people in Slack are to be told. Nil: they are not.
	Failed func(jobID int64)

	Now    func() time.Time
	Logger *slog.Logger
}

// Pipeline works on jobs. It is safe for concurrent use.
type Pipeline struct {
	Config
	// What the store calls, made once: a method value is an allocation, also of a provider that
	// is off.
	decide  store.Decide
	started store.Started
	ended   store.Ended
	// reached is called by tests when an attempt comes to a point where a process may die.
	reached func(point, commentator.Stage)
}

// mostPutOff is how many attempts a job may have had when one more is put off without being a
// failure: enough for most of a day with the pauses of the queue, which keeps those that are asked
// for, and an end for a job that would be put off for ever.
const mostPutOff = 100

// point is a moment in a stage.
type point string

const (
	pointWorked    point = "worked"    // the work is done and not recorded
	pointCommitted point = "committed" // it is recorded
)

// New returns a Pipeline.
func New(cfg Config) *Pipeline {
	return &Pipeline{
		Config: cfg, decide: cfg.Telemetry.Decide, started: cfg.Telemetry.JobStarted, ended: cfg.Telemetry.JobEnded,
		reached: func(point, commentator.Stage) {},
	}
}

// Attempt makes one attempt at a job and returns the job as it is then. When the job is
// final, complete (nil: nothing) has run in the transaction that made it so.
//
// An error means that the job is not final: store.ErrFenced when another attempt owns it,
// ctx's error when the attempt was interrupted, one of commentator.IsLater when somebody asks
// to come back later, which both count as neither failure nor kill, and else what failed.
// Another attempt then goes on behind the last recorded stage. A job
// that was final before comes back with nil, and complete has not run.
func (p *Pipeline) Attempt(ctx context.Context, jobID int64, complete func(tx *sql.Tx) error) (commentator.Job, error) {
	a, err := p.Store.BeginAttempt(ctx, jobID, p.Now(), p.decide, p.started)
	if errors.Is(err, store.ErrFinal) {
		return p.Store.Job(ctx, jobID)
	}
	if err != nil {
		return commentator.Job{ID: jobID}, err
	}
	p.Telemetry.Notify()
	p.Telemetry.JobActive(1)
	defer p.Telemetry.JobActive(-1)

	ctx = p.Telemetry.JobContext(ctx, a.Job) // so that log lines name the trace
	if a.Exhausted {
		return p.finish(ctx, a.Job, exhausted(a), complete)
	}
	if a.Job.URL == "" {
		return p.finish(ctx, a.Job, store.Ending{Outcome: commentator.OutcomeNoURLs}, complete)
	}
	outcome, err := p.run(ctx, a)
	switch {
	case err == nil:
		return p.finish(ctx, a.Job, store.Ending{Outcome: outcome}, complete)
	case errors.Is(err, store.ErrFenced):
		return a.Job, err
	case errors.Is(err, commentator.ErrWithdrawn):
		return p.finish(ctx, a.Job, withdrawn(err), complete)
	case errors.Is(err, commentator.ErrNotTakenBack):
		return p.finish(ctx, a.Job, failed(err), complete)
	case errors.Is(ctx.Err(), context.Canceled):
		return p.release(ctx, a.Job, fmt.Errorf("interrupt job %d: %w", jobID, context.Cause(ctx)))
	case commentator.IsLater(err) && a.Job.Attempt < mostPutOff:
		return p.release(ctx, a.Job, err)
	case commentator.IsFinal(err) || a.Job.Failures+1 >= commentator.MaxFailures:
		return p.finish(ctx, a.Job, failed(err), complete)
	}
	j, closeErr := p.Store.FailAttempt(context.WithoutCancel(ctx), a.Job)
	return j, errors.Join(err, closeErr)
}

// Handle is Attempt as the queue wants it: nil when the queue may forget the job. It must
// not forget a job that only this attempt was fenced out of: the newer attempt needs it.
func (p *Pipeline) Handle(ctx context.Context, jobID int64, complete func(tx *sql.Tx) error) error {
	_, err := p.Attempt(ctx, jobID, complete)
	if errors.Is(err, store.ErrFinal) {
		return nil
	}
	return err
}

// Lost makes a job final that the queue will never try again.
func (p *Pipeline) Lost(ctx context.Context, jobID int64, fate queue.Fate) error {
	end := p.announced(ctx, lost(fate))
	end.At = p.Now()
	j, err := p.Store.Conclude(ctx, jobID, end, p.decide, p.started, p.ended)
	if errors.Is(err, store.ErrFinal) {
		return nil
	}
	if err != nil {
		return err
	}
	p.Telemetry.Notify()
	ctx = p.Telemetry.JobContext(ctx, j)
	p.announce(j.ID, end)
	p.Logger.WarnContext(ctx, "job ended without being finished", "job", j.ID, "outcome", j.Outcome, "reason", j.ErrorMessage)
	return nil
}

// run takes the job through the stages that are not recorded yet.
func (p *Pipeline) run(ctx context.Context, a store.Attempt) (commentator.Outcome, error) {
	v := values{job: a.Job, message: a.Message, analyser: p.analyser()}
	for _, s := range stages {
		if rec, done := finished(a.Stages, s.name); done {
			if err := v.load(rec); err != nil {
				return "", err
			}
		} else if errors.Is(ctx.Err(), context.Canceled) {
			return "", ctx.Err()
		} else if ctx.Err() != nil {
			return "", timedOut(s.name)
		} else if err := p.stage(ctx, s, &v); err != nil {
			return "", err
		}
		if s.name == commentator.StageQualityGates && !v.gates.Passed {
			return commentator.OutcomeGateFailed, nil
		}
	}
	return commentator.OutcomeSuccess, nil
}

func (p *Pipeline) analyser() commentator.Analyser {
	if p.Analysers != nil {
		return p.Analysers()
	}
	return p.Analyser
}

// stage does the work of one stage and records it, whether it succeeded or not. An
// interrupted one is not recorded: it says nothing about the job.
func (p *Pipeline) stage(ctx context.Context, s stage, v *values) error {
	rec := commentator.StageRecord{JobID: v.job.ID, Stage: s.name, Attempt: v.job.Attempt, StartedAt: p.Now()}
	stageCtx, span := p.Telemetry.StartStage(ctx, v.job, s.name)
	workErr := p.work(stageCtx, s, v, &rec.Analysis)
	switch {
	case errors.Is(workErr, commentator.ErrWithdrawn), errors.Is(workErr, commentator.ErrNotTakenBack):
		// Whatever ended meanwhile: nobody may post it again.
	case workErr != nil && errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case workErr != nil && ctx.Err() != nil:
		workErr = timedOut(s.name)
	}
	ctx = context.WithoutCancel(ctx) // what is done is recorded, even when the worker is asked to stop
	p.reached(pointWorked, s.name)

	rec.EndedAt = p.Now()
	rec.SpanID = span.SpanID()
	if workErr != nil {
		rec.ErrorType, rec.ErrorMessage = commentator.ErrorCode(workErr), workErr.Error()
	}
	var err error
	if rec.Result, err = v.result(s.name); err != nil {
		return err
	}
	var message telemetry.Message
	var lost error
	if span != nil {
		message, lost = p.message(ctx, span, v.end(s.name, rec))
	}
	if err := p.Store.CommitStage(ctx, v.job, rec, message, lost); err != nil {
		return err
	}
	p.reached(pointCommitted, s.name)
	p.Telemetry.StageEnded(rec)
	p.Telemetry.Notify()
	log := p.Logger.With("job", v.job.ID, "stage", s.name, "attempt", rec.Attempt, "seconds", rec.EndedAt.Sub(rec.StartedAt).Seconds())
	if workErr != nil {
		log.WarnContext(ctx, "stage failed", "error", rec.ErrorType, "message", rec.ErrorMessage)
	} else {
		log.InfoContext(ctx, "stage ended")
	}
	return workErr
}

// work runs the stage. A panic becomes an error, so that one page cannot end the worker.
func (p *Pipeline) work(ctx context.Context, s stage, v *values, analysis *commentator.Analysis) (err error) {
	defer func() {
		if r := recover(); r != nil {
			p.Logger.ErrorContext(ctx, "stage panicked", "job", v.job.ID, "stage", s.name, "panic", r, "stack", string(debug.Stack()))
			err = panicked(s.name, r)
		}
	}()
	return s.work(ctx, p, v, analysis)
}

// message ends the span of a stage. A panic becomes an error, so that telemetry costs neither the
// job nor the worker.
func (p *Pipeline) message(ctx context.Context, span *telemetry.Stage, end telemetry.StageEnd) (m telemetry.Message, err error) {
	defer func() {
		if r := recover(); r != nil {
			p.Logger.ErrorContext(ctx, "telemetry panicked", "job", end.Record.JobID, "stage", end.Record.Stage, "panic", r, "stack", string(debug.Stack()))
			m, err = telemetry.Message{}, fmt.Errorf("end span of stage %s: panic: %v", end.Record.Stage, r)
		}
	}()
	if m, err = span.End(end); err != nil {
		return m, fmt.Errorf("end span of stage %s: %w", end.Record.Stage, err)
	}
	return m, nil
}

// finish makes the job final.
func (p *Pipeline) finish(ctx context.Context, j commentator.Job, end store.Ending, complete func(tx *sql.Tx) error) (commentator.Job, error) {
	ctx = context.WithoutCancel(ctx)
	end = p.announced(ctx, end)
	end.At = p.Now()
	j, err := p.Store.Finish(ctx, j, end, p.ended, complete)
	if err != nil {
		return j, err
	}
	p.Telemetry.Notify()
	p.announce(j.ID, end)
	p.Logger.InfoContext(ctx, "job ended", "job", j.ID, "outcome", j.Outcome, "seconds", j.FinishedAt.Sub(j.StartedAt).Seconds())
	return j, nil
}

// release closes an attempt that ended for a reason that is no failure of the job.
func (p *Pipeline) release(ctx context.Context, j commentator.Job, why error) (commentator.Job, error) {
	j, err := p.Store.ReleaseAttempt(context.WithoutCancel(ctx), j)
	return j, errors.Join(why, err)
}
