package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// repair makes the ledger forget what it notes as done of the items of a repair message.
func (j *job) repair() {
	if j.asked == "" {
		return
	}
	for _, r := range j.runs {
		rec := j.entry.Job.Runs[r.Key]
		if rec == nil {
			continue
		}
		for _, p := range r.Parts {
			if done := rec.Parts[p.ID]; done != nil && done.Version == p.Version {
				delete(rec.Parts, p.ID)
			}
		}
		rec.Older = slices.DeleteFunc(rec.Older, func(hash string) bool { return hash == r.Version.Hash })
		if r.Implied {
			rec.Said = nil
		} else if rec.Version == r.Version {
			rec.Logged, rec.Files, rec.Done = false, nil, false
		}
	}
	kept := j.entry.Job.Trace
	if kept == nil {
		return
	}
	for _, t := range j.traces {
		if t.exp.ref != kept.Experiment {
			continue
		}
		kept.Told = false
		if kept.Gone { // MLflow has nothing of it
			kept.Gone, kept.Spans = false, nil
		}
		if t.Info != nil {
			kept.Elsewhere = kept.Elsewhere || len(kept.Info) > 0 // MLflow knows it all the same
			kept.Info, kept.Version = nil, reduce.Version{}       // it names a run that may be another one now
		}
		for _, s := range missing(t.Spans, nil) {
			if kept.Spans[s.span.SpanID()] == s.version {
				delete(kept.Spans, s.span.SpanID())
			}
		}
	}
}

// recreates reports whether runs that were deleted are to be brought back.
func (j *job) recreates() bool { return j.asked == wire.RepairRecreate }

// again looks after a run that is noted as gone when a repair message names it: a person may have
// restored it.
func (a *Applier) again(ctx context.Context, r *run) error {
	if r.job.recreates() {
		return a.restore(ctx, r)
	}
	if r.rec.ID == "" { // it would have hung under one that was gone
		*r.rec = ledger.Run{Experiment: r.rec.Experiment}
		return nil
	}
	now, err := a.readRun(ctx, r.rec.ID)
	if mlflow.IsCode(err, mlflow.CodeNotFound) {
		return a.sameDatabase(ctx, r)
	}
	if err != nil {
		return err
	}
	if now.Info.Stage == mlflow.Deleted {
		return nil
	}
	r.rec.Restored()
	return nil
}

// restore brings a deleted run back, or makes room for a new one when it is gone for good.
func (a *Applier) restore(ctx context.Context, r *run) error {
	rec := r.rec
	if rec.ID != "" {
		err := a.call(ctx, func() error { return a.client.RestoreRun(ctx, rec.ID) })
		if err == nil {
			rec.Restored()
			a.log.Info("A deleted run was brought back by a repair message", zap.String("run_id", rec.ID), zap.String("trace_id", r.TraceID))
			return nil
		}
		if !mlflow.IsCode(err, mlflow.CodeNotFound) {
			return fmt.Errorf("restore: %w", err)
		}
	}
	*rec = ledger.Run{Experiment: rec.Experiment}
	return nil
}

// sparing leaves the description of a run out of what a repair message writes, if people only added
// to it. One that lacks something of what it was is written anew, which the log says.
func (a *Applier) sparing(ctx context.Context, r *run, tags []mlflow.KeyValue) ([]mlflow.KeyValue, error) {
	at := slices.IndexFunc(tags, func(t mlflow.KeyValue) bool { return t.Key == mlflow.TagNote })
	if r.job.asked == "" || r.created || at < 0 {
		return tags, nil
	}
	now, err := a.readRun(ctx, r.rec.ID)
	if err = a.lost(ctx, r, err); err != nil || r.rec.Gone {
		return nil, err
	}
	switch held, ours := oneForm(now.Tag(mlflow.TagNote)), oneForm(tags[at].Value); {
	case strings.Contains(held, ours):
		return slices.Delete(tags, at, at+1), nil
	case held != "":
		a.log.Info("A repair message replaces the description of a run, which was another one",
			zap.String("run_id", r.rec.ID), zap.String("trace_id", r.TraceID))
	}
	return tags, nil
}

// oneForm is a text without what an editor changes of itself, and without the space between the columns of
// tables, which descriptions that an older exporter wrote do not have.
func oneForm(text string) string {
	return strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "&nbsp;", "").Replace(text))
}
