//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/test/sandbox"
)

// ingestResult is what ingest.json holds.
type ingestResult struct {
	Time     time.Time                `json:"time"`
	Revision string                   `json:"revision"`
	Machine  string                   `json:"machine"`
	Seconds  float64                  `json:"seconds"`
	History  int                      `json:"jobs_in_history"`
	Waiting  int                      `json:"jobs_waiting"`
	Rate     int                      `json:"events_per_s_paced"`
	Backends map[string]ingestFigures `json:"backends"`
	Goals    []goal                   `json:"goals"`
	Raw      map[string]*ingestRaw    `json:"raw"`
}

// ingestFigures are those of one backend, quantiles with their 95 % bounds.
type ingestFigures struct {
	TakesEvents spread `json:"start_takes_events_ms"` // over the starts: median, least, most
	FirstJob    spread `json:"start_first_job_ms"`
	Memory      spread `json:"anonymous_mb"`

	Ack50    map[string]spread `json:"ack_p50_ms"` // by transport
	Ack99    map[string]spread `json:"ack_p99_ms"`
	Events   spread            `json:"events_per_s"` // over the rounds, with all senders
	Loaded50 spread            `json:"ack_loaded_p50_ms"`
	Loaded99 spread            `json:"ack_loaded_p99_ms"`
	Errors   int               `json:"errors"`

	Jobs   spread `json:"jobs_per_s"` // median second
	Busy50 spread `json:"claim_busy_p50_ms"`
	Busy99 spread `json:"claim_busy_p99_ms"`
	Idle50 spread `json:"claim_idle_p50_ms"`
	Idle99 spread `json:"claim_idle_p99_ms"`
}

func figuresOfIngest(r *ingestRaw) ingestFigures {
	f := ingestFigures{Ack50: map[string]spread{}, Ack99: map[string]spread{}, Errors: r.Errors}
	of := func(value func(ingestStart) float64) spread {
		var list []float64
		for _, s := range r.Starts {
			list = append(list, value(s))
		}
		return spreadOf(list)
	}
	f.TakesEvents = of(func(s ingestStart) float64 { return s.Events })
	f.FirstJob = of(func(s ingestStart) float64 { return s.Job })
	f.Memory = of(func(s ingestStart) float64 { return s.Memory })
	for transport, acks := range r.Acks {
		f.Ack50[transport], f.Ack99[transport] = quantile(acks, 0.5), quantile(acks, 0.99)
	}
	f.Events, f.Jobs = spreadOf(r.Rates), medianBounds(r.Jobs)
	f.Loaded50, f.Loaded99 = quantile(r.Loaded, 0.5), quantile(r.Loaded, 0.99)
	f.Busy50, f.Busy99 = quantile(r.Busy, 0.5), quantile(r.Busy, 0.99)
	f.Idle50, f.Idle99 = quantile(r.Idle, 0.5), quantile(r.Idle, 0.99)
	return f
}

func reportIngest(o options, raw map[string]*ingestRaw, took time.Duration) error {
	res := ingestResult{
		Time: time.Now().UTC(), Revision: revision(), Machine: sandbox.Machine(), Seconds: took.Seconds(),
		History: o.jobs * ingestHistory, Waiting: o.jobs, Rate: ingestRate, Backends: map[string]ingestFigures{}, Raw: raw,
	}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		f := figuresOfIngest(raw[name])
		res.Backends[name] = f
		for _, transport := range slices.Sorted(maps.Keys(f.Ack99)) {
			res.Goals = append(res.Goals, goal{Name: fmt.Sprintf("%s, %s: ack ms, p99 at %d events/s", name, transport, ingestRate), Figure: f.Ack99[transport], Bound: 100, AtMost: true})
		}
		if name == "sqlite" {
			res.Goals = append(res.Goals, goal{Name: "sqlite: jobs per second, instant pipeline", Figure: f.Jobs, Bound: 200})
		}
		errors := float64(f.Errors)
		res.Goals = append(res.Goals, goal{Name: name + ": events not taken at once", Figure: spread{errors, errors, errors}, AtMost: true})
	}
	for i := range res.Goals {
		res.Goals[i] = res.Goals[i].judge()
	}
	path := filepath.Join(o.out, "ingest.json")
	if err := save(path, res); err != nil {
		return err
	}
	res.print(path)
	return nil
}

func (r ingestResult) print(path string) {
	fmt.Printf("%s, %d jobs in history, %d waiting\n\n", r.Machine, r.History, r.Waiting)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	names := slices.Sorted(maps.Keys(r.Backends))
	row := func(title string, value func(ingestFigures) spread) {
		fmt.Fprint(t, title)
		for _, name := range names {
			s := value(r.Backends[name])
			fmt.Fprintf(t, "\t%.1f (%.1f–%.1f)", s.Median, s.Least, s.Most)
		}
		fmt.Fprintln(t)
	}
	fmt.Fprint(t, "\t")
	for _, name := range names {
		fmt.Fprint(t, name+"\t")
	}
	fmt.Fprintln(t)
	row("start until it takes events, ms", func(f ingestFigures) spread { return f.TakesEvents })
	row("start until the first job, ms", func(f ingestFigures) spread { return f.FirstJob })
	row("memory, MB", func(f ingestFigures) spread { return f.Memory })
	for _, transport := range []string{"http", "socket"} {
		row(transport+": ack p50, ms", func(f ingestFigures) spread { return f.Ack50[transport] })
		row(transport+": ack p99, ms", func(f ingestFigures) spread { return f.Ack99[transport] })
	}
	row("events a second, all senders", func(f ingestFigures) spread { return f.Events })
	row("ack p50 then, ms", func(f ingestFigures) spread { return f.Loaded50 })
	row("ack p99 then, ms", func(f ingestFigures) spread { return f.Loaded99 })
	row("jobs a second, instant pipeline", func(f ingestFigures) spread { return f.Jobs })
	row("claim beside waiting jobs p50, ms", func(f ingestFigures) spread { return f.Busy50 })
	row("claim beside waiting jobs p99, ms", func(f ingestFigures) spread { return f.Busy99 })
	row("claim from an empty queue p50, ms", func(f ingestFigures) spread { return f.Idle50 })
	row("claim from an empty queue p99, ms", func(f ingestFigures) spread { return f.Idle99 })
	_ = t.Flush()
	fmt.Println()
	printGoals(r.Goals)
	fmt.Println("\nraw:", path)
}
