package service

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// waits is what a process that began at some time has counted until some minute.
func waits(minute, start float64, count uint64) pmetric.Metrics {
	return metrics(func(ms pmetric.MetricSlice) {
		histogram(ms, "job.wait", false, at(start), at(minute), []uint64{count, 0, 0, 0}, float64(count))
	})
}

// counted are the counts that a request comes to, which makes the same until it is committed, and nothing after.
func counted(t *testing.T, a *Aggregator, md pmetric.Metrics) []string {
	t.Helper()
	counts := func(c *Change) []string {
		return slices.DeleteFunc(points(c), func(p string) bool { return !strings.Contains(p, "/count@") })
	}
	first := counts(a.Add(md, later))
	if again := counts(feed(a, md)); !slices.Equal(first, again) {
		t.Errorf("before commit %v, then %v", first, again)
	}
	if after := points(feed(a, md)); len(after) != 0 {
		t.Errorf("once more after commit: %v", after)
	}
	return first
}

// A chart's line goes from point to point: where nothing was observed it is at 0, with two points a gap.
func TestGapsOfAHistogramBeginAndEndWithZero(t *testing.T) {
	a := newTest(noon)
	for _, c := range []struct {
		minute float64
		count  uint64
		want   string
	}{
		{1, 2, "job.wait/count@1=2"},
		{2, 3, "job.wait/count@2=1"},
		{3, 3, ""}, // perhaps something comes in this minute still
		{4, 3, "job.wait/count@3=0"},
		{5, 3, ""},
		{6, 3, ""},
		{7, 5, "job.wait/count@6=0 job.wait/count@7=2"},
		{8, 5, ""},
		{9, 6, "job.wait/count@8=0 job.wait/count@9=1"}, // a gap of one minute has one 0
		{10, 6, ""},
		{11, 6, "job.wait/count@10=0"},
		{12, 7, "job.wait/count@11=0 job.wait/count@12=1"},
		{13, 7, ""},
		{13.5, 8, "job.wait/count@13.5=1"}, // in the same minute, which is not quiet then
		{14, 8, ""},
		{15, 8, "job.wait/count@14=0"},
	} {
		if got := strings.Join(counted(t, a, waits(c.minute, 0, c.count)), " "); got != c.want {
			t.Errorf("minute %g: %q, want %q", c.minute, got, c.want)
		}
	}
	c := a.Add(waits(20, 0, 9), later)
	for _, p := range c.Runs[0].Points {
		want := int64(12*60 + 15) // of the 0
		if p.Value != 0 {
			want = 12*60 + 20
		}
		if p.Step != want {
			t.Errorf("point %+v, want it at step %d", p, want)
		}
	}
}

// Another process that observes something in a minute is not contradicted by a 0 of the one beside it.
func TestAGapIsOneOfAllProcesses(t *testing.T) {
	a := newTest(noon)
	for _, c := range []struct {
		minute, start float64
		count         uint64
		want          string
	}{
		{1, 0, 1, "job.wait/count@1=1"},
		{2.1, 0, 1, ""},
		{2.5, 2.2, 1, "job.wait/count@2.5=1"}, // a command
		{3.1, 0, 1, ""},
		{4.1, 0, 1, "job.wait/count@3.1=0"},
		{3.5, 3.2, 7, "job.wait/count@3.5=7"}, // late: in the next minute, which is free
		{5.1, 0, 1, ""},
		{6.1, 0, 1, "job.wait/count@5.1=0"},
		{7.1, 0, 1, ""},
		{8.1, 0, 2, "job.wait/count@7.1=0 job.wait/count@8.1=1"},
		{9.1, 0, 2, ""},
		{10.1, 0, 2, "job.wait/count@9.1=0"},
		{11.1, 0, 2, ""},
		{8.5, 8.2, 1, "job.wait/count@8.5=1"}, // late: the gap still ends at 11
		{12.1, 0, 3, "job.wait/count@11.1=0 job.wait/count@12.1=1"},
	} {
		if got := strings.Join(counted(t, a, waits(c.minute, c.start, c.count)), " "); got != c.want {
			t.Errorf("minute %g: %q, want %q", c.minute, got, c.want)
		}
	}
}

// An interval may hold several samples. The one in which something is observed again may begin with some
// that say nothing was: the gap ends in front of it.
func TestGapsEndInFrontOfTheIntervalThatObservesAgain(t *testing.T) {
	type process struct{ start, first float64 }
	for _, c := range []struct {
		name            string
		interval, every float64 // in minutes
		processes       []process
		again           float64 // when the first process observes once more, and all ends
		want            string
	}{
		{"interval of five minutes", 5, 1, []process{{0, 1}}, 33, "@1=1 @9=0 @29=0 @33=1"},
		{"sent twice a minute", 1, 0.5, []process{{0, 1}}, 6.5, "@1=1 @2.5=0 @5.5=0 @6.5=1"},
		{"two processes", 1, 1, []process{{0, 1.5}, {0.05, 1.1}}, 6.5, "@1.5=1 @2.5=0 @5.5=0 @6.5=1"},
	} {
		a := New(Config{Rules: rules, Interval: time.Duration(c.interval * float64(time.Minute)), Birth: noon})
		type sent struct {
			minute, start float64
			count         uint64
		}
		var all []sent
		for i, p := range c.processes {
			for n := 0; p.first+float64(n)*c.every <= c.again; n++ {
				s := sent{minute: p.first + float64(n)*c.every, start: p.start}
				switch {
				case i > 0: // it never observes anything
				case s.minute == c.again:
					s.count = 2
				default:
					s.count = 1
				}
				all = append(all, s)
			}
		}
		slices.SortFunc(all, func(x, y sent) int { return cmp.Compare(x.minute, y.minute) })
		var got []string
		for _, s := range all {
			got = append(got, counted(t, a, waits(s.minute, s.start, s.count))...)
		}
		if joined := strings.ReplaceAll(strings.Join(got, " "), "job.wait/count", ""); joined != c.want {
			t.Errorf("%s: %q, want %q", c.name, joined, c.want)
		}
	}
}

// What is not known is no 0: the first point of an old histogram, one that came late, and one of several
// streams of a metric. Deltas that say 0 are known.
func TestWhatIsNotKnownIsNoZero(t *testing.T) {
	a := newTest(at(60))
	for minute := range 3 {
		if got := counted(t, a, waits(float64(61+minute), 0, 5)); len(got) != 0 {
			t.Errorf("a Collector that knows of no point of the day writes %v", got)
		}
	}
	counted(t, a, waits(70, 0, 6))
	counted(t, a, waits(71, 0, 6))
	both := metrics(func(ms pmetric.MetricSlice) {
		histogram(ms, "job.wait", false, noon, at(72), []uint64{6, 0, 0, 0}, 6)
		histogram(ms, "job.wait", false, noon, at(72), []uint64{3, 0, 0, 0}, 3, "queue", "b")
	})
	a.cfg.Birth = at(71.5) // the other stream is older
	for _, w := range a.workers {
		w.newest = 0
	}
	if got := counted(t, a, both); len(got) != 0 {
		t.Errorf("with a stream of which nothing is known: %v", got)
	}

	a = newTest(noon)
	delta := func(minute float64, count uint64) pmetric.Metrics {
		return metrics(func(ms pmetric.MetricSlice) {
			histogram(ms, "job.wait", true, at(minute-1), at(minute), []uint64{count, 0, 0, 0}, float64(count))
		})
	}
	var got []string
	for i, n := range []uint64{2, 0, 0, 0, 1} {
		got = append(got, counted(t, a, delta(float64(i+1), n))...)
	}
	if want := "job.wait/count@1=2 job.wait/count@2=0 job.wait/count@4=0 job.wait/count@5=1"; strings.Join(got, " ") != want {
		t.Errorf("deltas become %v, want %s", got, want)
	}
}

// Each day's chart stands for itself: nothing is written into that of the day before, nor in front of the
// first point of a day.
func TestGapsEndWithTheDay(t *testing.T) {
	a := New(Config{Rules: rules, Interval: 5 * time.Minute, Birth: noon})
	for _, c := range []struct {
		minute float64 // 720: midnight
		count  uint64
		want   string
	}{
		{700, 1, "job.wait/count@700=1"},
		{706, 1, ""},
		{711, 1, "job.wait/count@706=0"},
		{716, 1, ""},
		{721, 1, ""},
		{726, 1, ""},
		{731, 2, "job.wait/count@731=1"},
		{736, 2, ""},
		{741, 2, "job.wait/count@736=0"},
	} {
		got := counted(t, a, waits(c.minute, 0, c.count))
		if strings.Join(got, " ") != c.want {
			t.Errorf("minute %g: %v, want %q", c.minute, got, c.want)
		}
	}
}
