package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

// Attempt is a try at a job: what is known of it and what has been done already.
type Attempt struct {
	Job     commentator.Job
	Message commentator.Message
	Stages  []commentator.StageRecord // every recorded attempt at a stage, in the order in which they ended

	// Exhausted says that the limits MaxFailures or MaxKills are reached: nothing may be
	// tried any more, and the caller makes the job final.
	Exhausted bool
}

// The callbacks run inside a write transaction: they must not use the store.
type (
	// Decide says how much of a job that starts is recorded. (*telemetry.Provider).Decide.
	// It is asked again about a job whose beginning could not be written.
	Decide func(commentator.Job, commentator.Message) commentator.Decision
	// Started makes the message that shows a job as running. (*telemetry.Provider).JobStarted.
	Started func(commentator.Job, commentator.Message) (telemetry.Message, error)
	// Ended makes the message that ends a job. (*telemetry.Provider).JobEnded.
	Ended func(commentator.Job, commentator.Message, []commentator.StageRecord) (telemetry.Message, error)
)

// BeginAttempt begins the next attempt at a job. From now on every other attempt is
// fenced. One that is found open ended with its process and is counted in Job.Kills.
//
// The first attempt sets StartedAt and what decide says, never to change again, and puts
// the message of started into the outbox, in the same transaction.
//
// It returns ErrFinal for a final job and ErrNotFound for one that does not exist.
func (s *Store) BeginAttempt(ctx context.Context, jobID int64, now time.Time, decide Decide, started Started) (Attempt, error) {
	var a Attempt
	err := s.writeJob(ctx, func(tx *writeTx) error {
		var err error
		a, err = s.begin(ctx, tx, jobID, now, decide, started)
		return err
	})
	if err != nil {
		return Attempt{}, fmt.Errorf("begin attempt at job %d: %w", jobID, err)
	}
	return a, nil
}

func (s *Store) begin(ctx context.Context, tx *writeTx, jobID int64, now time.Time, decide Decide, started Started) (a Attempt, err error) {
	j, open, err := s.lockJob(ctx, tx, jobID)
	if err != nil {
		return a, err
	}
	if j.State == commentator.JobFinal {
		return a, ErrFinal
	}
	if a.Message, err = message(ctx, tx, j.MessageID); err != nil {
		return a, err
	}
	if a.Stages, err = stages(ctx, tx, jobID); err != nil {
		return a, err
	}
	j.Attempt++
	if open {
		j.Kills++
	}
	a.Exhausted = j.Failures >= commentator.MaxFailures || j.Kills >= commentator.MaxKills
	first := j.StartedAt.IsZero()
	decision := sql.NullString{Valid: first} // null: what is there stays
	if first {
		j.State = commentator.JobRunning
		j.StartedAt = fromMicros(micros(now))
		if decision.String, err = take(&j, tx.decide(j, a.Message, decide)); err != nil {
			return a, err
		}
	}
	// An exhausted job has no open attempt, so that a crash before its end counts no kill.
	_, err = tx.ExecContext(ctx, `
		UPDATE jobs SET state = ?, attempt = ?, attempt_open = ?, kills = ?, started_at = ?, detail = ?,
			decision = COALESCE(?, decision)
		WHERE id = ?`,
		j.State, j.Attempt, !a.Exhausted, j.Kills, micros(j.StartedAt), j.Detail, decision, jobID)
	if err != nil {
		return a, fmt.Errorf("update job: %w", err)
	}
	a.Job = j
	if !first {
		return a, nil
	}
	return a, s.enqueueMessage(ctx, tx, jobID, func() (telemetry.Message, error) {
		return started(j, a.Message)
	})
}

// FailAttempt closes an attempt that ended with an error and counts it in
// Job.Failures. It returns the job as it is then.
func (s *Store) FailAttempt(ctx context.Context, j commentator.Job) (commentator.Job, error) {
	return s.closeAttempt(ctx, j, 1)
}

// ReleaseAttempt closes an attempt that was interrupted on purpose, such as by the end
// of the program. It counts as neither a failure nor a kill.
func (s *Store) ReleaseAttempt(ctx context.Context, j commentator.Job) (commentator.Job, error) {
	return s.closeAttempt(ctx, j, 0)
}

func (s *Store) closeAttempt(ctx context.Context, j commentator.Job, failures int) (commentator.Job, error) {
	err := s.writeJob(ctx, func(tx *writeTx) error {
		if err := s.fence(ctx, tx, j); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE jobs SET attempt_open = 0, failures = failures + ? WHERE id = ?`, failures, j.ID)
		if err != nil {
			return fmt.Errorf("update job: %w", err)
		}
		j, _, err = s.job(ctx, tx, j.ID)
		return err
	})
	if err != nil {
		return j, fmt.Errorf("close attempt %d at job %d: %w", j.Attempt, j.ID, err)
	}
	return j, nil
}

// fence makes sure that the attempt that j was read in still owns the job, until tx ends.
func (s *Store) fence(ctx context.Context, tx *writeTx, j commentator.Job) error {
	var attempt int
	var state commentator.JobState
	err := tx.QueryRowContext(ctx, `SELECT attempt, state FROM jobs WHERE id = ?`+tx.dialect.forUpdate, j.ID).Scan(&attempt, &state)
	switch {
	case err != nil:
		return notFound(err)
	case state == commentator.JobFinal:
		return ErrFinal
	case attempt != j.Attempt:
		return fmt.Errorf("%w: attempt %d has begun", ErrFenced, attempt)
	}
	return nil
}
