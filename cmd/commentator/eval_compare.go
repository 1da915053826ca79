package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/compare"
	"github.com/technoshare/commentator/internal/evaluation/reports"
)

// comparison are the flags that comparing commands share.
type comparison struct {
	MinEffect float64 `default:"0.10" help:"Least drop of the pass rate that matters, as a share."`
	Alpha     float64 `default:"0.02" help:"How often unchanged comments may be called worse, as a share."`
	MaxLost   float64 `default:"0.20" help:"Share of tries that may end in infrastructure errors."`
	Resamples int     `default:"10000" help:"Samples of the bootstrap."`
	Seed      uint64  `default:"1" help:"Seed of the bootstrap; the same files and seed give the same result."`
}

func (c comparison) config(threshold float64) (compare.Config, error) {
	cfg := compare.Config{Threshold: threshold, MinEffect: c.MinEffect, Alpha: c.Alpha, MaxLost: c.MaxLost, Resamples: c.Resamples, Seed: c.Seed}
	return cfg, cfg.Validate()
}

// reporting are the flags that say how a comparison is printed.
type reporting struct {
	Format string `default:"text" enum:"text,markdown,json,junit,github,html" help:"What to print: text, markdown, json, junit, github (annotations, then text) or html."`
	Out    string `placeholder:"DIR" help:"Folder for verdict.json, report.md, junit.xml and report.html."`
}

const verdictHelp = `

Exit code: 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 it could not be carried out.`

type evalCompareCommand struct {
	Base string `arg:"" help:"eval_results.json, or a baseline."`
	Cand string `arg:"" help:"The same of the changed comments."`

	Threshold  float64 `default:"0" help:"Least pass rate of the candidate, as a share; 0: any."`
	comparison `embed:""`
	reporting  `embed:""`
}

// Help is shown below the flags.
func (evalCompareCommand) Help() string {
	return "FAIL when the pass rate dropped and chance does not explain it, PASS when a drop of --min-effect is ruled out, else INCONCLUSIVE, with how many more examples would decide." + verdictHelp
}

// Run compares two files.
func (c *evalCompareCommand) Run(_ context.Context, a *app) error {
	return impossible(a.compare(c.Base, c.Cand, c.Threshold, c.comparison, c.reporting))
}

type evalGateCommand struct {
	Results string `arg:"" optional:"" default:"eval_results.json" help:"What the evaluation wrote."`

	Baseline   string  `required:"" placeholder:"FILE" help:"Baseline, as \"commentator eval baseline\" writes it; eval_results.json will do."`
	Threshold  float64 `default:"0.80" help:"Least pass rate, as a share."`
	comparison `embed:""`
	reporting  `embed:""`
}

// Help is shown below the flags.
func (evalGateCommand) Help() string {
	return "Like compare, and FAIL as well when the pass rate is below --threshold beyond doubt, INCONCLUSIVE when it is below it but may not be. verdict.json, with --out, is what \"mlflowctl prompts promote\" asks for." + verdictHelp
}

// Run compares the results with the baseline.
func (c *evalGateCommand) Run(_ context.Context, a *app) error {
	return impossible(a.compare(c.Baseline, c.Results, c.Threshold, c.comparison, c.reporting, alike))
}

// alike returns an error when models wrote one side's comments and not the other's: the difference
// would be that, and not the change.
func alike(base, cand *compare.Sample) error {
	if (base.Analyser == evaluation.AnalyserOffline) != (cand.Analyser == evaluation.AnalyserOffline) {
		return fmt.Errorf("the baseline was made with the analyser %s and the results with %s: evaluate with the same, make a baseline of these results, or compare them with `eval compare`", base.Analyser, cand.Analyser)
	}
	return nil
}

// compare loads and compares two files, which have to pass the checks.
func (a *app) compare(base, cand string, threshold float64, how comparison, show reporting, checks ...func(base, cand *compare.Sample) error) error {
	cfg, err := how.config(threshold)
	if err != nil {
		return err
	}
	baseline, err := compare.Load(base)
	if err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	candidate, err := compare.Load(cand)
	if err != nil {
		return fmt.Errorf("candidate: %w", err)
	}
	for _, check := range checks {
		if err := check(baseline, candidate); err != nil {
			return err
		}
	}
	r := compare.Compare(baseline, candidate, cfg)
	if err := show.write(a.stdout, r); err != nil {
		return err
	}
	switch r.Verdict {
	case compare.Fail:
		return evalEnd{code: exitEvalFailed}
	case compare.Inconclusive:
		return evalEnd{code: exitEvalInconclusive}
	}
	return nil
}

// write prints a comparison and writes the files that are asked for.
func (s reporting) write(w io.Writer, r *compare.Result) error {
	machine, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode verdict: %w", err)
	}
	machine = append(machine, '\n')
	page, err := reports.HTML(r)
	if err != nil {
		return err
	}
	junit, err := reports.JUnit(r)
	if err != nil {
		return err
	}
	text, markdown := reports.Text(r), reports.Markdown(r)
	if s.Out != "" {
		files := map[string][]byte{"verdict.json": machine, "report.md": []byte(markdown), "junit.xml": junit, "report.html": page}
		if err := writeFiles(s.Out, files); err != nil {
			return err
		}
	}
	out := map[string][]byte{
		"text": []byte(text), "markdown": []byte(markdown), "json": machine, "junit": junit, "html": page, "github": []byte(reports.Annotations(r) + text),
	}
	if _, err := w.Write(out[s.Format]); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

// writeFiles writes files into a folder, which it makes.
func writeFiles(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write reports: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}

type evalBaselineCommand struct {
	Results string `arg:"" optional:"" default:"eval_results.json" help:"What the evaluation wrote."`

	Out   string `default:"data/eval_baseline.json" placeholder:"FILE" help:"Baseline to write; - prints it."`
	Force bool   `help:"Also when tries are missing or ended in infrastructure errors."`
}

// Help is shown below the flags.
func (evalBaselineCommand) Help() string {
	return "A baseline has one line for each example, so that git shows which changed. Write it anew when a change is accepted.\n\nExit code: 0, or 3 when it could not be written."
}

// Run reduces results.
func (c *evalBaselineCommand) Run(_ context.Context, a *app) (err error) {
	defer func() { err = impossible(err) }()
	s, err := compare.Load(c.Results)
	if err != nil {
		return err
	}
	missing := s.Dataset.Examples * s.Repetitions
	for _, e := range s.Examples {
		missing -= e.Counted
	}
	if missing > 0 && !c.Force {
		return fmt.Errorf("make baseline: %d tries in %s are missing or ended in infrastructure errors, so that later evaluations would be compared with a part; repeat the evaluation, or use --force", missing, c.Results)
	}
	text, err := s.Encode()
	if err != nil {
		return err
	}
	if c.Out == "-" {
		_, err = a.stdout.Write(text)
		return err
	}
	if err := os.WriteFile(c.Out, text, 0o644); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("make baseline: there is no folder %s", filepath.Dir(c.Out))
		}
		return fmt.Errorf("make baseline: %w", err)
	}
	prompts := reports.Prompts(s.Prompts)
	if len(s.Prompts) == 0 {
		prompts = "no prompts"
	}
	fmt.Fprintf(a.stdout, "%s: %s, %s\n", c.Out, counted.Of(len(s.Examples), "example"), prompts)
	return nil
}
