package apply

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/internal/mlflow"
)

// leaveDeleted leaves out what comes of a trace that a person deleted. MLflow keeps no mark of it: the
// next span would make the trace anew, and its info tell again what was removed. Traces that a repair
// message asks for come back.
func (a *Applier) leaveDeleted(ctx context.Context, t *trace) error {
	if !t.rec.Gone && (len(t.spans) == 0 || len(t.rec.Spans) == 0 || !t.rec.Told || t.rec.Refused || t.job.asked != "") {
		return nil
	}
	if !t.rec.Gone {
		_, err := a.readTrace(ctx, t.TraceID)
		err = a.failed.result("look", t.TraceID, err)
		switch {
		case err == nil:
			return nil
		case !mlflow.IsCode(err, mlflow.CodeNotFound) && permanent(err):
			return nil // what MLflow does not tell for good keeps nothing back
		case !mlflow.IsCode(err, mlflow.CodeNotFound):
			return fmt.Errorf("look for the trace: %w", err)
		case a.moved(ctx, t):
			return errOtherDatabase
		}
		t.rec.Gone = true
		a.log.Info("A trace was deleted in MLflow and stays so", zap.String("trace_id", t.TraceID))
	}
	if len(t.spans) > 0 {
		a.cfg.Count(EventDeletedTrace, 1)
	}
	for _, s := range t.spans {
		t.rec.Spans[s.span.SpanID()] = s.version // dealt with: not counted again
	}
	t.spans, t.skip = nil, true
	return nil
}
