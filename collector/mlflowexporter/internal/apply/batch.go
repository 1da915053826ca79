package apply

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// batch is what one run gets at one time.
type batch struct {
	metrics []mlflow.Metric
	params  []mlflow.KeyValue
	tags    []mlflow.KeyValue
	// datasets have a request of their own, behind those of the others.
	datasets []reduce.Dataset
}

func (b batch) empty() bool { return len(b.metrics)+len(b.params)+len(b.tags) == 0 }

// name tells the requests of a run apart.
func (b batch) name() string {
	for _, kvs := range [][]mlflow.KeyValue{b.params, b.tags} {
		if len(kvs) > 0 {
			return kvs[0].Key
		}
	}
	if len(b.metrics) > 0 {
		return b.metrics[0].Key + " " + strconv.FormatInt(b.metrics[0].Step, 10)
	}
	return ""
}

// next cuts off what fits into one request.
func (b *batch) next() batch {
	one := batch{params: take(&b.params, mlflow.MaxBatchParams), tags: take(&b.tags, mlflow.MaxBatchTags)}
	one.metrics = take(&b.metrics, min(mlflow.MaxBatchMetrics, mlflow.MaxBatchEntities-len(one.params)-len(one.tags)))
	return one
}

func take[T any](from *[]T, n int) []T {
	n = min(n, len(*from))
	taken := (*from)[:n:n]
	*from = (*from)[n:]
	return taken
}

// write writes a batch to a run. What MLflow refuses for good is left out and put into the
// dead-letter directory; the rest of the run goes on.
func (a *Applier) write(ctx context.Context, r *run, b batch) error {
	for !b.empty() && !r.rec.Gone {
		one := b.next()
		err := a.lost(ctx, r, a.send(ctx, r, one))
		if err != nil {
			err = fmt.Errorf("log to run %s: %w", r.Name, err)
		}
		if err = a.orBury(r, err); err != nil {
			return err
		}
	}
	return a.logDatasets(ctx, r, b.datasets)
}

// orBury returns an error that another try may heal. What MLflow refuses for good goes into the
// dead-letter directory.
func (a *Applier) orBury(r *run, err error) error {
	if err == nil || !permanent(err) {
		return err
	}
	r.job.fail(err)
	a.bury(r.job, "run", r.Name, err)
	return nil
}

// send writes one request's worth, without the parts that the run has already and for
// which MLflow refuses the whole.
func (a *Applier) send(ctx context.Context, r *run, b batch) error {
	var e *mlflow.Error
	err := a.logNew(ctx, r, &b)
	if errors.As(err, &e) && e.ParamConflict() {
		var names []string
		if b, names, err = a.withoutConflicts(ctx, r, b); err != nil {
			return err
		}
		for !b.empty() && err == nil { // two when there is no room for the tag
			one := b.next()
			err = a.logNew(ctx, r, &one)
		}
		if err == nil {
			a.cfg.Count(EventParamConflict, int64(len(names)))
			a.log.Warn("MLflow holds params with other values, which never change there",
				zap.String("trace_id", r.TraceID), zap.String("run_id", r.rec.ID), zap.Strings("params", names))
		}
	}
	return err
}

// logNew writes a batch without the points that the run has already.
func (a *Applier) logNew(ctx context.Context, r *run, b *batch) error {
	err := a.logBatch(ctx, r, *b)
	var e *mlflow.Error
	if !errors.As(err, &e) || !e.MetricExists() {
		return err
	}
	// A NaN point that was stored by an attempt whose answer we did not see.
	rest := slices.DeleteFunc(slices.Clone(b.metrics), func(m mlflow.Metric) bool { return math.IsNaN(float64(m.Value)) })
	n := len(b.metrics) - len(rest)
	if n == 0 {
		return err
	}
	a.cfg.Count(EventNaN, int64(n))
	b.metrics = rest
	return a.logBatch(ctx, r, *b)
}

func (a *Applier) logBatch(ctx context.Context, r *run, b batch) error {
	if b.empty() {
		return nil
	}
	return a.failed.result("log", r.Key+" "+b.name(), a.call(ctx, func() error {
		return a.client.LogBatch(ctx, mlflow.Batch{RunID: r.rec.ID, Metrics: b.metrics, Params: b.params, Tags: b.tags})
	}))
}

// withoutConflicts drops the params that the run has with another value, which it names, and adds
// a tag that names them and those of before, with which there may be one too many.
func (a *Applier) withoutConflicts(ctx context.Context, r *run, b batch) (rest batch, names []string, err error) {
	now, err := a.readRun(ctx, r.rec.ID)
	if err != nil {
		return b, nil, fmt.Errorf("read params: %w", err)
	}
	has := map[string]string{}
	for _, p := range now.Data.Params {
		has[p.Key] = p.Value
	}
	b.params = slices.DeleteFunc(slices.Clone(b.params), func(p mlflow.KeyValue) bool {
		value, ok := has[p.Key]
		if ok && value != p.Value {
			names = append(names, p.Key)
		}
		return ok
	})
	all := slices.Clone(names)
	told := func(list string) {
		for _, name := range strings.Split(list, ", ") {
			if name != "" {
				all = append(all, name)
			}
		}
	}
	told(now.Tag(wire.TagParamConflict))
	b.tags = slices.DeleteFunc(slices.Clone(b.tags), func(t mlflow.KeyValue) bool {
		if t.Key != wire.TagParamConflict {
			return false
		}
		told(t.Value) // names that are one to MLflow
		return true
	})
	slices.Sort(all)
	b.tags = append(b.tags, mlflow.KeyValue{Key: wire.TagParamConflict, Value: values.Clean(strings.Join(slices.Compact(all), ", "), a.maxTag())})
	return b, names, nil
}

// identityTags are those that the bridge and MLflow know a run by. They are written by themselves:
// what the plan says of them MLflow would take for the run's identity, or refuse with an answer
// that asks for another try when a new run has one of them twice.
var identityTags = []string{wire.TagKey, wire.TagClaim, mlflow.TagParentRun, mlflow.TagRunName}

// tags are the tags of a run as they go to MLflow. As long as the run has no id, values
// that need it keep the placeholder.
func (a *Applier) tags(r *run) []mlflow.KeyValue {
	id, _, _ := strings.Cut(r.rec.Experiment, "@")
	replace := []string{reduce.PlaceholderExperimentID, id, reduce.PlaceholderUI, a.cfg.UIURL}
	if r.rec.ID != "" {
		replace = append(replace, reduce.PlaceholderRunID, r.rec.ID)
	}
	fill, most := strings.NewReplacer(replace...), a.maxTag()
	tags := keyValues(r.Tags, func(key, v string) string {
		if key == reduce.PlaceholderTag { // in all others {{run_id}} is what somebody wrote
			v = fill.Replace(v)
		}
		return values.Clean(v, most)
	})
	tags = slices.DeleteFunc(tags, func(t mlflow.KeyValue) bool {
		return slices.Contains(identityTags, t.Key)
	})
	if r.parent != nil && r.parent.ID != "" && r.parent.Experiment == r.rec.Experiment {
		tags = append(tags, mlflow.KeyValue{Key: mlflow.TagParentRun, Value: r.parent.ID})
	}
	return tags
}

// late keeps the tags that a run which was made just now was not made with. MLflow looks for
// each tag of runs/log-batch on its own, for those of runs/create it need not.
func (r *run) late(tags []mlflow.KeyValue) []mlflow.KeyValue {
	if !r.created {
		return tags
	}
	return slices.DeleteFunc(tags, func(t mlflow.KeyValue) bool { return slices.Contains(r.given, t) })
}

func params(in []reduce.KeyValue) []mlflow.KeyValue {
	return keyValues(in, func(_, v string) string { return values.Clean(v, mlflow.MaxParamValue) })
}

// keyValues cleans keys and values. Of keys that become alike the first one is kept:
// MLflow refuses a batch that names one twice.
func keyValues(in []reduce.KeyValue, value func(key, value string) string) []mlflow.KeyValue {
	out := make([]mlflow.KeyValue, 0, len(in))
	seen := map[string]bool{}
	for _, kv := range in {
		if key := keys.Clean(kv.Key); key != "" && !seen[key] {
			seen[key] = true
			out = append(out, mlflow.KeyValue{Key: key, Value: value(key, kv.Value)})
		}
	}
	return out
}

func metrics(in []reduce.Metric) []mlflow.Metric {
	out := make([]mlflow.Metric, 0, len(in))
	for _, m := range in {
		if key := keys.Clean(m.Key); key != "" {
			out = append(out, mlflow.Metric{Key: key, Value: mlflow.Number(m.Value), Timestamp: max(m.TimestampMS, 0), Step: m.Step})
		}
	}
	return out
}
