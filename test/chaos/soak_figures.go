//go:build linux

package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/technoshare/commentator/test/sandbox"
)

// phase is a part of a soak, in the order of the list.
type phase string

const (
	before  phase = "before"      // the Collector takes everything
	away    phase = "away"        // nobody listens
	catchUp phase = "catching_up" // it is back, and what waited is sent while jobs go on
	after   phase = "after"       // nothing waits any more
)

var phases = []phase{before, away, catchUp, after}

// took is a job that ended: a raw sample.
type took struct {
	Phase   phase   `json:"phase"`
	Seconds float64 `json:"s"`  // when it started, since the beginning
	MS      float64 `json:"ms"` // from its start to its end
}

// window is what the jobs of some seconds took.
type window struct {
	Phase   phase   `json:"phase"`
	Seconds float64 `json:"s"` // its beginning
	Jobs    int     `json:"jobs"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
}

// windowsOf cuts a phase's jobs into windows of so many seconds.
func windowsOf(jobs []took, length float64) []window {
	times := map[window][]float64{}
	for _, j := range jobs {
		w := window{Phase: j.Phase, Seconds: float64(int(j.Seconds/length)) * length}
		times[w] = append(times[w], j.MS)
	}
	var all []window
	for w, ms := range times {
		w.Jobs, w.P50, w.P99 = len(ms), quantile(ms, 0.5), quantile(ms, 0.99)
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b window) int {
		if a.Seconds == b.Seconds {
			return slices.Index(phases, a.Phase) - slices.Index(phases, b.Phase)
		}
		return int(a.Seconds - b.Seconds)
	})
	return all
}

// quantile of values in any order; 0 when there is none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

// figure is an estimate with the interval that holds it in 95 of 100 cases.
type figure struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// ratioOf estimates median(a)/median(b) by drawing from both again and again. Of nothing
// nothing is known.
func ratioOf(a, b []float64) figure {
	if len(a) == 0 || len(b) == 0 {
		return figure{High: math.MaxFloat32}
	}
	random := rand.New(rand.NewPCG(1, 2))
	again := func(values []float64) []float64 {
		drawn := make([]float64, len(values))
		for i := range drawn {
			drawn[i] = values[random.IntN(len(values))]
		}
		return drawn
	}
	ratios := make([]float64, 2000)
	for i := range ratios {
		ratios[i] = quantile(again(a), 0.5) / quantile(again(b), 0.5)
	}
	return figure{quantile(a, 0.5) / quantile(b, 0.5), quantile(ratios, 0.025), quantile(ratios, 0.975)}
}

func exactly(v float64) figure { return figure{v, v, v} }

// goal is an upper bound of a figure.
type goal struct {
	Name    string  `json:"name"`
	Figure  figure  `json:"figure"`
	Bound   float64 `json:"bound"` // at most
	Verdict string  `json:"verdict"`
}

// Verdicts. A bound within the interval is not shown to be kept, nor to be missed.
const (
	met      = "met"
	notMet   = "not met"
	notShown = "not shown"
)

func atMost(name string, f figure, bound float64) goal {
	g := goal{name, f, bound, notShown}
	switch {
	case f.High <= bound:
		g.Verdict = met
	case f.Low > bound:
		g.Verdict = notMet
	}
	return g
}

func printGoals(goals []goal) {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, g := range goals {
		fmt.Fprintf(t, "  %s\t%.3g (%.3g–%.3g)\t≤ %g\t%s\n", g.Name, g.Figure.Median, g.Figure.Low, g.Figure.High, g.Bound, g.Verdict)
	}
	_ = t.Flush()
}

// memory is a raw sample of what a program holds while telemetry waits.
type memory struct {
	Phase   phase   `json:"phase"`
	Seconds float64 `json:"s"`
	MB      float64 `json:"mb"`        // of memory that no file stands behind, or of the live heap
	Waiting int     `json:"waiting"`   // messages in the outbox
	Bytes   int64   `json:"out_bytes"` // of these, as they are stored
}

// growth compares the last quarter of an outage with its first one.
func growth(samples []memory) figure {
	var mb []float64
	for _, m := range samples {
		if m.Phase == away {
			mb = append(mb, m.MB)
		}
	}
	quarter := len(mb) / 4
	return ratioOf(mb[len(mb)-quarter:], mb[:quarter])
}

// against compares the windows of an outage with those of a control at the same time, whose
// Collector is there: what the machine does to jobs at one time, it does to those of both.
func against(control, windows []window, value func(window) float64) figure {
	there := map[float64]float64{}
	for _, w := range control {
		if w.Phase == away {
			there[w.Seconds] = value(w)
		}
	}
	var ratios []float64
	for _, w := range windows {
		if v := there[w.Seconds]; w.Phase == away && v > 0 {
			ratios = append(ratios, value(w)/v)
		}
	}
	return ratioOf(ratios, []float64{1})
}

// lasting are the goals of how long a job takes; their names begin with the prefix.
func lasting(prefix string, control, windows []window) []goal {
	return []goal{
		atMost(prefix+"p50 of a job, Collector away / there at that time", against(control, windows, func(w window) float64 { return w.P50 }), 1.05),
		atMost(prefix+"p99 of a job, Collector away / there at that time", against(control, windows, func(w window) float64 { return w.P99 }), 1.1),
	}
}

// summary is what the jobs of a phase took together.
type summary struct {
	Jobs int     `json:"jobs"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	Most float64 `json:"most_ms"`
}

func summaries(jobs []took) map[phase]summary {
	out := map[phase]summary{}
	for _, p := range phases {
		var ms []float64
		for _, j := range jobs {
			if j.Phase == p {
				ms = append(ms, j.MS)
			}
		}
		if len(ms) > 0 {
			out[p] = summary{len(ms), quantile(ms, 0.5), quantile(ms, 0.99), slices.Max(ms)}
		}
	}
	return out
}

// times is what jobs took.
type times struct {
	Phases  map[phase]summary `json:"phases"`
	Windows []window          `json:"windows"`
	Samples []took            `json:"samples"`
}

// timesOf has windows of so many seconds.
func timesOf(samples []took, length float64) times {
	return times{summaries(samples), windowsOf(samples, length), samples}
}

// anonymous is the memory of the program's first process that no file stands behind, in MB.
func (p *program) anonymous() (float64, error) {
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	if cmd == nil {
		return 0, fmt.Errorf("measure the memory of %s: it does not run", p.name)
	}
	n, err := sandbox.Anonymous(cmd.Process.Pid)
	return float64(n) / 1e6, err
}
