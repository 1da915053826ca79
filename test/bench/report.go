//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/technoshare/commentator/test/sandbox"
)

// spread is a figure over all rounds.
type spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// MarshalJSON leaves out a bound that is not known, which is infinite.
func (s spread) MarshalJSON() ([]byte, error) {
	known := func(v float64) *float64 {
		if math.IsInf(v, 0) {
			return nil
		}
		return &v
	}
	return json.Marshal(struct {
		Median float64  `json:"median"`
		Least  *float64 `json:"least,omitempty"`
		Most   *float64 `json:"most,omitempty"`
	}{s.Median, known(s.Least), known(s.Most)})
}

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	middle := v[len(v)/2]
	if len(v)%2 == 0 {
		middle = (v[len(v)/2-1] + middle) / 2
	}
	return spread{middle, v[0], v[len(v)-1]}
}

// goal is a bound on the ratio of two ways, or on a figure.
type goal struct {
	Name    string  `json:"name"`
	Figure  spread  `json:"figure"` // of a ratio: its median over the rounds and the 95 % bounds of that
	Bound   float64 `json:"bound"`
	AtMost  bool    `json:"at_most"` // else at least
	Verdict string  `json:"verdict"`
}

// judge says whether a goal is met. A bound within the noise of the figure, which Least and Most
// limit, is not shown to be met, nor to be missed.
func (g goal) judge() goal {
	sure := func(v float64) bool { return g.AtMost == (v <= g.Bound) || v == g.Bound }
	switch best, worst := sure(g.Figure.Least), sure(g.Figure.Most); {
	case best && worst:
		g.Verdict = "met"
	case !best && !worst:
		g.Verdict = "not met"
	default:
		g.Verdict = "not shown"
	}
	return g
}

// result is what bridge.json holds.
type result struct {
	Time     time.Time `json:"time"`
	Revision string    `json:"revision"`
	Machine  string    `json:"machine"`
	Backend  string    `json:"backend"`
	Workload *workload `json:"workload"`

	SDK     spread `json:"sdk_ms_per_job"`
	Floor   spread `json:"floor_ms_per_job"`
	Bridge  spread `json:"bridge_ms_per_job"`
	Backlog spread `json:"bridge_backlog_ms_per_job"`

	Flat        spread `json:"flat_ms_per_job"`
	FlatBacklog spread `json:"flat_backlog_ms_per_job"`

	Requests   map[string]float64 `json:"requests_per_job"`
	Wire       map[string]passed  `json:"wire_per_job"`
	CPU        map[string]spread  `json:"cpu_ms_per_job"`
	ServerCPU  map[string]spread  `json:"server_cpu_ms_per_job"`
	Disk       map[string]spread  `json:"mlflow_disk_bytes_per_job"`
	Memory     map[string]spread  `json:"anonymous_mb"`   // of the writer
	Operations map[string]float64 `json:"ms_per_request"` // of the bridge, one job at a time
	Goals      []goal             `json:"goals"`
	Rounds     []round            `json:"rounds"`
}

func report(o options, w *workload, rounds []round, wires map[string]passed, operations map[string]float64) error {
	over := func(way string, value func(round) float64) (out []float64) {
		for _, r := range rounds {
			if r.Way == way {
				out = append(out, value(r))
			}
		}
		return out
	}
	ms := func(r round) float64 { return r.MS }
	ratio := func(a, b string) spread { // within each round, since rounds differ
		x, y := over(a, ms), over(b, ms)
		for i := range x {
			x[i] /= y[i]
		}
		return medianBounds(x)
	}
	one := func(way string) spread { n := wires[way].Requests; return spread{n, n, n} }
	res := result{
		Time: time.Now().UTC(), Revision: revision(), Machine: sandbox.Machine(), Backend: backend(o.store), Workload: w,
		SDK: spreadOf(over("sdk", ms)), Floor: spreadOf(over("floor", ms)),
		Bridge: spreadOf(over("bridge", ms)), Backlog: spreadOf(over("bridge_backlog", ms)),
		Flat: spreadOf(over("flat", ms)), FlatBacklog: spreadOf(over("flat_backlog", ms)),
		Requests: map[string]float64{}, Wire: wires,
		CPU: map[string]spread{}, ServerCPU: map[string]spread{}, Disk: map[string]spread{}, Memory: map[string]spread{},
		Operations: operations, Rounds: rounds,
		Goals: []goal{
			{Name: "sdk / floor", Figure: ratio("sdk", "floor"), Bound: 7},
			{Name: "sdk / bridge", Figure: ratio("sdk", "bridge"), Bound: 8},
			{Name: "sdk / flat, one job at a time", Figure: ratio("sdk", "flat"), Bound: 20},
			{Name: "sdk / flat, with a backlog", Figure: ratio("sdk", "flat_backlog"), Bound: 20},
			{Name: "bridge / floor, one job at a time", Figure: ratio("bridge", "floor"), Bound: 1.1, AtMost: true},
			{Name: "bridge / floor, with a backlog", Figure: ratio("bridge_backlog", "floor"), Bound: 1.0, AtMost: true},
			{Name: "requests per job", Figure: one("bridge"), Bound: 26, AtMost: true},
			{Name: "requests per job, stage by stage", Figure: one("bridge_live"), Bound: 32, AtMost: true},
		},
	}
	for i := range res.Goals {
		res.Goals[i] = res.Goals[i].judge()
	}
	for name, p := range wires {
		res.Requests[name] = p.Requests
	}
	for _, r := range rounds {
		res.CPU[r.Way] = spreadOf(over(r.Way, func(r round) float64 { return r.CPU }))
		res.ServerCPU[r.Way] = spreadOf(over(r.Way, func(r round) float64 { return r.ServerCPU }))
		res.Disk[r.Way] = spreadOf(over(r.Way, func(r round) float64 { return r.Disk }))
		res.Memory[r.Way] = spreadOf(over(r.Way, func(r round) float64 { return r.AnonymousMB }))
	}
	name := "bridge.json"
	if o.store != "" {
		name = "bridge-" + res.Backend + ".json"
	}
	if err := save(filepath.Join(o.out, name), res); err != nil {
		return err
	}
	res.print(filepath.Join(o.out, name))
	return nil
}

func (r result) print(path string) {
	fmt.Printf("%s, %s, %d rounds\n\n", r.Machine, r.Backend, len(r.Rounds)/len(r.CPU))
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "per job\tms\tleast–most\trequests\tKB sent\tCPU ms\tMLflow's CPU ms\tMLflow's disk KB\tMB\t")
	for _, w := range []struct {
		name string
		ms   spread
	}{{"sdk", r.SDK}, {"floor", r.Floor}, {"bridge", r.Bridge}, {"bridge_backlog", r.Backlog}, {"flat", r.Flat}, {"flat_backlog", r.FlatBacklog}} {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f–%.0f\t%.1f\t%.0f\t%.1f\t%.0f\t%.0f\t%.0f\t\n", w.name, w.ms.Median, w.ms.Least, w.ms.Most,
			r.Requests[w.name], r.Wire[w.name].Sent/1000, r.CPU[w.name].Median, r.ServerCPU[w.name].Median, r.Disk[w.name].Median/1000, r.Memory[w.name].Median)
	}
	_ = t.Flush()
	fmt.Println()
	printGoals(r.Goals)
	fmt.Println("\nms per request, bridge, one job at a time:")
	for _, name := range slices.Sorted(maps.Keys(r.Operations)) {
		fmt.Printf("  %-16s %6.1f\n", name, r.Operations[name])
	}
	fmt.Println("\nraw rounds:", path)
}

func printGoals(goals []goal) {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, g := range goals {
		sign := "≥"
		if g.AtMost {
			sign = "≤"
		}
		fmt.Fprintf(t, "%s\t%.2f (%.2f–%.2f)\t%s %g\t%s\n", g.Name, g.Figure.Median, g.Figure.Least, g.Figure.Most, sign, g.Bound, g.Verdict)
	}
	_ = t.Flush()
}

func save(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func revision() string {
	out, _ := exec.Command("git", "describe", "--always", "--dirty").Output() // "" outside a checkout
	return strings.TrimSpace(string(out))
}

func backend(store string) string {
	if store == "" {
		return "sqlite"
	}
	scheme, _, _ := strings.Cut(store, ":")
	return strings.SplitN(scheme, "+", 2)[0]
}
