package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/doctor"
	"github.com/technoshare/commentator/internal/plainjson"
)

type doctorCmd struct {
	JSON  bool     `name:"json" help:"Print one JSON object."`
	Probe []string `help:"Make only this probe, and those that it needs; may be repeated." placeholder:"ID" sep:","`
	List  bool     `help:"List the probes and what each looks at."`
}

// Help says what the exit code means.
func (c *doctorCmd) Help() string {
	return `Looks for what keeps worker, Collector, MLflow, Slack and model from working together. Each
probe ends as ok, warn, fail or skip, and says what it found, what that means and how to mend
it. Run it where the worker or the Collector runs, in the folder of their .env.

It changes nothing that stays: what a probe has to write in order to know, a span and a file in
MLflow and a connection to Slack, it removes again and names. Nothing is sent to a model.

Exit code: 0 when no probe failed, warnings or not; 1 when one did; 2 when the command line is wrong.`
}

// Run makes the probes. It takes settings that other commands refuse: they are what it looks at.
func (c *doctorCmd) Run(env environment) error {
	probes, err := doctor.Find(c.Probe)
	if err != nil {
		return verdict{exitUsage, err.Error()}
	}
	if c.List {
		return c.list(env.stdout, probes)
	}
	collector, problem := config.LoadCollector(env.options())
	if env.given != "" { // --experiment
		collector.Experiment = env.given
	}
	p := doctor.New(doctor.Patient{
		Config: env.config, Warnings: env.warnings, Problem: env.problem, Options: env.options(),
		Collector: collector, CollectorProblem: problem, MLflow: env.client, Experiment: env.experiment,
	})
	var printErr error
	report := doctor.Run(env.ctx, probes, p, func(r doctor.Result) {
		if !c.JSON && printErr == nil {
			printErr = printResult(env.stdout, r)
		}
	})
	if printErr != nil {
		return printErr
	}
	if c.JSON {
		err = plainjson.Indented(env.stdout).Encode(report)
	} else {
		_, err = fmt.Fprintf(env.stdout, "\n%d ok, %d to warn of, %d failed, %d skipped\n", report.OK, report.Warn, report.Fail, report.Skip)
	}
	if err == nil && report.Status == doctor.Fail {
		return verdict{code: exitFailed}
	}
	return err
}

func printResult(w io.Writer, r doctor.Result) error {
	indent := "\n" + strings.Repeat(" ", 24)
	var b strings.Builder
	fmt.Fprintf(&b, "%-5s %-17s %s\n", r.Status, r.ID, strings.ReplaceAll(r.Found, "\n", indent))
	for _, part := range []struct{ name, text string }{{"means", r.Means}, {"fix", r.Fix}, {"wrote", r.Wrote}} {
		if part.text != "" {
			fmt.Fprintf(&b, "%17s %-5s %s\n", "", part.name, strings.ReplaceAll(part.text, "\n", indent))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *doctorCmd) list(w io.Writer, probes []doctor.Probe) error {
	type listed struct {
		ID    string   `json:"id"`
		Title string   `json:"title"`
		About string   `json:"about"`
		Needs []string `json:"needs,omitempty"`
	}
	if c.JSON {
		all := []listed{}
		for _, p := range probes {
			all = append(all, listed{p.ID, p.Title, p.About, p.Needs})
		}
		return plainjson.Indented(w).Encode(all)
	}
	for _, p := range probes {
		if _, err := fmt.Fprintf(w, "%-17s %s\n%18s%s\n", p.ID, p.Title, "", p.About); err != nil {
			return err
		}
	}
	return nil
}
