package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

type tracingCommand struct {
	What string `arg:"" optional:"" default:"show" help:"off, tracking, full, or the share of jobs to record in full, such as 0.1; show (default): what holds; reset: what the settings say; why: how it was decided for a job."`
	Job  *int64 `arg:"" optional:"" help:"Id of the job, with why."`

	For       *time.Duration `name:"for" help:"End by itself after this time, such as 10m; a rule for the same jobs that does not end holds again then."`
	Jobs      *int64         `help:"End by itself after so many jobs, likewise. Each worker of a PostgreSQL database counts its own."`
	Domain    *string        `help:"Only links to this host and hosts below it."`
	Channel   *string        `help:"Only messages of this Slack channel (its id)."`
	Adapter   *string        `help:"Only pages that this adapter reads: ArxivAdapter, GithubAdapter or GenericAdapter."`
	PerMinute *int           `help:"Record at most so many jobs in any minute in full, and track the others. Each worker of a PostgreSQL database counts its own."`
}

// Run shows or changes the sampling file.
func (c *tracingCommand) Run(ctx context.Context, a *app) error {
	if c.Job != nil && c.What != "why" {
		return usageError{fmt.Errorf("a job can be named with why only: commentator tracing why %d", *c.Job)}
	}
	if err := c.refuseFlags(a); err != nil {
		return usageError{err}
	}
	switch c.What {
	case "show":
		return c.show(ctx, a)
	case "why":
		return c.why(ctx, a)
	case "reset":
		return c.reset(ctx, a)
	}
	return c.add(ctx, a, time.Now())
}

// refuseFlags refuses the flags of a rule where no rule is made: who gives them means
// something else.
func (c *tracingCommand) refuseFlags(a *app) error {
	var given string
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"--for", c.For != nil},
		{"--jobs", c.Jobs != nil},
		{"--domain", c.Domain != nil},
		{"--channel", c.Channel != nil},
		{"--adapter", c.Adapter != nil},
		{"--per-minute", c.PerMinute != nil},
	} {
		if f.given {
			given = f.name
			break
		}
	}
	switch {
	case given == "":
		return nil
	case c.What == "show":
		return fmt.Errorf("%s belongs to a rule: say what it records, such as commentator tracing full %s …; without flags all rules are shown", given, given)
	case c.What == "why":
		return fmt.Errorf("%s belongs to a rule: commentator tracing why JOB takes none", given)
	case c.What == "reset":
		return fmt.Errorf("reset takes no %s, it removes all rules: to remove one, take it out of %s", given, a.cfg.SamplingPath())
	}
	return nil
}

// reset writes a file without rules, whatever is in it.
func (c *tracingCommand) reset(ctx context.Context, a *app) error {
	path := a.cfg.SamplingPath()
	unlock, err := telemetry.LockSampling(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	if err := telemetry.WriteSampling(path, telemetry.Sampling{}); err != nil {
		return err
	}
	return c.show(ctx, a)
}

// add puts a rule before the others.
func (c *tracingCommand) add(ctx context.Context, a *app, now time.Time) error {
	rule, err := c.rule(now)
	if err != nil {
		return usageError{err}
	}
	path := a.cfg.SamplingPath()
	unlock, err := telemetry.LockSampling(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	rule.ID = time.Now().UTC().Format("20060102T150405.000000") // under the lock: no other rule has it
	before, _, err := telemetry.ReadSampling(path)
	if err != nil {
		return err
	}
	for _, r := range before.Rules {
		if why := r.FitsNone(); why != "" {
			fmt.Fprintf(a.stderr, "warning: rule %s (%s) fits no job and is removed: %s\n", r.ID, r, why)
		}
	}
	decided, _ := a.decided(ctx, before.Rules) // show says that they are not known
	after := before.With(rule, now, decided)
	if err := after.Validate(); err != nil {
		return usageError{err}
	}
	if err := telemetry.WriteSampling(path, after); err != nil {
		return err
	}
	return c.show(ctx, a)
}

// lookWait bounds how long the job database is waited for: the rules are changed without it, too.
const lookWait = 2 * time.Second

// decided counts how many jobs each rule has decided that ends after some jobs. The worker counts
// for itself, in the job database is what it has written.
func (a *app) decided(ctx context.Context, rules []telemetry.SamplingRule) (_ map[string]int64, err error) {
	rules = slices.DeleteFunc(slices.Clone(rules), func(r telemetry.SamplingRule) bool { return r.Jobs == 0 })
	if len(rules) == 0 {
		return nil, nil
	}
	ctx, stop := context.WithTimeout(ctx, lookWait)
	defer stop()
	decided := map[string]int64{}
	s, err := store.Glance(ctx, a.cfg.Database())
	if errors.Is(err, store.ErrNoDatabase) {
		return decided, nil // no job, no decision
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, r := range rules {
		if decided[r.ID], err = s.Decided(ctx, r.ID); err != nil {
			return nil, err
		}
	}
	return decided, nil
}

// show prints what holds for the jobs that start from now on, also while the file cannot be read.
func (c *tracingCommand) show(ctx context.Context, a *app) error {
	path := a.cfg.SamplingPath()
	file := path
	s, revision, broken := telemetry.ReadSampling(path)
	if broken != nil {
		var unkept error
		file = telemetry.LastSamplingPath(path)
		if s, revision, unkept = telemetry.LastSampling(path); unkept != nil {
			broken = fmt.Errorf("%w; %w", broken, unkept)
		}
		holds := "what was kept of it holds:"
		if revision == "" {
			holds = "jobs are recorded as a running worker knows from before, else as the settings say:"
		}
		fmt.Fprintf(a.stdout, "until %s is mended, %s\n", path, holds)
	}
	decided, unknown := a.decided(ctx, s.Rules)
	for _, line := range ruleLines(s.Rules, decided, unknown, time.Now()) {
		fmt.Fprintln(a.stdout, line)
	}
	if unknown != nil {
		fmt.Fprintln(a.stderr, "warning: how many jobs the rules have decided is not known:", a.redactor.Text(unknown.Error()))
	}
	mode, why := a.cfg.Mode()
	rest := "jobs"
	if len(s.Rules) > 0 {
		rest = "other jobs"
	}
	said := string(mode)
	var state *telemetry.RemoteState
	if mode == telemetry.ModeTracing {
		ratio, remote, err := telemetry.ResolveSampler(a.cfg.TracesSampler, a.cfg.TracesSamplerArg)
		if err != nil {
			return errors.Join(broken, usageError{err})
		}
		said = telemetry.FullFor(ratio)
		if remote != nil {
			said = "full or tracking as " + redact.New(nil).Text(remote.Endpoint) + " says"
			state = a.noted(ctx)
		}
	}
	fmt.Fprintf(a.stdout, "%s: %s, because %s\n", rest, said, why)
	if state != nil {
		fmt.Fprintln(a.stdout, remoteLine(*state))
	}
	if revision != "" {
		fmt.Fprintf(a.stdout, "file: %s, revision %s\n", file, revision)
	}
	if c.noWorker(a) {
		fmt.Fprintf(a.stdout, "no worker is known to read %s: there is no job database %s; run the command in the worker's folder, and with the settings of its service if it is one\n",
			path, a.cfg.DBPath)
	}
	if mode == telemetry.ModeOff && len(s.Rules) > 0 {
		fmt.Fprintln(a.stderr, "warning: telemetry is off by the settings, so that the rules have no effect; set MLFLOW_ENABLE_TRACKING=true and start the worker again")
	}
	return broken
}

// noWorker reports whether no worker has ever run with these settings: it would have made the job
// database. Of one in PostgreSQL each host has a sampling file, so that tells nothing.
func (c *tracingCommand) noWorker(a *app) bool {
	_, err := os.Stat(a.cfg.DBPath)
	return a.cfg.DatabaseURL == "" && errors.Is(err, fs.ErrNotExist)
}

// why prints how it was decided what is recorded of a job.
func (c *tracingCommand) why(ctx context.Context, a *app) (err error) {
	if c.Job == nil {
		return usageError{errors.New("name the job: commentator tracing why JOB; `commentator jobs list` shows their ids")}
	}
	s, err := a.look(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	d, err := s.Decision(ctx, *c.Job)
	if errors.Is(err, store.ErrNotFound) {
		return usageError{fmt.Errorf("there is no job %d in %s", *c.Job, a.cfg.DatabaseName())}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "job %d: %s\n", *c.Job, explain(d))
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
	case d.By == commentator.ByRemote && d.Revision != "":
		return fmt.Sprintf("%s, by revision %s of the strategy of %s", d.Detail, d.Revision, d.Rule)
	case d.By == commentator.ByRemote:
		return fmt.Sprintf("%s, by the strategy of %s", d.Detail, d.Rule)
	case d.By == commentator.BySettings && d.Detail == commentator.DetailTracking && d.Ratio == 0:
		return "tracking, by the settings: tracing was off or its ratio 0"
	case d.By == commentator.BySettings:
		return fmt.Sprintf("%s, by the settings: %s", d.Detail, telemetry.FullFor(d.Ratio))
	}
	return fmt.Sprintf("%s, by rule %s of the sampling file's revision %s: %s", d.Detail, d.By, d.Revision, d.Rule)
}
