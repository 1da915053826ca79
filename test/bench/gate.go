//go:build linux

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/technoshare/commentator/internal/evaluation/compare"
	"github.com/technoshare/commentator/test/sandbox"
)

const (
	gateSimulations = 2000
	gateRepetitions = 3
	gatePower       = 0.80
	// gateDataset is the least size of a dataset.
	gateDataset = 40
	gateSeed    = 20261126

	goalFalseFail = 0.02
	goalPassShare = 0.80
)

// gateReport is .bench/gate.json; the first four names are a contract.
type gateReport struct {
	Simulations    int     `json:"simulations"`
	FalseFailUpper float64 `json:"false_fail_upper"` // Wilson, 95 %, of FAIL on unchanged comments
	PassShare      float64 `json:"pass_share"`       // of unchanged comments
	Power          float64 `json:"power"`            // of the change that is hardest to find

	Config      compare.Config `json:"config"`
	Repetitions int            `json:"repetitions"`
	// Recommended is how many examples Power holds for.
	Recommended int        `json:"recommended_examples"`
	PassRate    float64    `json:"pass_rate"` // of the simulated population
	Cases       []gateCase `json:"cases"`
	Goals       []goal     `json:"goals"` // least and most are Wilson's interval, 95 %

	Time     time.Time `json:"time"`
	Revision string    `json:"revision"`
	Machine  string    `json:"machine"`
	Seconds  float64   `json:"seconds"`
}

type gateCase struct {
	Name     string        `json:"name"`
	Examples int           `json:"examples"`
	Verdicts compare.Tally `json:"verdicts"`
	Fail     spread        `json:"fail"` // share, and Wilson's interval, 95 %
	Pass     spread        `json:"pass"`
}

func shareOf(t compare.Tally, n int) spread {
	share, i := t.Share(n)
	return spread{Median: share, Least: i.Low, Most: i.High}
}

// benchGate simulates evaluations of a population whose examples differ, and has the gate's own
// code compare them.
func benchGate(o options) error {
	started := time.Now()
	cfg := compare.Defaults
	cfg.Threshold = compare.DefaultThreshold
	sim := compare.Simulation{Population: compare.Typical, Repetitions: gateRepetitions, Runs: gateSimulations, Config: cfg}
	recommended, rate := sim.Recommend(gatePower, gateSeed)
	breaks, weakens := compare.Breaks(cfg.MinEffect/rate), compare.Weakens(cfg.MinEffect/rate)

	r := gateReport{Simulations: gateSimulations, Config: cfg, Repetitions: gateRepetitions, Recommended: recommended, PassRate: rate, Time: started.UTC(), Revision: revision(), Machine: sandbox.Machine()}
	run := func(name string, examples int, effect compare.Effect) gateCase {
		sim.Examples, sim.Effect = examples, effect
		t := sim.Run(gateSeed + uint64(len(r.Cases)))
		c := gateCase{Name: name, Examples: examples, Verdicts: t, Fail: shareOf(t, t.Fail), Pass: shareOf(t, t.Pass)}
		r.Cases = append(r.Cases, c)
		fmt.Printf("%-42s %4d examples  PASS %5.1f %%  FAIL %5.2f %% (%.2f to %.2f)  INCONCLUSIVE %d\n",
			name, examples, 100*c.Pass.Median, 100*c.Fail.Median, 100*c.Fail.Least, 100*c.Fail.Most, t.Inconclusive)
		return c
	}
	small := run("unchanged", gateDataset, compare.Unchanged)
	unchanged := run("unchanged", recommended, compare.Unchanged)
	broken := run("a drop that breaks some and spares others", recommended, breaks)
	weakened := run("a drop that all share", recommended, weakens)
	run("a drop that breaks some and spares others", gateDataset, breaks)
	run("a drop that all share", gateDataset, weakens)
	run("a drop of twice that, breaking some", gateDataset, compare.Breaks(2*cfg.MinEffect/rate))

	for _, c := range []gateCase{small, unchanged} {
		r.FalseFailUpper = max(r.FalseFailUpper, c.Fail.Most)
		r.Goals = append(r.Goals,
			goal{Name: fmt.Sprintf("false FAIL, %d examples", c.Examples), Figure: c.Fail, Bound: goalFalseFail, AtMost: true}.judge(),
			goal{Name: fmt.Sprintf("PASS when unchanged, %d examples", c.Examples), Figure: c.Pass, Bound: goalPassShare}.judge())
	}
	for _, c := range []gateCase{broken, weakened} {
		r.Goals = append(r.Goals, goal{Name: fmt.Sprintf("power, %s, %d examples", c.Name, c.Examples), Figure: c.Fail, Bound: gatePower}.judge())
	}
	r.PassShare = min(small.Pass.Median, unchanged.Pass.Median)
	r.Power = min(broken.Fail.Median, weakened.Fail.Median)
	r.Seconds = time.Since(started).Seconds()
	path := filepath.Join(o.out, "gate.json")
	if err := save(path, r); err != nil {
		return err
	}
	printGoals(r.Goals)
	fmt.Printf("%d simulations a case; recommended: %d examples × %d; false FAIL at most %.2f %%, PASS %.1f %%, power %.1f %%; %s\n",
		r.Simulations, r.Recommended, r.Repetitions, 100*r.FalseFailUpper, 100*r.PassShare, 100*r.Power, path)
	if r.FalseFailUpper > goalFalseFail || r.PassShare < goalPassShare || r.Power < gatePower {
		return errors.New("a goal is missed")
	}
	return nil
}
