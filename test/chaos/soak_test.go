//go:build linux && e2e

package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestSoak is `make soak` in short: the Collector away for some seconds by the clock on the
// wall and for an hour by the injected one, and MLflow killed while three jobs come. How long
// jobs take and how much memory is held is measured here too, but so few samples prove little:
// only what is plainly wrong fails.
func TestSoak(t *testing.T) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	o := soakOptions{
		options: options{top: top, bin: builtPrograms(t, top)},
		outage:  7 * time.Second, rate: 10, hour: time.Hour, within: 5 * time.Second, jobs: 200, down: 2 * time.Second,
	}
	// MLflow takes most of its part to start, twice; the others run meanwhile.
	var r soaked
	var together sync.WaitGroup
	run := func(name string, into func(soaked)) {
		o, dir := o, t.TempDir()
		o.only = name
		one, err := soak(t.Context(), o, dir)
		if err != nil {
			t.Errorf("%v\n%s", err, logs(dir))
			return
		}
		into(one)
	}
	together.Go(func() { run("mlflow", func(one soaked) { r.MLflow = one.MLflow }) })
	run("hour", func(one soaked) { r.Hour = one.Hour })
	run("outage", func(one soaked) { r.Outage = one.Outage })
	together.Wait()
	if t.Failed() {
		return
	}
	r.print()
	if r.Outage.Jobs < 130 || r.Outage.Runs != 6*r.Outage.Jobs || r.Outage.MostWaiting < 400 {
		t.Errorf("outage: %d jobs, %d runs, %d messages waited", r.Outage.Jobs, r.Outage.Runs, r.Outage.MostWaiting)
	}
	if r.Hour.Jobs < 200 || r.Hour.OutageSeconds < 3600 || r.Hour.MostWaiting < 1200 || r.Hour.Tries < 10 {
		t.Errorf("hour: %d jobs, %.0f s, %d messages waited, %d tries", r.Hour.Jobs, r.Hour.OutageSeconds, r.Hour.MostWaiting, r.Hour.Tries)
	}
	if r.MLflow.Compared.Runs != 24 || r.MLflow.Compared.Artifacts == 0 {
		t.Errorf("MLflow: compared %+v", r.MLflow.Compared)
	}
	for _, g := range r.goals() {
		bound := g.Bound
		if bound > 1 && bound < 2 { // a ratio of times or of memory
			bound = 5
		}
		if g.Figure.Low > bound {
			t.Errorf("%s: %+v, at most %g", g.Name, g.Figure, bound)
		}
	}
	for _, said := range []int{r.Outage.Said, r.Hour.Said} {
		if said != 1 {
			t.Errorf("the worker said %d times that nobody listens; want once", said)
		}
	}
}

// logs are the ends of what the programs of a soak logged.
func logs(dir string) string {
	names, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.log"))
	if err != nil {
		return err.Error()
	}
	all := ""
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return err.Error()
		}
		all += name + "\n" + string(b[max(0, len(b)-2000):])
	}
	return all
}
