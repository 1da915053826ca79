package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

// Ending is how a job ends.
type Ending struct {
	Outcome      commentator.Outcome
	ErrorType    string // with OutcomeError or OutcomeCancelled
	ErrorMessage string
	At           time.Time
	// Notice says that people in Slack are to be told; it is noted in the same transaction, see
	// NoticesDue.
	Notice bool
}

// Finish makes the job final, puts the message of ended into the outbox and calls inTx
// (nil: nothing), which completes the queue's job, all in one transaction. An open
// attempt that ends with OutcomeError is counted in Job.Failures. It returns the job as
// it is then, or an ErrFenced when another attempt owns it.
func (s *Store) Finish(ctx context.Context, j commentator.Job, end Ending, ended Ended, inTx func(tx *sql.Tx) error) (commentator.Job, error) {
	final := j
	err := s.writeJob(ctx, func(tx *writeTx) error {
		var err error
		if err = s.fence(ctx, tx, j); err != nil {
			return err
		}
		if final, err = s.finish(ctx, tx, j.ID, end, ended); err != nil {
			return err
		}
		if inTx == nil {
			return nil
		}
		return inTx(tx.Tx)
	})
	if err != nil {
		return j, fmt.Errorf("finish job %d: %w", j.ID, err)
	}
	return final, nil
}

// Conclude makes a job final whoever works on it, in one transaction: a job that was
// cancelled or that the queue has lost. One that never started is started first, so
// that it is recorded like any other. It returns ErrFinal when the job is final already.
func (s *Store) Conclude(ctx context.Context, jobID int64, end Ending, decide Decide, started Started, ended Ended) (commentator.Job, error) {
	var final commentator.Job
	err := s.write(ctx, func(tx *writeTx) error {
		j, _, err := s.job(ctx, tx, jobID)
		if err != nil {
			return err
		}
		if j.State == commentator.JobFinal {
			return ErrFinal
		}
		if j.StartedAt.IsZero() {
			if _, err := s.begin(ctx, tx, jobID, end.At, decide, started); err != nil {
				return err
			}
		}
		final, err = s.finish(ctx, tx, jobID, end, ended)
		return err
	})
	if err != nil {
		return final, fmt.Errorf("conclude job %d: %w", jobID, err)
	}
	return final, nil
}

// finish writes the end of a job that is not final.
func (s *Store) finish(ctx context.Context, tx *writeTx, jobID int64, end Ending, ended Ended) (commentator.Job, error) {
	_, err := tx.ExecContext(ctx, `
		UPDATE jobs SET state = 'final', outcome = ?1, error_type = ?2, error_message = ?3, finished_at = ?4,
			failures = failures + CASE WHEN ?1 = 'error' THEN attempt_open ELSE 0 END, attempt_open = 0
		WHERE id = ?5`,
		end.Outcome, end.ErrorType, end.ErrorMessage, micros(end.At), jobID)
	if err != nil {
		return commentator.Job{}, fmt.Errorf("update job: %w", err)
	}
	j, _, err := s.job(ctx, tx, jobID)
	if err != nil {
		return j, err
	}
	m, err := message(ctx, tx, j.MessageID)
	if err != nil {
		return j, err
	}
	if end.Notice {
		if err := askForNotice(ctx, tx, j.ID, m, end.At); err != nil {
			return j, err
		}
	}
	records, err := stages(ctx, tx, jobID)
	if err != nil {
		return j, err
	}
	return j, s.enqueueMessage(ctx, tx, jobID, func() (telemetry.Message, error) {
		return ended(j, m, records)
	})
}
