package service

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

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
	} else if !r.room(s.metric) {
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

// histogram adds up what the streams of one metric observed since their last points. It is nil when
// that is not known: nothing at all was observed only if each of them says so.
func (r *request) histogram(samples []sample) *distribution {
	var sum, nothing *distribution
	unknown := false
	for _, s := range samples {
		d := r.since(s)
		switch {
		case d == nil:
			unknown = true
		case d.count == 0:
			nothing = d
		case sum == nil:
			sum = d
		case sum.addable(d):
			sum = sum.plus(d)
		default:
			r.drop(DropShape, s.metric)
		}
	}
	if sum == nil && !unknown {
		return nothing
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
	case old == nil && !r.room(s.metric):
		return nil
	case process != nil && (s.time <= process.time || process.last == nil):
		return nil // late, or known, or of deltas until now
	}
	r.worker.streams[s.stream] = old.with(stream{start: s.start, time: s.time, last: s.dist})
	if process == nil {
		began := old != nil && s.start > old.start     // after another, whose points were seen
		forgotten := old != nil && s.start <= old.gone // some of it may have been told
		unseen := s.start.AsTime().Before(r.cfg.Birth) && (r.seen < s.start || r.seen >= s.time || r.seen == 0)
		if forgotten || (unseen && !began) {
			return nil // it says where the next point begins
		}
		return s.dist
	}
	if d, ok := s.dist.minus(process.last); ok {
		return d
	}
	return s.dist // the process began anew, without saying so
}

// room reports whether one more stream may be remembered, of some metric.
func (r *request) room(metric string) bool {
	if len(r.worker.streams) < MaxStreams {
		return true
	}
	r.drop(DropLimit, metric)
	return false
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
			r.drop(DropLimit, s.metric)
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

// process names the stream and the process that it is of: workers of one name may run at a time, such
// as one that serves and a command beside it. Points of deltas do not tell.
func (s sample) process() string {
	if s.delta {
		return s.stream
	}
	return s.stream + "\x00" + strconv.FormatUint(uint64(s.start), 10)
}
