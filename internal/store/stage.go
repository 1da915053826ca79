package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

// CommitStage records a finished attempt at a stage together with its message. What
// was returned as committed survives the process. The record's attempt is j.Attempt.
//
// It returns an ErrFenced when another attempt owns the job. A message that could not be made,
// for which lost is the reason, or cannot be stored is counted in Stats and is no error.
func (s *Store) CommitStage(ctx context.Context, j commentator.Job, rec commentator.StageRecord, msg telemetry.Message, lost error) error {
	err := s.writeJob(ctx, func(tx *writeTx) error {
		if err := s.fence(ctx, tx, j); err != nil {
			return err
		}
		if err := insertStage(ctx, tx, j, rec); err != nil {
			return err
		}
		return s.enqueueMessage(ctx, tx, j.ID, func() (telemetry.Message, error) { return msg, lost })
	})
	if err != nil {
		return fmt.Errorf("commit stage %s of job %d: %w", rec.Stage, j.ID, err)
	}
	return nil
}

func insertStage(ctx context.Context, tx *writeTx, j commentator.Job, rec commentator.StageRecord) error {
	analysis, err := json.Marshal(rec.Analysis)
	if err != nil {
		return fmt.Errorf("encode analysis: %w", err)
	}
	var result any // NULL, or JSON as text
	if rec.Result != nil {
		result = string(rec.Result)
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO stages (job_id, stage, attempt, span_id, started_at, ended_at, error_type, error_message, result, analysis)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		j.ID, rec.Stage, j.Attempt, rec.SpanID, micros(rec.StartedAt), micros(rec.EndedAt),
		rec.ErrorType, rec.ErrorMessage, result, string(analysis))
	if err != nil {
		return fmt.Errorf("insert stage: %w", err)
	}
	return nil
}
