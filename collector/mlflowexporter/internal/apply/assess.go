package apply

import (
	"cmp"
	"context"
	"encoding/json"
	"reflect"
	"strconv"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/internal/mlflow"
)

// tracedAlready reports whether MLflow has the trace of a verdict.
func (a *Applier) tracedAlready(ctx context.Context, j *job, exp experiment, s *ledger.Score) (bool, error) {
	if t := j.entry.Job.Trace; t != nil && t.Experiment == exp.ref {
		return t.Told || (len(t.Info) == 0 && len(t.Spans) > 0), nil
	}
	if !a.searches(j, s) {
		return false, nil
	}
	_, err := a.readTrace(ctx, j.traceID)
	if noTrace(err) {
		return false, nil
	}
	return err == nil, err
}

// assess makes a trace hold a verdict, and reports whether it has one of this source then. That the
// trace is gone is no error: somebody removed it, or what was refused of it is yet to be mended.
func (a *Applier) assess(ctx context.Context, j *job, exp experiment, id string, s *ledger.Score) (held bool, err error) {
	in := assessment(j.traceID, id, s)
	if t := j.entry.Job.Trace; s.Uncounted && t != nil && t.Run != "" {
		in.Metadata[mlflow.MetaAssessedIn] = t.Run
	} else if rec := j.entry.Job.Runs[s.RunKey]; !s.Uncounted && s.RunKey != j.traceID && rec != nil && rec.ID != "" {
		in.Metadata[mlflow.MetaAssessedIn] = rec.ID
	}
	switch {
	case s.Retracted:
		err = a.call(ctx, func() error { return a.client.DeleteAssessment(ctx, in.TraceID, id) })
	case s.Held:
		err = a.update(ctx, in)
	default:
		err = a.call(ctx, func() error { return a.client.CreateAssessment(ctx, in) })
		if mlflow.AssessmentExists(err) { // by an attempt whose end nobody saw, or before the ledger was lost
			err = a.overwrite(ctx, in, s)
		}
	}
	switch {
	case err == nil:
		return !s.Retracted, nil
	case !mlflow.IsCode(err, mlflow.CodeNotFound):
		return s.Held, err
	}
	a.forget(s.Experiment)
	now, there, err := a.experimentIfThere(ctx, s.Experiment)
	if err == nil && (!there || now.ref != exp.ref) {
		err = errOtherDatabase
	}
	return false, err
}

// overwrite updates an assessment unless it holds this verdict, or a later one.
func (a *Applier) overwrite(ctx context.Context, in mlflow.Assessment, s *ledger.Score) error {
	var now mlflow.Assessment
	err := a.call(ctx, func() (err error) { now, err = a.client.GetAssessment(ctx, in.TraceID, in.ID); return err })
	if err != nil {
		return err
	}
	if at, err := strconv.ParseUint(now.Metadata[metaTime], 10, 64); err == nil && (at > s.Version.EndUnixNano || (at == s.Version.EndUnixNano && same(now, in))) {
		return nil
	}
	return a.update(ctx, in)
}

// update replaces an assessment. MLflow adds the metadata to what it has.
func (a *Applier) update(ctx context.Context, in mlflow.Assessment) error {
	if _, ok := in.Metadata[metaLabel]; !ok {
		in.Metadata[metaLabel] = ""
	}
	return a.call(ctx, func() error { return a.client.UpdateAssessment(ctx, in) })
}

// same reports whether two assessments say the same. MLflow writes 1 as 1.0.
func same(x, y mlflow.Assessment) bool {
	saidX, saidY := cmp.Or(x.Feedback, x.Expectation), cmp.Or(y.Feedback, y.Expectation)
	if saidX == nil || saidY == nil || x.Why != y.Why || x.Metadata[metaLabel] != y.Metadata[metaLabel] {
		return false
	}
	var v, w any
	return json.Unmarshal(saidX.Value, &v) == nil && json.Unmarshal(saidY.Value, &w) == nil && reflect.DeepEqual(v, w)
}

func assessment(traceID, id string, s *ledger.Score) mlflow.Assessment {
	at := time.Unix(0, int64(s.Version.EndUnixNano)).UTC().Format("2006-01-02T15:04:05.000Z") // ns since 1970 fit until 2262
	out := mlflow.Assessment{
		ID: id, Name: s.Name, TraceID: "tr-" + traceID, SpanID: s.SpanID, Why: s.Why, Created: at, Updated: at,
		Source:   mlflow.AssessmentSource{Type: s.SourceType, ID: s.SourceID},
		Metadata: map[string]string{metaTime: strconv.FormatUint(s.Version.EndUnixNano, 10)},
	}
	if value := (&mlflow.Feedback{Value: s.Value}); s.Expected {
		out.Expectation = value
	} else {
		out.Feedback = value
	}
	if s.Label != "" {
		out.Metadata[metaLabel] = s.Label
	}
	return out
}
