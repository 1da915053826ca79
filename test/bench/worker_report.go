//go:build linux

package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/proto"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"

	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/test/bench/drive"
	"github.com/technoshare/commentator/test/sandbox"
)

// workerResult is what worker.json holds.
type workerResult struct {
	Time     time.Time `json:"time"`
	Revision string    `json:"revision"`
	Machine  string    `json:"machine"`
	Jobs     int       `json:"jobs"` // of each kind
	// Foreign is the share of the machine's processor time that other programs had meanwhile.
	Foreign float64 `json:"foreign_cpu_share"`

	// Of a job in full: what it records, and in how many spans.
	DetailSpans int `json:"detail_spans_per_job"`
	Masks       int `json:"masks_per_job"`

	OffAllocs  float64 `json:"off_allocs_per_job"`                // in functions of telemetry, every one of them counted
	OffMore    spread  `json:"off_allocs_more_than_none_per_job"` // cross-check: of whole jobs, mean and 95 % bounds
	OffRatio   spread  `json:"off_ratio"`                         // of its processor time, in the long turns; mean and its 95 % bounds
	OffPairs   int     `json:"off_ratio_pairs"`
	Tracking50 spread  `json:"tracking_added_p50_ms"` // all Collectors; with the 95 % bounds of the quantile
	Tracking99 spread  `json:"tracking_added_p99_ms"` // without jobs beside a checkpoint
	Tracing50  spread  `json:"tracing_added_p50_ms"`
	Tracing99  spread  `json:"tracing_added_p99_ms"`
	PerDetail  spread  `json:"us_per_detail_span"` // of the median job, texts of models and tools included

	Kinds map[string]kindFigures `json:"kinds"`
	SDK   sdkFigures             `json:"sdk"`
	Goals []goal                 `json:"goals"`
	Turns []turn                 `json:"turns"` // raw
	Alloc map[string][]int64     `json:"allocations"`
}

// kindFigures is what one kind of worker cost.
type kindFigures struct {
	Jobs  int     `json:"jobs"`
	Total spread  `json:"attempt_p50_ms"` // of a whole job, with the 95 % bounds of the quantile
	CPU   spread  `json:"cpu_ms_per_job"` // over the turns: median, least, most
	RSS   float64 `json:"anonymous_mb"`   // at the end

	Added50     spread  `json:"added_p50_ms,omitzero"`
	Added99     spread  `json:"added_p99_ms,omitzero"`             // without jobs beside a checkpoint
	AddedAll99  spread  `json:"added_p99_ms_all,omitzero"`         // with them
	Checkpoints int     `json:"jobs_beside_a_checkpoint,omitzero"` // of Jobs
	Stalled     spread  `json:"added_ms_beside_a_checkpoint,omitzero"`
	Call50      float64 `json:"call_p50_ms,omitzero"`
	Detail50    float64 `json:"detail_p50_ms,omitzero"`
	Insert50    float64 `json:"insert_p50_ms,omitzero"`
	// Paired is the difference of the median whole job to that of the worker that is off, in
	// the same round: median and 95 % bounds. It holds what no call shows: commits that write
	// more, garbage collection, a processor shared with relay and Collector.
	Paired spread `json:"paired_total_ms,omitzero"`

	Messages float64 `json:"messages_per_job,omitzero"`
	Stored   float64 `json:"outbox_bytes_per_job,omitzero"` // compressed
	Plain    float64 `json:"otlp_bytes_per_job,omitzero"`
}

// figures works the results out.
func (c *crew) figures(turns []turn) (*workerResult, error) {
	r := &workerResult{
		Time: time.Now().UTC(), Revision: revision(), Machine: sandbox.Machine(),
		Kinds: map[string]kindFigures{}, Turns: turns, Alloc: map[string][]int64{},
	}
	for _, w := range c.workers {
		f, err := figuresOf(w, turns)
		if err != nil {
			return nil, err
		}
		r.Kinds[w.name], r.Jobs = f, f.Jobs
	}
	r.added(turns)
	ratio := paired(turns, "off"+long, "none"+long, func(t turn) float64 { return t.CPU }, func(a, b float64) float64 { return a / b })
	r.OffRatio, r.OffPairs = geometricBounds(ratio), len(ratio)
	if err := c.allocations(r); err != nil {
		return nil, err
	}
	return r, c.content(r)
}

func figuresOf(w *underLoad, turns []turn) (f kindFigures, err error) {
	var totals, added, calm, stalled, call, detail, insert, cpu []float64
	for _, t := range turns {
		if t.Kind != w.name {
			continue
		}
		cpu = append(cpu, t.CPU/1000/float64(len(t.Jobs)))
		f.RSS = float64(t.Memory) / 1e6
		for _, s := range t.Jobs {
			totals, added = append(totals, s.Total/1000), append(added, s.Added()/1000)
			call, detail, insert = append(call, s.Call/1000), append(detail, s.Detail/1000), append(insert, s.Insert/1000)
			if s.Checkpoint {
				stalled = append(stalled, s.Added()/1000)
			} else {
				calm = append(calm, s.Added()/1000)
			}
		}
	}
	f.Jobs, f.Total, f.CPU = len(totals), quantile(totals, 0.5), spreadOf(cpu)
	if w.program != "watched" {
		return f, nil
	}
	f.Added50, f.Added99, f.AddedAll99 = quantile(added, 0.5), quantile(calm, 0.99), quantile(added, 0.99)
	if f.Checkpoints = len(stalled); len(stalled) > 0 {
		f.Stalled = spreadOf(stalled)
	}
	f.Call50, f.Detail50, f.Insert50 = quantile(call, 0.5).Median, quantile(detail, 0.5).Median, quantile(insert, 0.5).Median
	f.Paired = medianBounds(paired(turns, w.name, "off", medianTotal, func(a, b float64) float64 { return (a - b) / 1000 }))
	tally, err := w.ask(drive.Request{Tally: true})
	if err != nil {
		return f, err
	}
	// Every job, those of the warm-up too, has the same number of messages.
	jobs := float64(tally.Messages) / messagesOfAJob
	if want := f.Jobs + 2*pageCount; int(jobs) != want {
		return f, fmt.Errorf("worker %s made %d messages of %d jobs", w.name, tally.Messages, want)
	}
	f.Messages, f.Stored, f.Plain = messagesOfAJob, float64(tally.Stored)/jobs, float64(tally.Plain)/jobs
	return f, nil
}

func medianTotal(t turn) float64 {
	var v []float64
	for _, s := range t.Jobs {
		v = append(v, s.Total)
	}
	return spreadOf(v).Median
}

// added takes the jobs of a mode together, whatever the Collector did meanwhile.
func (r *workerResult) added(turns []turn) {
	for mode, to := range map[string][2]*spread{"tracking": {&r.Tracking50, &r.Tracking99}, "tracing": {&r.Tracing50, &r.Tracing99}} {
		var all, calm, details []float64
		for _, t := range turns {
			if name, _, _ := strings.Cut(t.Kind, "_"); name != mode {
				continue
			}
			for _, s := range t.Jobs {
				all, details = append(all, s.Added()/1000), append(details, s.Detail/detailsOfAJob)
				if !s.Checkpoint {
					calm = append(calm, s.Added()/1000)
				}
			}
		}
		*to[0], *to[1] = quantile(all, 0.5), quantile(calm, 0.99)
		if mode == "tracing" {
			r.PerDetail = quantile(details, 0.5)
		}
	}
}

// allocations counts those of telemetry that is off, and compares whole jobs with the same
// jobs of the worker without telemetry.
func (c *crew) allocations(r *workerResult) error {
	for _, name := range []string{"none", "off"} {
		a, err := c.worker(name).ask(drive.Request{Jobs: 40 * pageCount, Allocations: true})
		if err != nil {
			return err
		}
		for _, s := range a.Jobs {
			r.Alloc[name] = append(r.Alloc[name], s.Allocations)
		}
		r.OffAllocs = float64(a.Telemetry) / float64(len(a.Jobs))
	}
	var more []float64
	for i, n := range r.Alloc["off"] {
		more = append(more, float64(n-r.Alloc["none"][i]))
	}
	r.OffMore = meanBounds(more)
	return nil
}

// content checks that the jobs were what they should be.
func (c *crew) content(r *workerResult) error {
	a, err := c.worker("tracing").ask(drive.Request{Job: true})
	if err != nil {
		return err
	}
	for _, body := range a.Job {
		var request coltrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			return fmt.Errorf("read a job's message: %w", err)
		}
		r.Masks += strings.Count(string(body), "[redacted:") + strings.Count(string(body), "REDACTED")
		for _, rs := range request.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					for _, kv := range s.Attributes {
						if kv.Key == wire.AttrTier && kv.Value.GetStringValue() == wire.TierDetail {
							r.DetailSpans++
						}
					}
				}
			}
		}
	}
	plain := r.Kinds["tracing"].Plain
	if r.DetailSpans != detailsOfAJob || r.Masks < secrets || plain < contentOfAJob {
		return fmt.Errorf("a job in full has %d detail spans, %d masks and %.0f bytes: want %d, at least %d, and at least %d",
			r.DetailSpans, r.Masks, plain, detailsOfAJob, secrets, contentOfAJob)
	}
	m, err := sandbox.Metrics(c.collectors["up"].metrics)
	if err != nil {
		return err
	}
	if refused := m["otelcol_receiver_refused_spans"] + m["otelcol_exporter_send_failed_spans"] + m["otelcol_exporter_enqueue_failed_spans"]; refused > 0 {
		return fmt.Errorf("the Collector refused or lost %.0f spans", refused)
	}
	return nil
}

func reportWorker(o options, r *workerResult) error {
	add := func(name string, bound float64, f spread) {
		r.Goals = append(r.Goals, goal{Name: name, Figure: f, Bound: bound, AtMost: true}.judge())
	}
	add("off: allocations per job", 0, spread{r.OffAllocs, r.OffAllocs, r.OffAllocs})
	add("off: processor time, off / no telemetry", 1.02, r.OffRatio)
	add("tracking: added ms, p50", 1, r.Tracking50)
	add("tracking: added ms, p99", 2, r.Tracking99)
	add("tracing: added ms, p50", 1, r.Tracing50)
	add("tracing: added ms, p99", 2, r.Tracing99)
	add("tracing: µs per detail span", 10, r.PerDetail)
	path := filepath.Join(o.out, "worker.json")
	if err := save(path, r); err != nil {
		return err
	}
	r.print(path)
	return nil
}

func (r *workerResult) print(path string) {
	fmt.Printf("%s, %d jobs of each kind, %d masks and %d detail spans in a job in full; other programs had %.0f %% of the processors\n\n",
		r.Machine, r.Jobs, r.Masks, r.DetailSpans, 100*r.Foreign)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "kind\tjob p50 ms\tCPU ms\tMB\tadded p50\tp99\tp99 all\tcalls\tdetail\tinsert\tpaired total\tstored KB\tOTLP KB\t")
	names := slices.Collect(maps.Keys(r.Kinds))
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(indexOf(a), indexOf(b)) })
	for _, name := range names {
		f := r.Kinds[name]
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.0f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%+.2f (%+.2f–%+.2f)\t%.1f\t%.1f\t\n", name, f.Total.Median, f.CPU.Median, f.RSS,
			f.Added50.Median, f.Added99.Median, f.AddedAll99.Median, f.Call50, f.Detail50, f.Insert50,
			f.Paired.Median, f.Paired.Least, f.Paired.Most, f.Stored/1000, f.Plain/1000)
	}
	_ = t.Flush()
	fmt.Printf("\nMLflow's SDK: %.0f ms (%.0f–%.0f) and %.0f ms of processor time per job, %.0f MB\n\n",
		r.SDK.Job.Median, r.SDK.Job.Least, r.SDK.Job.Most, r.SDK.CPU, r.SDK.RSS)
	fmt.Printf("off allocates %+.1f (%+.1f–%+.1f) times more per job than a worker without telemetry\n\n", r.OffMore.Median, r.OffMore.Least, r.OffMore.Most)
	printGoals(r.Goals)
	fmt.Println("\nraw turns:", path)
}

func indexOf(name string) int {
	return slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
}
