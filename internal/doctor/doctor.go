// Package doctor looks for what keeps the worker, the Collector and MLflow from working together.
//
// Each probe looks at one thing that went wrong somewhere before, and says what it found, what
// that means and how to mend it. A probe reads; what it has to write in order to know, it removes
// again, and names both.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is the outcome of a probe.
type Status string

// The outcomes.
const (
	OK   Status = "ok"
	Warn Status = "warn" // it works, and will not always, or not for everybody
	Fail Status = "fail" // it does not work
	Skip Status = "skip" // there is nothing to look at, or another probe failed before
)

// Probe is one thing that is looked at.
type Probe struct {
	ID    string // what --probe takes; the names are a contract
	Title string
	// About says what is looked at and, in brackets, when it warns and fails.
	About string
	// Needs are probes without which this one knows nothing.
	Needs []string
	run   func(ctx context.Context, p *Patient) Finding
}

// Finding is what a probe found.
type Finding struct {
	Status Status
	Found  string // what was seen
	Means  string // what follows; empty with OK
	Fix    string // what to do; empty with OK
	Wrote  string // what was written and removed again; empty: nothing was
}

// Result is the finding of a probe; its JSON form is a contract.
type Result struct {
	ID      string  `json:"id"`
	Title   string  `json:"title"`
	Status  Status  `json:"status"`
	Found   string  `json:"found"`
	Means   string  `json:"means,omitempty"`
	Fix     string  `json:"fix,omitempty"`
	Wrote   string  `json:"wrote,omitempty"`
	Seconds float64 `json:"seconds"`
}

// Report is all that was found; its JSON form is a contract.
type Report struct {
	Status Status    `json:"status"` // the worst of all; skip does not count
	Time   time.Time `json:"time"`
	OK     int       `json:"ok"`
	Warn   int       `json:"warn"`
	Fail   int       `json:"fail"`
	Skip   int       `json:"skip"`
	Probes []Result  `json:"probes"`
}

func ok(format string, args ...any) Finding {
	return Finding{Status: OK, Found: fmt.Sprintf(format, args...)}
}

func skip(format string, args ...any) Finding {
	return Finding{Status: Skip, Found: fmt.Sprintf(format, args...)}
}

// Probes lists all probes in the order in which they are made.
func Probes() []Probe {
	return slices.Concat(settingsProbes, mlflowProbes, collectorProbes, workerProbes, modelProbes, slackProbes)
}

// Find returns the probes with these ids, in the order of Probes; none means all.
func Find(ids []string) ([]Probe, error) {
	all := Probes()
	if len(ids) == 0 {
		return all, nil
	}
	var known, found []string
	var probes []Probe
	for _, p := range all {
		known = append(known, p.ID)
		if slices.Contains(ids, p.ID) {
			probes, found = append(probes, p), append(found, p.ID)
		}
	}
	for _, id := range ids {
		if !slices.Contains(found, id) {
			return nil, fmt.Errorf("there is no probe %q; use %s", id, strings.Join(known, ", "))
		}
	}
	return probes, nil
}

// Run makes the probes and calls told with each result. Probes that these need are made too, and
// told of when they fail.
func Run(ctx context.Context, probes []Probe, p *Patient, told func(Result)) Report {
	defer p.close()
	r := runner{patient: p, done: map[string]Result{}, byID: map[string]Probe{}}
	for _, probe := range Probes() {
		r.byID[probe.ID] = probe
	}
	report := Report{Status: OK, Time: p.Now().UTC().Truncate(time.Second), Probes: []Result{}}
	var toldOf []string
	add := func(one Result) {
		if slices.Contains(toldOf, one.ID) {
			return
		}
		toldOf = append(toldOf, one.ID)
		report.count(one)
		if told != nil {
			told(one)
		}
	}
	for _, probe := range probes {
		for _, need := range probe.Needs {
			if first := r.result(ctx, need); first.Status == Fail {
				add(first)
			}
		}
		add(r.result(ctx, probe.ID))
	}
	return report
}

func (r *Report) count(one Result) {
	r.Probes = append(r.Probes, one)
	switch one.Status {
	case OK:
		r.OK++
	case Warn:
		r.Warn++
		if r.Status == OK {
			r.Status = Warn
		}
	case Fail:
		r.Fail++
		r.Status = Fail
	case Skip:
		r.Skip++
	}
}

// runner makes each probe once.
type runner struct {
	patient *Patient
	byID    map[string]Probe
	done    map[string]Result
}

func (r *runner) result(ctx context.Context, id string) Result {
	if one, known := r.done[id]; known {
		return one
	}
	probe := r.byID[id]
	start := time.Now()
	one := Result{ID: probe.ID, Title: probe.Title}
	f := r.find(ctx, probe)
	one.Status, one.Found, one.Means, one.Fix, one.Wrote = f.Status, f.Found, f.Means, f.Fix, f.Wrote
	one.Seconds = time.Since(start).Round(time.Millisecond).Seconds()
	r.done[id] = one
	return one
}

func (r *runner) find(ctx context.Context, probe Probe) Finding {
	for _, need := range probe.Needs {
		switch first := r.result(ctx, need); {
		case first.Status == Fail || first.Status == Skip:
			return skip("%s: %s", need, first.Found)
		case first.Status == Warn && r.patient.unreachable(need):
			return skip("%s: %s", need, first.Found)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, r.patient.patience())
	defer cancel()
	f := probe.run(ctx, r.patient)
	f.Found, f.Means, f.Fix = r.patient.hide(f.Found), r.patient.hide(f.Means), r.patient.hide(f.Fix)
	return f
}
