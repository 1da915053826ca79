package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/service"
	"github.com/technoshare/commentator/internal/mlflow"
)

// serviceDays is for how long after it a day of a process is remembered.
const serviceDays = 8

// serviceHash stands where the version of a job's run has the hash of its span.
const serviceHash = "service"

// ApplyService makes MLflow hold the points of some processes. A run is RUNNING during its
// day and FINISHED when points of a later day come. An error means that all of it is to be
// tried again; what MLflow refuses for good is counted and logged.
func (a *Applier) ApplyService(ctx context.Context, runs []service.Run) error {
	byWorker := map[string][]service.Run{}
	for _, r := range runs {
		byWorker[r.Worker] = append(byWorker[r.Worker], r)
	}
	var errs []error
	for _, worker := range slices.Sorted(maps.Keys(byWorker)) {
		days := byWorker[worker]
		err := a.applyWorker(ctx, "service-"+worker, days)
		if err != nil && permanent(err) {
			a.refuseMetrics(days[0], points(days), err)
			err = nil
		}
		if err != nil {
			a.ledger.Seen("service-" + worker)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (a *Applier) applyWorker(ctx context.Context, id string, days []service.Run) error {
	defer a.locks.lock([]string{id})()
	claim := ledger.Claim{TraceID: id}
	for _, d := range days {
		exp, err := a.experimentOf(ctx, d.Experiment, mlflow.ExperimentCustom)
		if err != nil {
			return err
		}
		claim.Runs = append(claim.Runs, ledger.RunClaim{Key: d.Key(), Experiment: exp.ref})
	}
	entries, err := a.ledger.Begin(ctx, []ledger.Claim{claim})
	if err != nil {
		return err
	}
	j := &job{traceID: id, entry: entries[0]}
	err = a.applyDays(ctx, j, days)
	// What was done is noted even when the Collector is shutting down.
	return errors.Join(err, a.ledger.End(context.WithoutCancel(ctx), entries))
}

func (a *Applier) applyDays(ctx context.Context, j *job, days []service.Run) error {
	for _, d := range days {
		if j.entry.Job.Runs[d.Key()] == nil && dayOf(d.Key()) < daysBefore(j.newestDay(), serviceDays) {
			a.refuseMetrics(d, len(d.Points), errors.New("the day is over for too long"))
			continue
		}
		if err := a.applyDay(ctx, j, d); err != nil {
			return err
		}
	}
	newest := j.newestDay()
	for _, key := range slices.Sorted(maps.Keys(j.entry.Job.Runs)) {
		rec := j.entry.Job.Runs[key]
		if dayOf(key) < newest && !rec.Done && !rec.Gone && rec.ID != "" {
			if err := a.finishDay(ctx, j, key, rec); err != nil {
				return err
			}
		}
	}
	maps.DeleteFunc(j.entry.Job.Runs, func(key string, rec *ledger.Run) bool {
		return dayOf(key) < daysBefore(newest, serviceDays) && (rec.Done || rec.Gone)
	})
	return nil
}

// applyDay writes the points of one day.
func (a *Applier) applyDay(ctx context.Context, j *job, d service.Run) error {
	r := &run{job: j, rec: j.entry.Job.Run(d.Key()), Run: reduce.Run{
		Key: d.Key(), TraceID: j.traceID, Experiment: d.Experiment, Name: d.Name, StartTime: d.Points[0].TimeMS,
	}}
	for _, t := range d.Tags {
		r.Tags = append(r.Tags, reduce.KeyValue{Key: t.Key, Value: t.Value})
	}
	r.Tags = append(r.Tags, reduce.KeyValue{Key: mlflow.TagNote, Value: d.Note})
	for _, p := range d.Points {
		r.Metrics = append(r.Metrics, reduce.Metric{Key: p.Key, Value: p.Value, TimestampMS: p.TimeMS, Step: p.Step})
	}
	if midnight, err := time.Parse(time.DateOnly, d.Day); err == nil && !a.ledger.Complete(midnight.UnixMilli()) {
		j.setOpen(r.Key, true) // the ledger may have been lost during this day
	}
	err := a.stayDay(ctx, r)
	if err == nil {
		err = a.ensure(ctx, r)
	}
	if err != nil {
		return fmt.Errorf("create run %s: %w", r.Name, err)
	}
	wasGone := r.rec.Gone
	b := batch{metrics: metrics(r.Metrics)}
	if d.Retag && !r.created {
		b.tags = slices.DeleteFunc(a.tags(r), func(t mlflow.KeyValue) bool { return t.Key == mlflow.TagNote }) // people may have written theirs
	}
	for !b.empty() && !r.rec.Gone {
		one := b.next()
		err := a.lost(ctx, r, a.send(ctx, r, one))
		if err != nil && permanent(err) {
			a.refuseMetrics(d, len(one.metrics), err)
			err = nil
		}
		if err != nil {
			return fmt.Errorf("log to run %s: %w", r.Name, err)
		}
	}
	if wasGone {
		a.cfg.Count(EventDeletedRun, 1)
	}
	last := uint64(d.Points[len(d.Points)-1].TimeMS) * uint64(time.Millisecond) // a time after 1970
	r.rec.Version = reduce.Version{EndUnixNano: max(r.rec.Version.EndUnixNano, last), Hash: serviceHash}
	r.rec.EndsAs = mlflow.StatusFinished // a worker that was stopped says no more
	return nil
}

// stayDay keeps the run of a day in the experiment where it is, whatever the configuration names
// meanwhile: the next day's is in the other one.
func (a *Applier) stayDay(ctx context.Context, r *run) error {
	if r.rec.ID == "" {
		return nil
	}
	exp, err := a.experiment(ctx, r.Experiment)
	if err != nil || exp.ref == r.rec.Experiment {
		return err
	}
	name, there, err := a.experimentName(ctx, r.rec.Experiment)
	if there {
		r.Experiment = name
	}
	if err != nil && permanent(err) {
		return nil // what MLflow does not tell for good is as the configuration says
	}
	return err
}

func (a *Applier) finishDay(ctx context.Context, j *job, key string, rec *ledger.Run) error {
	r := &run{job: j, rec: rec, Run: reduce.Run{Key: key, TraceID: j.traceID, Name: rec.Name, Version: rec.Version}}
	end := int64(rec.Version.EndUnixNano / uint64(time.Millisecond)) // ns since 1970 fit until 2262
	err := a.call(ctx, func() error {
		return a.client.UpdateRun(ctx, mlflow.UpdateRun{RunID: rec.ID, Status: mlflow.StatusFinished, EndTime: end})
	})
	if err = a.failed.result("update", key, err); mlflow.IsCode(err, mlflow.CodeNotFound) {
		rec.Gone = true // with its database, perhaps: nothing makes this day's run anew
		return nil
	}
	err = a.lost(ctx, r, err)
	if err != nil && !permanent(err) {
		return fmt.Errorf("finish run %s: %w", rec.Name, err)
	}
	if err != nil {
		a.log.Warn("A service run cannot be finished", zap.String("run_id", rec.ID), zap.Error(err))
	}
	rec.Done = true
	return nil
}

func (a *Applier) refuseMetrics(d service.Run, n int, err error) {
	a.cfg.Count(EventRefusedMetric, int64(n))
	a.log.Warn("MLflow does not get these points of metrics", zap.String("run", d.Name), zap.Int("points", n), zap.Error(err))
}

func points(days []service.Run) (n int) {
	for _, d := range days {
		n += len(d.Points)
	}
	return n
}

// newestDay is the latest day of which there is a run; empty when there is none.
func (j *job) newestDay() (day string) {
	for key := range j.entry.Job.Runs {
		day = max(day, dayOf(key))
	}
	return day
}

// dayOf is the end of a key of service.Run, 2006-01-02.
func dayOf(key string) string {
	return key[max(0, len(key)-len(time.DateOnly)):]
}

// daysBefore counts back; it is empty for what is no day.
func daysBefore(day string, n int) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return ""
	}
	return t.AddDate(0, 0, -n).Format(time.DateOnly)
}
