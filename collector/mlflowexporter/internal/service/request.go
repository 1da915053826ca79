package service

import (
	"cmp"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
)

// request is the metrics of one process in one Add.
type request struct {
	cfg      Config
	change   *Change
	worker   *worker
	runs     map[string]*Run // by key
	id       identity
	resource pcommon.Resource
	seen     pcommon.Timestamp // newest point of the process before this request; 0: none
	latest   pcommon.Timestamp // a point may have
}

// sample is one point of one stream.
type sample struct {
	metric      string // as the process names it
	stream      string
	start, time pcommon.Timestamp
	delta       bool
	value       float64       // of a gauge or sum
	dist        *distribution // of a histogram
}

// series is the samples of one MLflow metric.
type series struct {
	gauge   bool
	samples []sample
}

func (r *request) add(rm pmetric.ResourceMetrics) {
	all := map[string]*series{}
	var keys []string
	for _, sm := range rm.ScopeMetrics().All() {
		for _, m := range sm.Metrics().All() {
			rule := ruleFor(r.cfg.Rules, m.Name())
			if rule == nil {
				continue
			}
			r.collect(m, func(attrs pcommon.Map, s sample) {
				if s.time == 0 || s.time > r.latest {
					r.drop(DropNoTime, m.Name())
					return
				}
				key := rule.key(m.Name(), attrs)
				s.metric = m.Name()
				s.stream = streamKey(sm.Scope().Name(), m.Name(), attrs)
				if all[key] == nil {
					all[key] = &series{gauge: m.Type() == pmetric.MetricTypeGauge}
					keys = append(keys, key)
				}
				all[key].samples = append(all[key].samples, s)
			})
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		r.series(key, all[key])
	}
}

// collect gives each point of a metric to add.
func (r *request) collect(m pmetric.Metric, add func(pcommon.Map, sample)) {
	numbers := func(points pmetric.NumberDataPointSlice, delta bool) {
		for _, p := range points.All() {
			if p.Flags().NoRecordedValue() {
				continue
			}
			value := p.DoubleValue()
			if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
				value = float64(p.IntValue())
			}
			if !finite(value) {
				r.drop(DropNaN, m.Name())
				continue
			}
			add(p.Attributes(), sample{start: p.StartTimestamp(), time: p.Timestamp(), delta: delta, value: value})
		}
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		numbers(m.Gauge().DataPoints(), false)
	case pmetric.MetricTypeSum:
		numbers(m.Sum().DataPoints(), m.Sum().AggregationTemporality() == pmetric.AggregationTemporalityDelta)
	case pmetric.MetricTypeHistogram:
		delta := m.Histogram().AggregationTemporality() == pmetric.AggregationTemporalityDelta
		for _, p := range m.Histogram().DataPoints().All() {
			if !p.Flags().NoRecordedValue() {
				add(p.Attributes(), sample{start: p.StartTimestamp(), time: p.Timestamp(), delta: delta, dist: explicit(p)})
			}
		}
	case pmetric.MetricTypeExponentialHistogram:
		delta := m.ExponentialHistogram().AggregationTemporality() == pmetric.AggregationTemporalityDelta
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			switch {
			case p.Flags().NoRecordedValue():
			case !sane(p):
				r.drop(DropShape, m.Name())
			default:
				add(p.Attributes(), sample{start: p.StartTimestamp(), time: p.Timestamp(), delta: delta, dist: exponential(p)})
			}
		}
	default: // a summary cannot be added up
		r.drop(DropShape, m.Name())
	}
}

// drop counts a point that is left out, and notes of which metric.
func (r *request) drop(reason, metric string) {
	r.change.Dropped[reason]++
	r.change.Drops[Drop{Reason: reason, Service: r.id.service, Instance: r.id.instance, Metric: metric}] = true
}

// series makes at most one point per interval of the samples of a metric: of those that
// were taken first.
func (r *request) series(key string, s *series) {
	slices.SortStableFunc(s.samples, func(x, y sample) int { return cmp.Compare(millis(x.time), millis(y.time)) })
	for first := 0; first < len(s.samples); {
		at := millis(s.samples[first].time)
		next := first
		for next < len(s.samples) && millis(s.samples[next].time) == at {
			next++
		}
		r.moment(key, s.gauge, s.samples[first:next])
		first = next
	}
}

// moment makes a point of samples that were taken at the same time.
func (r *request) moment(key string, gauge bool, samples []sample) {
	newest := samples[0].time
	r.worker.newest = max(r.worker.newest, newest)
	histogram := samples[0].dist != nil
	fresh := r.fresh(samples, histogram)
	if len(fresh) == 0 {
		return
	}
	at := newest.AsTime()
	name := at.Format(time.DateOnly)
	seconds := int64(at.Sub(at.Truncate(day)) / time.Second)
	interval := int64(max(r.cfg.Interval, time.Minute) / time.Second)
	slot, step := seconds/interval*interval/60, seconds/60
	here := place{time: newest, slot: slot, step: step}
	today := r.worker.days[name]
	if today.taken(key, slot) {
		if !histogram {
			return // what it has stands for the interval
		}
		if fresh = r.later(key, fresh); len(fresh) == 0 {
			return
		}
		if slot = today.free(key, seconds/interval, interval); slot < 0 {
			r.wait(key, fresh...)
			return
		}
		step = slot
	}
	if today != nil && today.used[key] == nil && today.keys()+weight(histogram) > MaxKeys {
		for _, s := range fresh {
			r.drop(DropLimit, s.metric)
		}
		return
	}
	var points []Point
	point := func(suffix string, value float64) {
		if !finite(value) {
			r.drop(DropNaN, fresh[0].metric)
			return
		}
		points = append(points, Point{Key: keys.Under(key, suffix), Value: value, TimeMS: millis(newest), Step: step})
	}
	if histogram {
		d := r.histogram(r.waited(key, fresh))
		d.each(point)
		if d != nil {
			r.gap(name, key, here, d.count > 0)
		}
	} else {
		point("", fold(gauge, fresh))
	}
	if len(points) == 0 {
		return
	}
	run := r.run(name)
	if today = r.worker.days[name]; today.used[key] == nil {
		today.used[key] = &minutes{histogram: histogram}
	}
	today.used[key].set(slot)
	run.Points = append(run.Points, points...)
}

// gap writes a count of 0 where a gap between the points of a histogram begins or ends.
func (r *request) gap(name, key string, at place, observed bool) {
	if today := r.worker.days[name]; today != nil {
		if zero, ok := today.used[key].gap(at, observed); ok {
			run := r.run(name)
			run.Points = append(run.Points, Point{Key: keys.Under(key, "/count"), TimeMS: millis(zero.time), Step: zero.step})
		}
	}
}

// fresh leaves out samples of another shape, and deltas that were counted before.
func (r *request) fresh(samples []sample, histogram bool) []sample {
	fresh := samples[:0:0]
	for _, s := range samples {
		if (s.dist != nil) != histogram {
			r.drop(DropShape, s.metric)
			continue
		}
		if !s.delta || r.accumulate(&s) {
			fresh = append(fresh, s)
		}
	}
	return fresh
}

// fold is the highest value of a gauge's samples, the sum of a sum's.
func fold(gauge bool, samples []sample) float64 {
	value := samples[0].value
	for _, s := range samples[1:] {
		if gauge {
			value = max(value, s.value)
		} else {
			value += s.value
		}
	}
	return value
}

// run is the run of a day, in this request.
func (r *request) run(name string) *Run {
	if r.worker.days[name] == nil {
		r.worker.days[name] = &today{used: map[string]*minutes{}}
	}
	run := Run{Worker: r.id.hash, Day: name}
	if r.runs[run.Key()] == nil {
		run.Experiment = experiment(text(r.resource, r.cfg.ExperimentAttribute), r.cfg.DefaultExperiment, r.cfg.Suffix)
		run.Name, run.Note, run.Tags = r.id.runName(name), r.id.note(name), r.id.tags(r.resource)
		r.runs[run.Key()] = &run
	}
	return r.runs[run.Key()]
}

func millis(t pcommon.Timestamp) int64 { return t.AsTime().UnixMilli() }
