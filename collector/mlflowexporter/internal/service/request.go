package service

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
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
	stream      string
	start, time pcommon.Timestamp
	delta       bool
	value       float64       // of a gauge or sum
	dist        *distribution // of a histogram
}

// process names the stream and the process that it is of: workers of one name may run at a time, such
// as one that serves and a command beside it. Points of deltas do not tell.
func (s sample) process() string {
	if s.delta {
		return s.stream
	}
	return s.stream + "\x00" + strconv.FormatUint(uint64(s.start), 10)
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
					r.change.Dropped[DropNoTime]++
					return
				}
				key := rule.key(m.Name(), attrs)
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
			if math.IsNaN(value) || math.IsInf(value, 0) {
				r.change.Dropped[DropNaN]++
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
				r.change.Dropped[DropShape]++
			default:
				add(p.Attributes(), sample{start: p.StartTimestamp(), time: p.Timestamp(), delta: delta, dist: exponential(p)})
			}
		}
	default: // a summary cannot be added up
		r.change.Dropped[DropShape]++
	}
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
	fresh := samples[:0:0]
	for _, s := range samples {
		if (s.dist != nil) != histogram {
			r.change.Dropped[DropShape]++
			continue
		}
		if !s.delta || r.accumulate(&s) {
			fresh = append(fresh, s)
		}
	}
	at := newest.AsTime()
	name := at.Format(time.DateOnly)
	seconds := int64(at.Sub(at.Truncate(day)) / time.Second)
	interval := int64(max(r.cfg.Interval, time.Minute) / time.Second)
	slot, step := seconds/interval*interval/60, seconds/60
	today := r.worker.days[name]
	if len(fresh) == 0 {
		return
	}
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
	if today == nil || today.used[key] == nil {
		if today != nil && today.keys()+weight(histogram) > MaxKeys {
			r.change.Dropped[DropLimit] += int64(len(fresh))
			return
		}
	}
	var points []Point
	point := func(suffix string, value float64) {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			r.change.Dropped[DropNaN]++
			return
		}
		points = append(points, Point{Key: keys.Under(key, suffix), Value: value, TimeMS: millis(newest), Step: step})
	}
	switch {
	case histogram:
		r.histogram(r.waited(key, fresh)).each(point)
	case gauge:
		value := fresh[0].value
		for _, s := range fresh[1:] {
			value = max(value, s.value)
		}
		point("", value)
	default:
		value := 0.0
		for _, s := range fresh {
			value += s.value
		}
		point("", value)
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

// later lets histograms wait for the next point of their metric if there was one of the same process
// before. It gives the others: perhaps nothing more comes of a process that was short.
func (r *request) later(key string, samples []sample) (first []sample) {
	for _, s := range samples {
		old := r.worker.streams[s.stream]
		switch process := old.of(s.start); {
		case s.delta && old.last != nil, !s.delta && process != nil && s.time > process.time:
			r.wait(key, s)
		case s.delta, process == nil:
			first = append(first, s)
		}
	}
	return first
}

// wait keeps the latest of each process until its metric has a point again.
func (r *request) wait(key string, samples ...sample) {
	waiting := maps.Clone(r.worker.waiting[key])
	if waiting == nil {
		waiting = map[string]sample{}
	}
	for _, s := range samples {
		old, ok := waiting[s.process()]
		if !ok && len(waiting) >= MaxStreams {
			r.change.Dropped[DropLimit]++
			continue
		}
		if s.time >= old.time {
			waiting[s.process()] = s
		}
	}
	r.worker.waiting[key] = waiting
}

// waited adds what waits for the next point of a metric, of processes of which there is nothing newer.
func (r *request) waited(key string, samples []sample) []sample {
	waiting := maps.Clone(r.worker.waiting[key])
	delete(r.worker.waiting, key)
	for _, s := range samples {
		if s.time >= waiting[s.process()].time {
			delete(waiting, s.process())
		}
	}
	all := slices.Clone(samples)
	for _, id := range slices.Sorted(maps.Keys(waiting)) {
		all = append(all, waiting[id])
	}
	return all
}

// run is the run of a day, in this request.
func (r *request) run(name string) *Run {
	if r.worker.days[name] == nil {
		r.worker.days[name] = &today{used: map[string]*minutes{}}
	}
	run := Run{Worker: r.id.hash, Day: name}
	if r.runs[run.Key()] == nil {
		run.Experiment = experiment(text(r.resource, r.cfg.ExperimentAttribute), r.cfg.DefaultExperiment, r.cfg.Suffix)
		run.Name, run.Tags = r.id.runName(name), r.id.tags(r.resource)
		r.runs[run.Key()] = &run
	}
	return r.runs[run.Key()]
}

// stream is what is remembered of one histogram, or of one delta sum.
type stream struct {
	start, time pcommon.Timestamp // of the latest point
	// last is the cumulative histogram of which a point was made last.
	last *distribution
	// total is all delta points together.
	total      *distribution
	totalValue float64
	// others are those of other processes of this name, which began at another time: those with the
	// latest points, and when the last of the rest began.
	others []*stream
	gone   pcommon.Timestamp
}

// of is the stream of the process that began then, nil if none is known.
func (s *stream) of(start pcommon.Timestamp) *stream {
	if s == nil || s.start == start {
		return s
	}
	if i := slices.IndexFunc(s.others, func(o *stream) bool { return o.start == start }); i >= 0 {
		return s.others[i]
	}
	return nil
}

// newest is when its latest point was taken, of whatever process.
func (s *stream) newest() pcommon.Timestamp {
	if len(s.others) == 0 {
		return s.time
	}
	return max(s.time, s.others[0].time) // the latest of the others is the first
}

// with is now in the place of what was known of its process, beside the others.
func (s *stream) with(now stream) *stream {
	if s == nil {
		return &now
	}
	alone := *s
	alone.others = nil
	now.gone = s.gone
	now.others = append([]*stream{&alone}, s.others...)
	now.others = slices.DeleteFunc(now.others, func(o *stream) bool { return o.start == now.start })
	slices.SortStableFunc(now.others, func(x, y *stream) int { return cmp.Compare(y.time, x.time) })
	for len(now.others) >= maxProcesses {
		last := len(now.others) - 1
		now.gone = max(now.gone, now.others[last].start)
		now.others = now.others[:last]
	}
	return &now
}

// accumulate makes a cumulative sample of a delta one. It reports whether the sample adds
// anything: one that is not newer than those before has been counted.
func (r *request) accumulate(s *sample) bool {
	old := r.worker.streams[s.stream]
	now := stream{start: s.start, time: s.time}
	if old != nil {
		if s.time <= old.time {
			return false
		}
		now.last, now.total, now.totalValue = old.last, old.total, old.totalValue
	} else if !r.room() {
		return false
	}
	if s.dist == nil {
		now.totalValue += s.value
		s.value = now.totalValue
	} else {
		if now.total == nil || !now.total.addable(s.dist) {
			now.total, now.last = s.dist, nil // the first, or other buckets than before
		} else {
			now.total = now.total.plus(s.dist)
		}
		s.dist = now.total
	}
	r.worker.streams[s.stream] = &now
	return true
}

// histogram adds up what the streams of one metric observed since their last points; nil
// means nothing.
func (r *request) histogram(samples []sample) *distribution {
	var sum *distribution
	for _, s := range samples {
		d := r.since(s)
		switch {
		case d == nil || d.count == 0:
		case sum == nil:
			sum = d
		case sum.addable(d):
			sum = sum.plus(d)
		default:
			r.change.Dropped[DropShape]++
		}
	}
	return sum
}

// since is what one stream observed since its last point. It is nil when that is not known.
func (r *request) since(s sample) *distribution {
	old := r.worker.streams[s.stream]
	if s.delta {
		if old == nil {
			return nil
		}
		now := *old
		now.last = s.dist
		r.worker.streams[s.stream] = &now
		if old.last == nil {
			return s.dist
		}
		d, _ := s.dist.minus(old.last)
		return d
	}
	process := old.of(s.start)
	switch {
	case old == nil && !r.room():
		return nil
	case process != nil && (s.time <= process.time || process.last == nil):
		return nil // late, or known
	}
	r.worker.streams[s.stream] = old.with(stream{start: s.start, time: s.time, last: s.dist})
	if process == nil && old != nil && s.start <= old.gone {
		return nil // known, but forgotten: it says where its next point begins
	}
	if process == nil {
		began := old != nil && s.start > old.start // after another, whose points were seen
		if !began && s.start.AsTime().Before(r.cfg.Birth) && (r.seen < s.start || r.seen >= s.time || r.seen == 0) {
			return nil
		}
		return s.dist
	}
	if d, ok := s.dist.minus(process.last); ok {
		return d
	}
	return s.dist // the process began anew, without saying so
}

// room reports whether one more stream may be remembered.
func (r *request) room() bool {
	if len(r.worker.streams) < MaxStreams {
		return true
	}
	r.change.Dropped[DropLimit]++
	return false
}

func millis(t pcommon.Timestamp) int64 { return t.AsTime().UnixMilli() }
