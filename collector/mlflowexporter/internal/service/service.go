// Package service turns metrics of long-lived processes into MLflow runs: one run per
// process and UTC day, which holds a short list of its metrics with at most one point of
// each per interval. It does no I/O and looks at no clock.
//
// Gauges and sums are written as they are. A histogram becomes its count, mean, p50, p95
// and p99 of what was observed since the point before, for which the Aggregator remembers
// the last point of each stream; where they say that nothing was, a count of 0 begins and ends the gap.
package service

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/technoshare/commentator/internal/wire"
)

const (
	// MaxKeys bounds the metrics of one run.
	MaxKeys = 250
	// MaxStreams bounds the histograms and delta sums of one process whose last point is
	// remembered. It is what the SDKs allow one instrument.
	MaxStreams = 2000
	// maxWorkers bounds the processes that are remembered; the quietest is forgotten first.
	maxWorkers = 1000
	// maxProcesses bounds the processes of one name whose last points of a histogram are remembered.
	maxProcesses = 16
	// maxAhead is how many intervals ahead the first point of a process that was short may stand.
	maxAhead = 10

	day = 24 * time.Hour
)

// Reasons for which points are dropped.
const (
	DropNaN    = "nan_metric"     // values that are no number, or infinite
	DropLimit  = "metric_limit"   // more than MaxKeys or MaxStreams
	DropShape  = "metric_shape"   // summaries, histograms of one metric that cannot be added up, and exponential ones that make no sense
	DropNoTime = "metric_untimed" // points without a time, or with one that is more than a day ahead
)

// Config says what becomes of metrics.
type Config struct {
	// DefaultExperiment is used for processes whose resource names none.
	DefaultExperiment string
	// ExperimentAttribute is the resource attribute with the name of the experiment; empty:
	// experiment.name.
	ExperimentAttribute string
	// Suffix is appended to the name of the experiment of the jobs.
	Suffix string
	// Rules choose metrics; the first whose name matches decides.
	Rules []Rule
	// Interval is the time within which a metric gets one point, counted from midnight UTC.
	Interval time.Duration
	// Birth is when the Aggregator began to see points. A histogram that is older is not
	// known in full: its first point only says where the next one begins.
	Birth time.Time
}

// Run is what a request adds to the run of one process and day.
type Run struct {
	Worker     string // identity of the process, 32 hex digits
	Day        string // 2006-01-02, UTC
	Experiment string
	Name       string
	Note       string // describes the run when it is made, in Markdown; people may change it then
	Tags       []Tag  // sorted by key
	// Retag is set when the tags are new or have changed since the points before.
	Retag  bool
	Points []Point // sorted by time, then key
}

// Tag is a tag of a run.
type Tag struct{ Key, Value string }

// Point is one point of a metric.
type Point struct {
	Key    string
	Value  float64
	TimeMS int64 // ms since 1970
	Step   int64 // minute of the UTC day
}

// Key identifies the run.
func (r Run) Key() string { return "service-" + r.Worker + "-" + r.Day }

// Aggregator remembers what it needs of earlier points. It is not safe for concurrent use.
type Aggregator struct {
	cfg     Config
	workers map[string]*worker
}

// New makes an Aggregator that knows nothing yet.
func New(cfg Config) *Aggregator {
	cfg.ExperimentAttribute = cmp.Or(cfg.ExperimentAttribute, wire.ResExperiment)
	return &Aggregator{cfg: cfg, workers: map[string]*worker{}}
}

// Change is what one request comes to. Nothing is remembered of it before Commit, so that
// the same request makes the same Change until then, and none after.
type Change struct {
	Runs    []Run            // sorted by worker and day
	Dropped map[string]int64 // points by reason
	Drops   map[Drop]bool    // which metrics they are of

	of      *Aggregator
	workers map[string]*worker
}

// Drop names a metric of a process of which points were dropped.
type Drop struct{ Reason, Service, Instance, Metric string }

// Add works out what md changes. Points that are more than a day ahead of now are dropped: the
// latest point decides which days are over.
func (a *Aggregator) Add(md pmetric.Metrics, now time.Time) *Change {
	c := &Change{Dropped: map[string]int64{}, Drops: map[Drop]bool{}, of: a, workers: map[string]*worker{}}
	runs := map[string]*Run{}
	for _, rm := range md.ResourceMetrics().All() {
		id := identify(rm.Resource())
		w := c.workers[id.hash]
		if w == nil {
			if w = a.workers[id.hash]; w == nil {
				w = newWorker()
			}
			w = w.clone()
			c.workers[id.hash] = w
		}
		r := &request{cfg: a.cfg, change: c, worker: w, runs: runs, id: id, resource: rm.Resource(), seen: w.newest, latest: pcommon.NewTimestampFromTime(now.Add(day))}
		r.add(rm)
	}
	for _, r := range runs {
		slices.SortFunc(r.Points, func(x, y Point) int { return cmp.Or(cmp.Compare(x.TimeMS, y.TimeMS), cmp.Compare(x.Key, y.Key)) })
		d := c.workers[r.Worker].days[r.Day]
		r.Retag = !slices.Equal(d.tags, r.Tags)
		d.tags = r.Tags
		c.Runs = append(c.Runs, *r)
	}
	slices.SortFunc(c.Runs, func(x, y Run) int { return cmp.Compare(x.Key(), y.Key()) })
	return c
}

// Commit makes the Aggregator remember the Change, when MLflow has it.
func (c *Change) Commit() {
	for id, w := range c.workers {
		w.forget()
		c.of.workers[id] = w
	}
	for len(c.of.workers) > maxWorkers {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(c.of.workers)), func(x, y string) int {
			return cmp.Or(cmp.Compare(c.of.workers[x].newest, c.of.workers[y].newest), cmp.Compare(x, y))
		})
		delete(c.of.workers, oldest)
	}
}

// worker is what is remembered of one process.
type worker struct {
	newest  pcommon.Timestamp // of all points
	streams map[string]*stream
	days    map[string]*today // by Run.Day
	// waiting are histograms that came when their metric had its point, by its key and by process.
	waiting map[string]map[string]sample
}

// today is what is remembered of one run.
type today struct {
	used map[string]*minutes // by key of the metric
	tags []Tag
}

// minutes is the set of minutes of a day in which an interval with a point of a metric
// begins.
type minutes struct {
	bits      [24*60/64 + 1]uint64
	histogram bool
	quiet     quiet
}

func (m *minutes) has(i int64) bool { return m.bits[i/64]&(1<<(i%64)) != 0 }
func (m *minutes) set(i int64)      { m.bits[i/64] |= 1 << (i % 64) }

// taken reports whether the interval of a metric that begins in some minute has its point.
func (t *today) taken(key string, minute int64) bool {
	return t != nil && t.used[key] != nil && t.used[key].has(minute)
}

// free is the minute in which the first interval after the n-th of the day begins that has no point of a
// metric, -1 if those near by have one. Intervals are given in seconds.
func (t *today) free(key string, n, interval int64) int64 {
	for next := n + 1; next <= n+maxAhead && next*interval < int64(day/time.Second); next++ {
		if minute := next * interval / 60; !t.taken(key, minute) {
			return minute
		}
	}
	return -1
}

// keys is how many MLflow metrics the run has.
func (t *today) keys() int {
	n := 0
	for _, m := range t.used {
		n += weight(m.histogram)
	}
	return n
}

// weight is how many MLflow metrics one of OpenTelemetry's becomes.
func weight(histogram bool) int {
	if histogram {
		return 5
	}
	return 1
}

func newWorker() *worker {
	return &worker{streams: map[string]*stream{}, days: map[string]*today{}, waiting: map[string]map[string]sample{}}
}

// clone copies what Add may change; a *stream is replaced, never changed, and so is what waits.
func (w *worker) clone() *worker {
	c := &worker{newest: w.newest, streams: maps.Clone(w.streams), days: map[string]*today{}, waiting: maps.Clone(w.waiting)}
	for name, d := range w.days {
		used := make(map[string]*minutes, len(d.used))
		for key, m := range d.used {
			copied := *m
			used[key] = &copied
		}
		c.days[name] = &today{used: used, tags: d.tags}
	}
	return c
}

// forget drops what is older than the day before the newest point.
func (w *worker) forget() {
	before := w.newest.AsTime().Add(-2 * day)
	maps.DeleteFunc(w.days, func(name string, _ *today) bool { return name < before.Format(time.DateOnly) })
	needed := map[string]bool{} // streams of which a sample waits, and which say what it adds
	maps.DeleteFunc(w.waiting, func(_ string, waits map[string]sample) bool {
		for _, s := range waits {
			if !s.time.AsTime().Before(before) {
				return false
			}
		}
		return true
	})
	for _, waits := range w.waiting {
		for _, s := range waits {
			needed[s.stream] = true
		}
	}
	maps.DeleteFunc(w.streams, func(id string, s *stream) bool { return !needed[id] && s.newest().AsTime().Before(before) })
}
