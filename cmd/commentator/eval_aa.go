package main

import (
	"context"
	"fmt"
	"io"
	"sort"

	"github.com/technoshare/commentator/internal/evaluation/compare"
	"github.com/technoshare/commentator/internal/evaluation/reports"
	"github.com/technoshare/commentator/internal/plainjson"
)

type evalAACommand struct {
	Results []string `arg:"" help:"Evaluations of unchanged comments, with repetitions; eval_results.json or baselines."`

	Runs         int     `default:"2000" help:"Comparisons to simulate."`
	MaxFalseFail float64 `default:"0.02" help:"Greatest share of FAIL on unchanged comments, as the upper end of its interval."`
	MinPass      float64 `default:"0.80" help:"Least share of PASS on unchanged comments."`
	Threshold    float64 `default:"0.80" help:"Least pass rate, as with \"eval gate\"."`
	JSON         bool    `name:"json" help:"Print JSON."`
	comparison   `embed:""`
}

// Help is shown below the flags.
func (evalAACommand) Help() string {
	return `Draws pairs of evaluations from what the given ones tell of the examples, and compares them by the code of "eval gate": a FAIL is a false alarm. Then the same after a change that breaks some examples. Two and more files are also compared with each other as they are.

Exit code: 0 the gate may be used on this dataset; 1 it raises false alarms; 2 it passes unchanged comments too seldom, so that more examples or repetitions are needed; 3 it could not be measured.`
}

// maxRuns bounds the comparisons; nobody waits for more.
const maxRuns = 1_000_000

// check asks for so many runs that a gate which never raises a false alarm is not said to raise them.
func (c *evalAACommand) check() error {
	for _, s := range []struct {
		name  string
		value float64
	}{{"max-false-fail", c.MaxFalseFail}, {"min-pass", c.MinPass}} {
		if !(s.value >= 0 && s.value <= 1) { // NaN is wrong too
			return fmt.Errorf("--%s: %v is not between 0 and 1", s.name, s.value)
		}
	}
	if c.Runs < 100 || c.Runs > maxRuns {
		return fmt.Errorf("--runs: %d is not between 100 and 1,000,000", c.Runs)
	}
	least := sort.Search(maxRuns, func(n int) bool {
		_, none := compare.Tally{Runs: n + 1}.Share(0)
		return none.High <= c.MaxFalseFail
	}) + 1
	switch {
	case least > maxRuns:
		return fmt.Errorf("--max-false-fail: %v cannot be shown by 1,000,000 runs; allow more", c.MaxFalseFail)
	case c.Runs < least:
		return fmt.Errorf("--runs: %d show no share of false alarms as small as %v, even when there is none; at least %d are needed, or a greater --max-false-fail", c.Runs, c.MaxFalseFail, least)
	}
	return nil
}

// Run audits the gate.
func (c *evalAACommand) Run(_ context.Context, a *app) (err error) {
	defer func() { err = impossible(err) }()
	cfg, err := c.config(c.Threshold)
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	samples := make([]*compare.Sample, len(c.Results))
	for i, path := range c.Results {
		if samples[i], err = compare.Load(path); err != nil {
			return err
		}
	}
	audit, err := compare.AA(samples, cfg, c.Runs)
	if err != nil {
		return fmt.Errorf("measure the gate: %w", err)
	}
	if c.JSON {
		err = plainjson.Indented(a.stdout).Encode(audit)
	} else {
		_, err = io.WriteString(a.stdout, reports.AuditText(audit))
	}
	switch {
	case err != nil:
		return fmt.Errorf("print audit: %w", err)
	case audit.FalseFailInterval.High > c.MaxFalseFail:
		return evalEnd{code: exitEvalFailed}
	case audit.PassShare < c.MinPass:
		return evalEnd{code: exitEvalInconclusive}
	}
	return nil
}
