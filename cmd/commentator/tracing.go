package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

type tracingCommand struct {
	What string `arg:"" optional:"" default:"show" help:"off, tracking, full, or the share of jobs to record in full, such as 0.1; show (default): what holds; reset: what the settings say; why: how it was decided for a job."`
	Job  int64  `arg:"" optional:"" help:"Id of the job, with why."`

	For       time.Duration `name:"for" help:"End by itself after this time, such as 10m."`
	Jobs      int64         `help:"End by itself after so many jobs."`
	Domain    string        `help:"Only links to this host and hosts below it."`
	Channel   string        `help:"Only messages of this Slack channel (its id)."`
	Adapter   string        `help:"Only pages that this adapter reads: ArxivAdapter, GithubAdapter or GenericAdapter."`
	PerMinute int           `help:"Record at most so many jobs a minute in full, and track the others."`
}

// Run shows or changes the sampling file.
func (c *tracingCommand) Run(ctx context.Context, a *app) error {
	if c.Job != 0 && c.What != "why" {
		return usageError{fmt.Errorf("a job can be named with why only: commentator tracing why %d", c.Job)}
	}
	switch c.What {
	case "show":
		return c.show(a)
	case "why":
		return c.why(ctx, a)
	case "reset":
		if err := telemetry.WriteSampling(a.cfg.SamplingPath(), telemetry.Sampling{}); err != nil {
			return err
		}
		return c.show(a)
	}
	return c.add(a, time.Now())
}

// add puts a rule before the others.
func (c *tracingCommand) add(a *app, now time.Time) error {
	rule, err := c.rule(now)
	if err != nil {
		return usageError{err}
	}
	path := a.cfg.SamplingPath()
	before, _, err := telemetry.ReadSampling(path)
	if err != nil {
		return err
	}
	after := before.With(rule, now)
	if err := after.Validate(); err != nil {
		return usageError{err}
	}
	if err := telemetry.WriteSampling(path, after); err != nil {
		return err
	}
	return c.show(a)
}

func (c *tracingCommand) rule(now time.Time) (telemetry.SamplingRule, error) {
	r := telemetry.SamplingRule{
		ID: now.UTC().Format("20060102T150405.000000"), Jobs: c.Jobs, Domain: strings.ToLower(c.Domain),
		Channel: c.Channel, Adapter: c.Adapter, PerMinute: c.PerMinute,
	}
	switch c.What {
	case "off", "tracking", "full":
		r.Detail = commentator.Detail(c.What)
	default:
		ratio, err := strconv.ParseFloat(c.What, 64)
		if err != nil {
			return r, fmt.Errorf("tracing %s: want off, tracking, full, a share from 0 to 1, show, reset or why JOB", c.What)
		}
		r.Detail, r.Ratio = commentator.DetailFull, &ratio
	}
	if c.For < 0 {
		return r, errors.New("--for must be above 0")
	}
	if c.For > 0 {
		r.Until = now.Add(c.For).UTC().Truncate(time.Second)
	}
	return r, nil
}

// show prints what holds for the jobs that start from now on.
func (c *tracingCommand) show(a *app) error {
	path := a.cfg.SamplingPath()
	s, revision, err := telemetry.ReadSampling(path)
	if err != nil {
		return err
	}
	for _, r := range s.Rules {
		state := ""
		if !r.Until.IsZero() && !time.Now().Before(r.Until) {
			state = " (over)"
		}
		fmt.Fprintf(a.stdout, "%s%s  [%s]\n", r, state, r.ID)
	}
	mode, why := resolveMode(a.cfg)
	rest := "jobs"
	if len(s.Rules) > 0 {
		rest = "other jobs"
	}
	said := string(mode)
	if mode == telemetry.ModeTracing {
		ratio, remote, err := telemetry.ResolveSampler(a.cfg.TracesSampler, a.cfg.TracesSamplerArg)
		if err != nil {
			return usageError{err}
		}
		said = fmt.Sprintf("full for %v of them", ratio)
		if remote != nil {
			said = "full or tracking as " + remote.Endpoint + " says"
		}
	}
	fmt.Fprintf(a.stdout, "%s: %s, because %s\n", rest, said, why)
	if revision != "" {
		fmt.Fprintf(a.stdout, "file: %s, revision %s\n", path, revision)
	}
	if mode == telemetry.ModeOff && len(s.Rules) > 0 {
		fmt.Fprintln(a.stderr, "warning: telemetry is off by the settings, so that the rules have no effect; set MLFLOW_ENABLE_TRACKING=true and start the worker again")
	}
	return nil
}

// why prints how it was decided what is recorded of a job.
func (c *tracingCommand) why(ctx context.Context, a *app) (err error) {
	if c.Job == 0 {
		return usageError{errors.New("name the job: commentator tracing why JOB; `commentator jobs list` shows their ids")}
	}
	s, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	d, err := s.Decision(ctx, c.Job)
	if errors.Is(err, store.ErrNotFound) {
		return usageError{fmt.Errorf("there is no job %d in %s", c.Job, a.cfg.DatabaseName())}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "job %d: %s\n", c.Job, explain(d))
	return nil
}

func explain(d commentator.Decision) string {
	switch {
	case d.Detail == "":
		return "not decided yet, it has not started"
	case d.By == "" && d.Detail == commentator.DetailOff:
		return "off, telemetry was off when it started"
	case d.By == "":
		return string(d.Detail) + ", decided by an older release that did not note why"
	case d.By == commentator.ByRemote:
		return fmt.Sprintf("%s, by the strategy of %s", d.Detail, d.Rule)
	case d.By == commentator.BySettings && d.Detail == commentator.DetailTracking && d.Ratio == 0:
		return "tracking, by the settings: tracing was off or its ratio 0"
	case d.By == commentator.BySettings:
		return fmt.Sprintf("%s, by the settings: full for %v of the jobs", d.Detail, d.Ratio)
	}
	return fmt.Sprintf("%s, by rule %s of the sampling file's revision %s: %s", d.Detail, d.By, d.Revision, d.Rule)
}
