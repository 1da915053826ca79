package service

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func stamp(t time.Time) pcommon.Timestamp { return pcommon.NewTimestampFromTime(t) }

// later is when requests come.
var later = noon.AddDate(0, 0, 30)

// at is a time on the test's day, given in minutes after noon.
func at(minutes float64) time.Time { return noon.Add(time.Duration(minutes * float64(time.Minute))) }

var rules = []Rule{
	{Name: "job.duration", By: []string{"job.outcome"}},
	{Name: "job.*"},
	{Name: "go.*"},
	{Name: "dropped", By: []string{"reason"}},
}

func newTest(birth time.Time) *Aggregator {
	return New(Config{DefaultExperiment: "jobs", Suffix: "_service", Rules: rules, Interval: time.Minute, Birth: birth})
}

// metrics makes a request of one worker.
func metrics(fill func(pmetric.MetricSlice)) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "worker")
	rm.Resource().Attributes().PutStr("service.instance.id", "0b8a4f8e-6c35-4a36-a4c5-1d4f2d7e9c11")
	rm.Resource().Attributes().PutStr("service.version", "1.2.3")
	fill(rm.ScopeMetrics().AppendEmpty().Metrics())
	return md
}

func gauge(ms pmetric.MetricSlice, name string, t time.Time, value float64, attrs ...string) {
	m := ms.AppendEmpty()
	m.SetName(name)
	number(m.SetEmptyGauge().DataPoints().AppendEmpty(), noon, t, value, attrs)
}

func sum(ms pmetric.MetricSlice, name string, delta bool, t time.Time, value float64, attrs ...string) {
	m := ms.AppendEmpty()
	m.SetName(name)
	m.SetEmptySum().SetAggregationTemporality(temporality(delta))
	number(m.Sum().DataPoints().AppendEmpty(), noon, t, value, attrs)
}

func number(p pmetric.NumberDataPoint, start, t time.Time, value float64, attrs []string) {
	p.SetStartTimestamp(stamp(start))
	p.SetTimestamp(stamp(t))
	p.SetDoubleValue(value)
	put(p.Attributes(), attrs)
}

func histogram(ms pmetric.MetricSlice, name string, delta bool, start, t time.Time, counts []uint64, total float64, attrs ...string) {
	m := ms.AppendEmpty()
	m.SetName(name)
	m.SetEmptyHistogram().SetAggregationTemporality(temporality(delta))
	p := m.Histogram().DataPoints().AppendEmpty()
	p.SetStartTimestamp(stamp(start))
	p.SetTimestamp(stamp(t))
	p.ExplicitBounds().FromRaw([]float64{1, 2, 4})
	p.BucketCounts().FromRaw(counts)
	for _, n := range counts {
		p.SetCount(p.Count() + n)
	}
	p.SetSum(total)
	put(p.Attributes(), attrs)
}

func temporality(delta bool) pmetric.AggregationTemporality {
	if delta {
		return pmetric.AggregationTemporalityDelta
	}
	return pmetric.AggregationTemporalityCumulative
}

func put(m pcommon.Map, attrs []string) {
	for i := 0; i+1 < len(attrs); i += 2 {
		m.PutStr(attrs[i], attrs[i+1])
	}
}

// points are what a change writes, as "key@minutes after noon=value".
func points(c *Change) []string {
	out := []string{}
	for _, run := range c.Runs {
		for _, p := range run.Points {
			out = append(out, fmt.Sprintf("%s@%g=%.4g", p.Key, float64(p.TimeMS-noon.UnixMilli())/60_000, p.Value))
		}
	}
	slices.Sort(out)
	return out
}

func equal(t *testing.T, what string, c *Change, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), points(c)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// feed adds and commits.
func feed(a *Aggregator, md pmetric.Metrics) *Change {
	c := a.Add(md, later)
	c.Commit()
	return c
}

func TestGaugesAndSumsAreWrittenAsTheyAre(t *testing.T) {
	a := newTest(noon)
	c := feed(a, metrics(func(ms pmetric.MetricSlice) {
		gauge(ms, "job.queue.depth", at(1), 7)
		gauge(ms, "go.memory.used", at(1), 1e6)
		gauge(ms, "other", at(1), 1)
		sum(ms, "job.active", false, at(1), 2)
		sum(ms, "dropped", false, at(1), 3, "reason", "too/large")
		sum(ms, "dropped", false, at(1), 4, "reason", "evicted")
	}))
	equal(t, "first minute", c, "job.queue.depth@1=7", "system/go.memory.used@1=1e+06", "job.active@1=2", "dropped/too_large@1=3", "dropped/evicted@1=4")
	if len(c.Runs) != 1 {
		t.Fatalf("%d runs", len(c.Runs))
	}
	run := c.Runs[0]
	if run.Experiment != "jobs_service" || run.Name != "2026-11-24 0b8a4f8e worker" || run.Day != "2026-11-24" || len(run.Worker) != 32 || !run.Retag {
		t.Errorf("run is %+v", run)
	}
	if step := run.Points[0].Step; step != 12*60+1 {
		t.Errorf("step is %d", step)
	}
	want := []Tag{
		{"component", "service"},
		{"mlflow.source.name", "worker"},
		{"mlflow.source.type", "LOCAL"},
		{"service.instance.id", "0b8a4f8e-6c35-4a36-a4c5-1d4f2d7e9c11"},
		{"service.name", "worker"},
		{"service.version", "1.2.3"},
	}
	if diff := cmp.Diff(want, run.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

// Attributes that are not in the name: sums add up, of gauges the greatest counts.
func TestPointsThatShareANameBecomeOne(t *testing.T) {
	a := newTest(noon)
	equal(t, "one minute", a.Add(metrics(func(ms pmetric.MetricSlice) {
		gauge(ms, "job.queue.depth", at(1), 7, "queue", "a")
		gauge(ms, "job.queue.depth", at(1), 9, "queue", "b")
		sum(ms, "job.active", false, at(1), 2, "queue", "a")
		sum(ms, "job.active", false, at(1), 3, "queue", "b")
		histogram(ms, "job.wait", false, noon, at(1), []uint64{1, 0, 0, 0}, 1, "queue", "a")
		histogram(ms, "job.wait", false, noon, at(1), []uint64{0, 0, 1, 0}, 3, "queue", "b")
	}), later), "job.queue.depth@1=9", "job.active@1=5",
		"job.wait/count@1=2", "job.wait/mean@1=2", "job.wait/p50@1=1", "job.wait/p95@1=3.9", "job.wait/p99@1=3.98")
}

func TestHistogramsAreWhatCameSinceThePointBefore(t *testing.T) {
	one := func(minute float64, start time.Time, total float64, counts ...uint64) pmetric.Metrics {
		return metrics(func(ms pmetric.MetricSlice) {
			histogram(ms, "job.duration", false, start, at(minute), counts, total, "job.outcome", "success", "error.type", "none")
		})
	}
	const key = "job.duration/success/"
	a := newTest(noon)
	equal(t, "first", feed(a, one(1, at(0.5), 2, 4, 0, 0, 0)), key+"count@1=4", key+"mean@1=0.5", key+"p50@1=0.5", key+"p95@1=0.95", key+"p99@1=0.99")
	equal(t, "nothing new", feed(a, one(2, at(0.5), 2, 4, 0, 0, 0)))
	equal(t, "two more", feed(a, one(3, at(0.5), 8, 4, 0, 2, 0)), key+"count@2=0", key+"count@3=2", key+"mean@3=3", key+"p50@3=3", key+"p95@3=3.9", key+"p99@3=3.98")
	equal(t, "late", feed(a, one(2.5, at(0.5), 5, 4, 0, 1, 0)))
	equal(t, "process restarted", feed(a, one(5, at(4), 1.5, 0, 1, 0, 0)), key+"count@5=1", key+"mean@5=1.5", key+"p50@5=1.5", key+"p95@5=1.5", key+"p99@5=1.5")
	equal(t, "restarted without a word", feed(a, one(6, at(4), 9, 0, 0, 0, 1)), key+"count@6=1", key+"mean@6=9", key+"p50@6=9", key+"p95@6=9", key+"p99@6=9")
}

// The demo, and whoever runs a command beside the worker, has several processes of one database.
func TestProcessesOfOneNameLoseNothingToEachOther(t *testing.T) {
	one := func(minute, start float64, count uint64) pmetric.Metrics {
		return metrics(func(ms pmetric.MetricSlice) {
			histogram(ms, "job.wait", false, at(start), at(minute), []uint64{count, 0, 0, 0}, float64(count))
		})
	}
	want := func(minute float64, count int) []string {
		return []string{
			fmt.Sprintf("job.wait/count@%v=%d", minute, count), fmt.Sprintf("job.wait/mean@%v=1", minute), fmt.Sprintf("job.wait/p50@%v=1", minute),
			fmt.Sprintf("job.wait/p95@%v=1", minute), fmt.Sprintf("job.wait/p99@%v=1", minute),
		}
	}
	a := newTest(noon)
	equal(t, "a short process", feed(a, one(5.1, 5, 1)), want(5.1, 1)...)
	c := feed(a, one(5.5, 5.2, 7))
	equal(t, "another in the same minute", c, want(5.5, 7)...)
	steps := map[int64]int{}
	for _, p := range c.Runs[0].Points {
		steps[p.Step]++
	}
	if first := int64(12*60 + 6); steps[first] != 5 {
		t.Errorf("steps %v; want the next minute, %d, since one has a point of each", steps, first)
	}
	equal(t, "it comes again", feed(a, one(5.5, 5.2, 7)))

	equal(t, "a worker that stays", feed(a, one(10, 9, 3)), want(10, 3)...)
	equal(t, "a command beside it", feed(a, one(11.1, 11, 1)), want(11.1, 1)...)
	equal(t, "the worker, in the same minute", feed(a, one(11.5, 9, 5)))
	equal(t, "and in the next: four since its last point", feed(a, one(12.5, 9, 7)), want(12.5, 4)...)
	equal(t, "the worker's last words", feed(a, one(12.9, 9, 9)))
	equal(t, "the next worker brings them along", feed(a, one(20, 19, 1)), want(20, 3)...)
	equal(t, "one that came before any other is not new again", feed(a, one(5.1, 5, 1)))
}

// However many processes there were: what came of one that is forgotten does not come again.
func TestProcessesThatAreForgottenDoNotComeAgain(t *testing.T) {
	a := newTest(noon)
	one := func(minute float64) pmetric.Metrics {
		return metrics(func(ms pmetric.MetricSlice) {
			histogram(ms, "job.wait", false, at(minute-0.5), at(minute), []uint64{1, 0, 0, 0}, 1)
		})
	}
	for i := range 2 * maxProcesses {
		if got := points(feed(a, one(float64(i+1)))); len(got) != 5 {
			t.Fatalf("process %d has the points %v", i, got)
		}
	}
	for i := range 2 * maxProcesses {
		equal(t, "again", feed(a, one(float64(i+1))))
	}
}

// What waits outlives the points of its stream by as long as it waits, and a worker that is quiet for
// days what others left.
func TestWhatWaitsIsKeptWithItsStream(t *testing.T) {
	const days = 24 * 60.0
	for _, delta := range []bool{false, true} {
		a := New(Config{Rules: rules, Interval: 24 * time.Hour, Birth: noon})
		one := func(minute, start float64, counts ...uint64) pmetric.Metrics {
			return metrics(func(ms pmetric.MetricSlice) {
				for i, n := range counts {
					histogram(ms, "job.duration", delta, at(start), at(minute+float64(i)), []uint64{n, 0, 0, 0}, float64(n), "job.outcome", "success", "error.type", fmt.Sprint(i))
				}
			})
		}
		counts := func(c *Change) (n float64) {
			for _, run := range c.Runs {
				for _, p := range run.Points {
					if strings.HasSuffix(p.Key, "/count") {
						n += p.Value
					}
				}
			}
			return n
		}
		total := counts(feed(a, one(1, 0, 3, 3)))
		last := one(300, 0, 4, 4) // since before, or in all
		total += counts(feed(a, last))
		feed(a, metrics(func(ms pmetric.MetricSlice) { gauge(ms, "job.queue.depth", at(2*days+150), 1) }))
		total += counts(feed(a, one(2*days+160, 2*days+155, 1)))
		total += counts(feed(a, metrics(func(ms pmetric.MetricSlice) { gauge(ms, "job.queue.depth", at(2*days+400), 1) })))
		total += counts(feed(a, one(3*days, 2*days+155, 1)))
		want := 4.0 + 4 + 1
		if delta {
			want = 3 + 3 + 4 + 4 + 1 + 1
		}
		if total != want {
			t.Errorf("delta %v: %v observations are told of, want %v", delta, total, want)
		}
	}
}

// A worker that has been at work for longer than sixteen commands beside it goes on.
func TestAWorkerOutlivesManyCommands(t *testing.T) {
	a := newTest(noon)
	one := func(minute, start float64, count uint64) pmetric.Metrics {
		return metrics(func(ms pmetric.MetricSlice) {
			histogram(ms, "job.wait", false, at(start), at(minute), []uint64{count, 0, 0, 0}, float64(count))
		})
	}
	feed(a, one(1, 0, 1))
	for i := range 2 * maxProcesses {
		feed(a, one(float64(i)+2.5, float64(i)+2.1, 1))
	}
	equal(t, "where the next begins", feed(a, one(100, 0, 5)))
	if got := points(feed(a, one(101, 0, 7))); !slices.Contains(got, "job.wait/count@101=2") {
		t.Errorf("points %v; want the two since the point before", got)
	}
}

// Intervals that are no whole minutes begin in minutes of their own.
func TestTheNextFreeIntervalIsOne(t *testing.T) {
	d := &today{used: map[string]*minutes{"a": {}}}
	d.used["a"].set(1)
	if got := d.free("a", 1, 90); got != 3 {
		t.Errorf("after the interval from 01:30 comes that from minute %d; want 3", got)
	}
	if got := d.free("a", 24*60*60/90-1, 90); got != -1 {
		t.Errorf("after the last of the day comes minute %d; want none", got)
	}
}

// A Collector that was restarted does not take what a worker counted for hours for one
// minute's work.
func TestAnOldHistogramBeginsWithItsSecondPoint(t *testing.T) {
	a := newTest(at(60))
	one := func(minute float64, count uint64, more ...string) pmetric.Metrics {
		return metrics(func(ms pmetric.MetricSlice) {
			histogram(ms, "job.wait", false, noon, at(minute), []uint64{count, 0, 0, 0}, float64(count))
			for _, name := range more {
				histogram(ms, name, false, noon, at(minute), []uint64{2, 0, 0, 0}, 2)
			}
		})
	}
	equal(t, "first", feed(a, one(61, 100)))
	equal(t, "second, and one that was not there a minute ago", feed(a, one(62, 101, "job.new")),
		"job.wait/count@62=1", "job.wait/mean@62=1", "job.wait/p50@62=1", "job.wait/p95@62=1", "job.wait/p99@62=1",
		"job.new/count@62=2", "job.new/mean@62=1", "job.new/p50@62=1", "job.new/p95@62=1", "job.new/p99@62=1")
}

// Delta points add up, those that share an interval too, and none counts twice.
func TestDeltaPointsAddUp(t *testing.T) {
	a := newTest(noon)
	one := func(minute, value float64, counts ...uint64) pmetric.Metrics {
		return metrics(func(ms pmetric.MetricSlice) {
			sum(ms, "dropped", true, at(minute), value)
			histogram(ms, "job.wait", true, noon, at(minute), counts, value)
		})
	}
	equal(t, "first", feed(a, one(1, 3, 3, 0, 0, 0)), "dropped@1=3", "job.wait/count@1=3", "job.wait/mean@1=1", "job.wait/p50@1=1", "job.wait/p95@1=1", "job.wait/p99@1=1")
	equal(t, "same minute", feed(a, one(1.5, 2, 0, 2, 0, 0)))
	equal(t, "again", feed(a, one(1.5, 2, 0, 2, 0, 0)))
	equal(t, "of before", feed(a, one(0.5, 1, 1, 0, 0, 0)))
	equal(t, "next", feed(a, one(2, 4, 0, 2, 0, 0)), "dropped@2=9", "job.wait/count@2=4", "job.wait/mean@2=1.5", "job.wait/p50@2=1.5", "job.wait/p95@2=1.95", "job.wait/p99@2=1.99")
}

func TestAtMostOnePointPerInterval(t *testing.T) {
	a := newTest(noon)
	c := feed(a, metrics(func(ms pmetric.MetricSlice) {
		gauge(ms, "job.queue.depth", at(1.9), 3)
		gauge(ms, "job.queue.depth", at(1.1), 1)
		gauge(ms, "job.queue.depth", at(1.5), 2)
		gauge(ms, "job.queue.depth", at(2), 4)
	}))
	equal(t, "one request", c, "job.queue.depth@1.1=1", "job.queue.depth@2=4")
	a = New(Config{Rules: rules, Interval: 5 * time.Minute, Birth: noon})
	var got []string
	for i := range 11 {
		got = append(got, points(feed(a, metrics(func(ms pmetric.MetricSlice) { gauge(ms, "job.queue.depth", at(float64(i)+0.5), 1) })))...)
	}
	if want := []string{"job.queue.depth@0.5=1", "job.queue.depth@5.5=1", "job.queue.depth@10.5=1"}; !slices.Equal(got, want) {
		t.Errorf("in intervals of five minutes: %v", got)
	}
}

func TestEachDayAndWorkerHasARun(t *testing.T) {
	a := newTest(noon)
	md := metrics(func(ms pmetric.MetricSlice) {
		gauge(ms, "job.queue.depth", at(719.9), 1)
		gauge(ms, "job.queue.depth", at(720.1), 2)
	})
	other := pmetric.NewMetrics()
	metrics(func(ms pmetric.MetricSlice) { gauge(ms, "job.queue.depth", at(1), 3) }).CopyTo(other)
	res := other.ResourceMetrics().At(0).Resource().Attributes()
	res.PutStr("service.instance.id", "host-7")
	res.PutStr("experiment.name", "team")
	other.ResourceMetrics().MoveAndAppendTo(md.ResourceMetrics())
	c := feed(a, md)
	got := map[string]string{}
	keys := map[string]bool{}
	for _, r := range c.Runs {
		got[r.Name] = r.Experiment
		keys[r.Key()] = true
	}
	want := map[string]string{"2026-11-24 0b8a4f8e worker": "jobs_service", "2026-11-25 0b8a4f8e worker": "jobs_service", "2026-11-24 host-7 worker": "team_service"}
	if diff := cmp.Diff(want, got); diff != "" || len(keys) != 3 {
		t.Errorf("%d keys, runs (-want +got):\n%s", len(keys), diff)
	}
	if again := feed(a, md); len(again.Runs) != 0 {
		t.Errorf("the same request again writes %v", points(again))
	}
}

// Until it is committed, a request makes the same points however often it comes; after
// that it makes none. What is shuffled across requests makes the same points of gauges
// and cumulative sums.
func TestRepetitionAndDisorderChangeNothing(t *testing.T) {
	var requests []pmetric.Metrics
	for i := range 30 {
		requests = append(requests, metrics(func(ms pmetric.MetricSlice) {
			gauge(ms, "job.queue.depth", at(float64(i)+0.3), float64(i))
			sum(ms, "job.active", false, at(float64(i)+0.3), float64(i))
			sum(ms, "dropped", true, at(float64(i)+0.3), 1)
			histogram(ms, "job.wait", false, noon, at(float64(i)+0.3), []uint64{uint64(i), 2, 3, 4}, float64(i))
		}))
	}
	record := func(requests []pmetric.Metrics, only string) []string {
		a := newTest(noon)
		var all []string
		for _, md := range requests {
			first := points(a.Add(md, later))
			if again := points(a.Add(md, later)); !slices.Equal(first, again) {
				t.Fatalf("before commit %v, then %v", first, again)
			}
			feed(a, md)
			if after := points(feed(a, md)); len(after) != 0 {
				t.Fatalf("after commit %v", after)
			}
			all = append(all, first...)
		}
		slices.Sort(all)
		return slices.DeleteFunc(all, func(p string) bool { return !strings.HasPrefix(p, only) })
	}
	want := record(requests, "job.queue")
	wantSum := record(requests, "job.active")
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		r.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
		if diff := cmp.Diff(want, record(requests, "job.queue")); diff != "" {
			t.Fatalf("gauges (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(wantSum, record(requests, "job.active")); diff != "" {
			t.Fatalf("sums (-want +got):\n%s", diff)
		}
	}
}

// A stream that ended, or one of no number, says nothing of those beside it in the same metric.
func TestPointsWithoutANumberKeepNoOthersBack(t *testing.T) {
	a := newTest(noon)
	equal(t, "one minute", a.Add(metrics(func(ms pmetric.MetricSlice) {
		sum(ms, "dropped", false, at(1), 0, "reason", "ended")
		points := ms.At(0).Sum().DataPoints()
		points.At(0).SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		number(points.AppendEmpty(), noon, at(1), 3, []string{"reason", "evicted"})
		number(points.AppendEmpty(), noon, at(1), math.NaN(), []string{"reason", "broken"})
		number(points.AppendEmpty(), noon, at(1), 4, []string{"reason", "too_large"})
	}), later), "dropped/evicted@1=3", "dropped/too_large@1=4")
}

func TestWhatCannotBeWrittenIsCounted(t *testing.T) {
	a := New(Config{Rules: []Rule{{Name: "*", By: []string{"id"}}}, Interval: time.Minute, Birth: noon})
	c := feed(a, metrics(func(ms pmetric.MetricSlice) {
		gauge(ms, "nan", at(1), math.NaN())
		gauge(ms, "inf", at(1), math.Inf(1))
		gauge(ms, "untimed", time.Unix(0, 0), 1)
		summary := ms.AppendEmpty()
		summary.SetName("summary")
		summary.SetEmptySummary().DataPoints().AppendEmpty()
		for i := range MaxKeys + 10 {
			gauge(ms, "many", at(1), 1, "id", fmt.Sprintf("%04d", i))
		}
	}))
	want := map[string]int64{DropNaN: 2, DropNoTime: 1, DropShape: 1, DropLimit: 10}
	if diff := cmp.Diff(want, c.Dropped); diff != "" || len(points(c)) != MaxKeys {
		t.Errorf("%d points, dropped (-want +got):\n%s", len(points(c)), diff)
	}
	of := map[Drop]bool{}
	for metric, reason := range map[string]string{"nan": DropNaN, "inf": DropNaN, "untimed": DropNoTime, "summary": DropShape, "many": DropLimit} {
		of[Drop{Reason: reason, Service: "worker", Instance: "0b8a4f8e-6c35-4a36-a4c5-1d4f2d7e9c11", Metric: metric}] = true
	}
	if diff := cmp.Diff(of, c.Drops); diff != "" {
		t.Errorf("dropped metrics (-want +got):\n%s", diff)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	a := New(Config{Rules: []Rule{{Name: "*"}}, Interval: time.Minute, Birth: noon})
	for i := range maxWorkers + 5 {
		md := metrics(func(ms pmetric.MetricSlice) { gauge(ms, "g", at(float64(i)), 1) })
		md.ResourceMetrics().At(0).Resource().Attributes().PutStr("service.instance.id", fmt.Sprint(i))
		feed(a, md)
	}
	if len(a.workers) != maxWorkers {
		t.Errorf("%d workers", len(a.workers))
	}
	a = New(Config{Rules: []Rule{{Name: "*"}}, Interval: time.Minute, Birth: noon})
	c := feed(a, metrics(func(ms pmetric.MetricSlice) {
		for i := range MaxStreams + 3 {
			histogram(ms, "h", false, noon, at(1), []uint64{1, 0, 0, 0}, 1, "id", fmt.Sprint(i))
		}
	}))
	if got := c.Runs[0].Points[0]; got.Key != "h/count" || got.Value != MaxStreams || c.Dropped[DropLimit] != 3 {
		t.Errorf("point %+v, dropped %v", got, c.Dropped)
	}
	a = New(Config{Rules: []Rule{{Name: "*"}}, Interval: time.Minute, Birth: noon})
	c = feed(a, metrics(func(ms pmetric.MetricSlice) {
		for i := range MaxStreams + 3 {
			sum(ms, "s", true, at(1), 1, "id", fmt.Sprint(i))
		}
	}))
	if got := c.Runs[0].Points[0]; got.Key != "s" || got.Value != MaxStreams || c.Dropped[DropLimit] != 3 {
		t.Errorf("point %+v of deltas, dropped %v", got, c.Dropped)
	}
	for _, w := range a.workers {
		if len(w.streams) != MaxStreams {
			t.Errorf("%d streams", len(w.streams))
		}
	}
	feed(a, metrics(func(ms pmetric.MetricSlice) { gauge(ms, "g", at(3*24*60), 1) }))
	for _, w := range a.workers {
		if len(w.streams) != 0 || len(w.days) != 1 {
			t.Errorf("three days later: %d streams, %d days", len(w.streams), len(w.days))
		}
	}
}

func TestRulesSayWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		rule Rule
		want []string
	}{
		{Rule{Name: "a.*", By: []string{"b"}}, nil},
		{Rule{}, []string{"`name`"}},
		{Rule{Name: "a["}, []string{"pattern"}},
		{Rule{Name: "x.[z-a]"}, []string{"`name`: z-a holds no character"}},
		{Rule{Name: "a", By: []string{""}}, []string{"`by`"}},
		{Rule{By: []string{""}}, []string{"`name`", "`by`"}},
		{Rule{Name: "a[", By: []string{""}}, []string{"pattern", "`by`"}},
	} {
		err := c.rule.Validate()
		if (err == nil) != (c.want == nil) {
			t.Errorf("%+v: %v", c.rule, err)
		}
		for _, want := range c.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%+v lacks %q: %v", c.rule, want, err)
			}
		}
	}
}

// However long an attribute is, the numbers of a histogram have names of their own.
func TestLongNamesAreCutInFrontOfWhatTheySay(t *testing.T) {
	a := newTest(noon)
	c := feed(a, metrics(func(ms pmetric.MetricSlice) {
		for _, last := range []string{"a", "b"} {
			histogram(ms, "job.duration", false, noon, at(1), []uint64{1, 0, 0, 0}, 1, "job.outcome", strings.Repeat("q", 260)+last)
		}
	}))
	seen := map[string]bool{}
	for _, p := range c.Runs[0].Points {
		seen[p.Key] = true
		if len(p.Key) > 250 || !strings.HasPrefix(p.Key, "job.duration/qqq") || !slices.Contains([]string{"count", "mean", "p50", "p95", "p99"}, path.Base(p.Key)) {
			t.Errorf("point %s", p.Key)
		}
	}
	if len(seen) != 10 {
		t.Errorf("names are %v", seen)
	}
}

// A clock that is wrong once does not end the runs of a process: which days are over is told
// by the latest point.
func TestPointsOfTheFutureAreDropped(t *testing.T) {
	a := newTest(noon)
	for _, c := range []struct {
		at, now time.Time
		want    bool
	}{
		{noon, noon, true},
		{time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC), noon, false},
		{noon.Add(24 * time.Hour), noon, true}, // somebody's clock is wrong by a time zone
		{noon.Add(24*time.Hour + time.Minute), noon, false},
		{noon.Add(time.Hour), noon.Add(time.Hour), true},
	} {
		change := a.Add(metrics(func(ms pmetric.MetricSlice) {
			gauge(ms, "job.active", c.at, 1)
			histogram(ms, "job.wait", true, noon, c.at, []uint64{1, 0, 0, 0}, 1)
		}), c.now)
		change.Commit()
		if (len(change.Runs) > 0) != c.want || (change.Dropped[DropNoTime] == 2) == c.want {
			t.Errorf("%s at %s: runs %v, dropped %v", c.at, c.now, change.Runs, change.Dropped)
		}
	}
	for _, w := range a.workers {
		if w.newest != stamp(noon.Add(24*time.Hour)) || len(w.days) != 2 {
			t.Errorf("newest %v, days %v", w.newest, w.days)
		}
	}
}

// What a histogram is shown as is finite, or counted.
func TestNumbersOfHistogramsAreFinite(t *testing.T) {
	inf := math.Inf(1)
	one := func(change func(pmetric.HistogramDataPoint)) func(pmetric.MetricSlice) {
		return func(ms pmetric.MetricSlice) {
			histogram(ms, "job.wait", true, noon, at(1), []uint64{1, 0, 0, 3}, 8)
			change(ms.At(0).Histogram().DataPoints().At(0))
		}
	}
	for name, c := range map[string]struct {
		fill    func(pmetric.MetricSlice)
		numbers []string
		dropped int64
	}{
		"fine":     {one(func(pmetric.HistogramDataPoint) {}), []string{"count", "mean", "p50", "p95", "p99"}, 0},
		"bounds":   {one(func(p pmetric.HistogramDataPoint) { p.ExplicitBounds().FromRaw([]float64{1, 2, inf}) }), []string{"count", "mean"}, 3},
		"NaN":      {one(func(p pmetric.HistogramDataPoint) { p.ExplicitBounds().FromRaw([]float64{1, 2, math.NaN()}) }), []string{"count", "mean"}, 3},
		"greatest": {one(func(p pmetric.HistogramDataPoint) { p.SetMax(inf); p.SetSum(inf) }), []string{"count"}, 4},
		"sum":      {one(func(p pmetric.HistogramDataPoint) { p.SetSum(inf) }), []string{"count", "p50", "p95", "p99"}, 1},
		"exponential": {func(ms pmetric.MetricSlice) {
			m := ms.AppendEmpty()
			m.SetName("job.wait")
			p := m.SetEmptyExponentialHistogram().DataPoints().AppendEmpty()
			p.SetTimestamp(stamp(at(1)))
			p.SetStartTimestamp(stamp(noon))
			p.SetScale(-10)
			p.SetCount(3)
			p.Positive().SetOffset(1 << 30)
			p.Positive().BucketCounts().FromRaw([]uint64{3})
		}, []string{"count"}, 3},
	} {
		change := newTest(noon).Add(metrics(c.fill), later)
		var got []string
		for _, p := range change.Runs[0].Points {
			got = append(got, path.Base(p.Key))
		}
		if !slices.Equal(got, c.numbers) || change.Dropped[DropNaN] != c.dropped {
			t.Errorf("%s: %v, dropped %v", name, got, change.Dropped)
		}
	}
}

// The name of an experiment is cleaned as that of the jobs, and leaves room for the suffix.
func TestExperimentOfServiceRuns(t *testing.T) {
	for name, want := range map[string]string{
		"team":                     "team_service",
		"":                         "jobs_service",
		" \t\x00":                  "jobs_service", // a blank name is as none
		"te\x00am\xff":             "team\uFFFD_service",
		strings.Repeat("漢", 242):   strings.Repeat("漢", 242) + "_service",
		strings.Repeat("漢", 243):   strings.Repeat("漢", 241) + "…_service",
		strings.Repeat("q", 10000): strings.Repeat("q", 241) + "…_service",
	} {
		if got := experiment(name, "jobs", "_service"); got != want {
			t.Errorf("%.20q… becomes %q, want %q", name, got, want)
		}
	}
}

// An exponential histogram that no SDK makes is counted, and costs no other metric.
func TestExponentialHistogramsThatMakeNoSense(t *testing.T) {
	a := newTest(noon)
	send := func(minute float64, scale, offset int32, negative bool) int64 {
		md := metrics(func(ms pmetric.MetricSlice) {
			m := ms.AppendEmpty()
			m.SetName("job.size")
			m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			p := m.ExponentialHistogram().DataPoints().AppendEmpty()
			p.SetStartTimestamp(stamp(noon))
			p.SetTimestamp(stamp(at(minute)))
			p.SetScale(scale)
			p.SetCount(3)
			buckets := p.Positive()
			if negative {
				buckets = p.Negative()
			}
			buckets.SetOffset(offset)
			buckets.BucketCounts().FromRaw([]uint64{1, 2})
			gauge(ms, "go.routines", at(minute), 7)
		})
		c := a.Add(md, later)
		c.Commit()
		if len(c.Runs) != 1 || !slices.ContainsFunc(c.Runs[0].Points, func(p Point) bool { return p.Key == "system/go.routines" }) {
			t.Errorf("scale %d: %+v", scale, c.Runs)
		}
		return c.Dropped[DropShape]
	}
	for i, c := range []struct {
		scale, offset int32
		want          int64
	}{
		{20, 0, 0},
		{math.MaxInt32, 0, 1},
		{-10, 0, 0},
		{math.MinInt32, 0, 1},
		{21, 0, 1},
		{-11, 0, 1},
		{0, math.MaxInt32, 1},
		{0, math.MaxInt32 - 2, 0},
		{0, math.MinInt32, 0},
	} {
		for j, negative := range []bool{false, true} {
			if got := send(float64(2*i+j+1), c.scale, c.offset, negative); got != c.want {
				t.Errorf("scale %d, offset %d, negative %v: %d dropped, want %d", c.scale, c.offset, negative, got, c.want)
			}
		}
	}
	x := &distribution{exponential: true, scale: math.MaxInt32, positive: map[int32]uint64{4: 1}}
	y := &distribution{exponential: true, scale: math.MinInt32, positive: map[int32]uint64{0: 1}}
	if sum := x.plus(y); sum.positive[0] != 2 {
		t.Errorf("the sum is %+v", sum)
	}
}
