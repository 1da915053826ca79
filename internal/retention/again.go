package retention

import (
	"context"
	"errors"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/pause"
)

// patient asks again what MLflow did not answer, or could not do at the moment: its database
// was locked, or it closed the connection. All that is asked may be asked twice.
type patient struct{ Server }

// pauses before each further try.
var pauses = []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}

func again(ctx context.Context, ask func() error) error {
	for _, wait := range pauses {
		err := ask()
		var e *mlflow.Error
		if !errors.As(err, &e) || !e.Retryable() || e.NotSent() { // nobody listens: it is not running
			return err
		}
		if pause.For(ctx, wait) != nil {
			return err
		}
	}
	return ask()
}

func (p patient) SearchAllExperiments(ctx context.Context) (all []mlflow.Experiment, err error) {
	err = again(ctx, func() error { all, err = p.Server.SearchAllExperiments(ctx); return err })
	return all, err
}

func (p patient) ListArtifacts(ctx context.Context, runID, dir string) (files []mlflow.File, err error) {
	err = again(ctx, func() error { files, err = p.Server.ListArtifacts(ctx, runID, dir); return err })
	return files, err
}

func (p patient) SetExperimentTag(ctx context.Context, id, key, value string) error {
	return again(ctx, func() error { return p.Server.SetExperimentTag(ctx, id, key, value) })
}

func (p patient) DeleteRun(ctx context.Context, runID string) error {
	return again(ctx, func() error { return p.Server.DeleteRun(ctx, runID) })
}

func (p patient) RestoreRun(ctx context.Context, runID string) error {
	return again(ctx, func() error { return p.Server.RestoreRun(ctx, runID) })
}

func (p patient) DeleteTraces(ctx context.Context, experimentID string, traceIDs ...string) (n int, err error) {
	err = again(ctx, func() error { n, err = p.Server.DeleteTraces(ctx, experimentID, traceIDs...); return err })
	return n, err
}
