//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/technoshare/commentator/test/sandbox"
)

// soakOptions say how long things are away, and how many jobs come meanwhile.
type soakOptions struct {
	options
	outage time.Duration // of the Collector, by the clock on the wall
	rate   int           // jobs a second meanwhile
	hour   time.Duration // of the Collector, by the injected clock
	within time.Duration // how long that hour is by the clock on the wall
	jobs   int           // in that hour
	down   time.Duration // of MLflow
	only   string        // one of the three; "": all
}

// soaked is what soak.json holds: of each part what it came to when it was run last.
type soaked struct {
	Time     time.Time           `json:"time"`
	Revision string              `json:"revision"`
	Machine  string              `json:"machine"`
	Earlier  map[string]soakedAt `json:"earlier,omitempty"` // the parts that were not run this time

	Outage *outageResult `json:"outage,omitempty"`
	Hour   *hourResult   `json:"hour,omitempty"`
	MLflow *mlflowResult `json:"mlflow,omitempty"`
}

// soakedAt is when a part was run, and with what.
type soakedAt struct {
	Time     time.Time `json:"time"`
	Revision string    `json:"revision"`
	Machine  string    `json:"machine"`
}

// soakParts are the names that ONLY may have.
var soakParts = []string{"hour", "mlflow", "outage"}

func runSoak(args []string) error {
	var o soakOptions
	flags := flag.NewFlagSet("chaos soak", flag.ContinueOnError)
	flags.DurationVar(&o.outage, "outage", 10*time.Minute, "how long the Collector is away")
	flags.IntVar(&o.rate, "rate", 10, "jobs a second while it is away")
	flags.DurationVar(&o.hour, "hour", time.Hour, "how long the Collector is away by the injected clock")
	flags.DurationVar(&o.within, "within", 5*time.Minute, "how long that takes")
	flags.IntVar(&o.jobs, "jobs", 9000, "jobs in that time")
	flags.DurationVar(&o.down, "down", time.Minute, "how long MLflow is down")
	flags.StringVar(&o.only, "only", "", "one of outage, hour, mlflow; empty = all")
	flags.StringVar(&o.bin, "bin", "bin", "folder of commentator and otelcol-mlflow")
	flags.StringVar(&o.out, "out", ".bench", "folder of the results")
	flags.BoolVar(&o.keep, "keep", false, "keep databases and logs when nothing is wrong, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.outage <= 0 || o.rate <= 0 || o.hour <= 0 || o.within <= 0 || o.jobs <= 0 || o.down < 0 {
		return errors.New("durations, rate and jobs must be above 0")
	}
	if o.only != "" && !slices.Contains(soakParts, o.only) {
		return fmt.Errorf("-only %q: want one of %s", o.only, strings.Join(soakParts, ", "))
	}
	dir, err := o.prepare("soak")
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Fprintf(os.Stderr, "databases and logs in %s\n", dir)
	r, err := soak(ctx, o, dir)
	path := filepath.Join(o.out, "soak.json")
	kept, unread := r.keep(path)
	if err = errors.Join(err, unread, kept.save(path)); err != nil {
		return fmt.Errorf("%w (see %s)", err, dir)
	}
	r.print()
	if missed := r.missed(); len(missed) > 0 {
		return fmt.Errorf("not what was promised: %v; databases and logs are in %s", missed, dir)
	}
	if o.keep {
		return nil
	}
	return os.RemoveAll(dir)
}

// soak does one after the other; what failed ends it.
func soak(ctx context.Context, o soakOptions, dir string) (soaked, error) {
	r := soaked{Time: time.Now().UTC(), Revision: revision(o.top), Machine: sandbox.Machine()}
	var err error
	for _, part := range []struct {
		name string
		run  func(dir string) error
	}{
		{"hour", func(dir string) error { r.Hour, err = soakHour(ctx, o, dir); return err }},
		{"mlflow", func(dir string) error { r.MLflow, err = soakMLflow(ctx, o, dir); return err }},
		{"outage", func(dir string) error { r.Outage, err = soakOutage(ctx, o, dir); return err }},
	} {
		if o.only != "" && o.only != part.name {
			continue
		}
		own := filepath.Join(dir, part.name)
		if err := os.Mkdir(own, 0o700); err != nil {
			return r, err
		}
		if err := part.run(own); err != nil {
			return r, fmt.Errorf("soak %s: %w", part.name, err)
		}
	}
	return r, nil
}

func (r soaked) goals() (all []goal) {
	if r.Outage != nil {
		all = append(all, r.Outage.Goals...)
	}
	if r.Hour != nil {
		all = append(all, r.Hour.Goals...)
	}
	if r.MLflow != nil {
		all = append(all, r.MLflow.Goals...)
	}
	return all
}

func (r soaked) missed() (names []string) {
	for _, g := range r.goals() {
		if g.Verdict == notMet {
			names = append(names, g.Name)
		}
	}
	return slices.Clip(names)
}

// keep adds those parts of an earlier file that were not run now, and says of when they are. They are not
// judged again.
func (r soaked) keep(path string) (soaked, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	var old soaked
	if err == nil {
		err = json.Unmarshal(b, &old)
	}
	if err != nil {
		return r, fmt.Errorf("read the earlier results: %w", err)
	}
	r.Earlier = map[string]soakedAt{}
	note := func(part string) {
		r.Earlier[part] = cmp.Or(old.Earlier[part], soakedAt{old.Time, old.Revision, old.Machine})
	}
	if r.Hour == nil && old.Hour != nil {
		r.Hour = old.Hour
		note("hour")
	}
	if r.MLflow == nil && old.MLflow != nil {
		r.MLflow = old.MLflow
		note("mlflow")
	}
	if r.Outage == nil && old.Outage != nil {
		r.Outage = old.Outage
		note("outage")
	}
	return r, nil
}

func (r soaked) save(path string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func (r soaked) print() {
	fmt.Println(r.Machine)
	if o := r.Outage; o != nil {
		fmt.Printf("\nCollector away for %.0f s, %d jobs a second: %d messages (%.1f MB) waited, sent %.1f s after it was back, all in MLflow %.1f s later\n",
			o.OutageSeconds, o.Rate, o.MostWaiting, float64(o.MostBytes)/1e6, o.CatchUpSeconds, o.DeliverSeconds)
		printPhases(o.Phases)
		fmt.Println("  at the same time, Collector there:")
		printPhases(o.Control.Phases)
		printGoals(o.Goals)
	}
	if h := r.Hour; h != nil {
		fmt.Printf("\nCollector away for %.0f s of the injected clock, %d jobs: %d messages waited, %d tries to send\n", h.OutageSeconds, h.Jobs, h.MostWaiting, h.Tries)
		printPhases(h.Phases)
		fmt.Println("  at the same time, Collector there:")
		printPhases(h.Control.Phases)
		printGoals(h.Goals)
	}
	if m := r.MLflow; m != nil {
		fmt.Printf("\nMLflow killed, %d jobs, started again after %.0f s: it answered after %.1f s, the runs were there %.1f s later\n", m.Jobs, m.DownSeconds, m.StartSeconds, m.RunsSeconds)
		printGoals(m.Goals)
	}
}

func printPhases(all map[phase]summary) {
	for _, p := range phases {
		if s, ok := all[p]; ok {
			fmt.Printf("  %-12s %6d jobs, %.1f ms p50, %.1f ms p99, %.1f ms at most\n", p, s.Jobs, s.P50, s.P99, s.Most)
		}
	}
}
