package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/technoshare/commentator/internal/pause"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/validate"
)

type validateCmd struct {
	Jobs        int           `default:"20" help:"How many test jobs are recorded; as many run with telemetry off."`
	Record      bool          `help:"Only record the baseline: how long jobs take with telemetry off, whatever the settings say."`
	Baseline    string        `help:"File of the baseline; default DB_PATH with .baseline.json behind it." placeholder:"FILE"`
	Bound       float64       `default:"1.25" help:"How much longer jobs may take: the ratio of the medians."`
	Wait        time.Duration `default:"2m" help:"How long MLflow may take to hold what the Collector was sent."`
	Commentator string        `help:"The commentator program; default the one beside this program, else in PATH." placeholder:"PATH"`
	Prometheus  string        `help:"Address of a Prometheus that reads the Collector's own metrics: it is asked for MLflow's uptime." placeholder:"URL"`
	JSON        bool          `name:"json" help:"Print one JSON object."`
	Markdown    string        `help:"Write the report as a page, too." placeholder:"FILE"`
}

// Help is shown below the flags.
func (validateCmd) Help() string {
	return `Test jobs go from the worker over the Collector into MLflow, under the settings that the environment and .env have. They are about pages on loopback, use no model and post nothing. They are told apart by a job database of their own, the channel ` + validate.Channel + `, and the experiment's name with _validation behind it. A worker that runs is not disturbed.

Jobs with telemetry off take turns with the recorded ones. It is a slowdown when jobs take longer by more than --bound than in the baseline, and than those, and neither is chance.

Exit code: 0 when nothing fails, 1 when something does, 2 for wrong input.`
}

// maxTestJobs bounds --jobs: they are one message each time.
const maxTestJobs = 1000

// Run validates, or records the baseline.
func (c *validateCmd) Run(env environment) (err error) {
	if c.Jobs < 1 || c.Jobs > maxTestJobs || c.Bound < 1 {
		return verdict{exitUsage, fmt.Sprintf("--jobs takes 1 to %d and --bound 1 or more", maxTestJobs)}
	}
	if err := checkWait(c.Wait); err != nil {
		return err
	}
	cfg, end, err := c.config(env)
	if err != nil {
		return err
	}
	failed := true
	defer func() { err = errors.Join(err, end(failed)) }()
	if c.Record {
		err := c.record(env, cfg)
		failed = err != nil
		return err
	}
	report, err := validate.Run(env.ctx, cfg)
	if err != nil {
		return err
	}
	failed = !report.Passed
	if c.Markdown != "" {
		if err := writeFile(c.Markdown, report.Markdown); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if c.JSON {
		err = plainjson.Indented(env.stdout).Encode(report)
	} else {
		err = report.Text(env.stdout)
	}
	if err == nil && failed {
		err = verdict{code: exitFailed}
	}
	return err
}

// config starts what test jobs need. End ends it, and keeps their database when something
// failed.
func (c *validateCmd) config(env environment) (cfg validate.Config, end func(failed bool) error, err error) {
	self, err := os.Executable()
	if err != nil {
		return cfg, nil, fmt.Errorf("find this program: %w", err)
	}
	program, err := validate.FindProgram(c.Commentator, self)
	if err != nil {
		return cfg, nil, verdict{exitUsage, err.Error()}
	}
	deployed, err := env.settings()
	if err != nil {
		return cfg, nil, err
	}
	experiment := cmp.Or(env.experiment, env.collector().Experiment) + "_validation"
	settings, err := validate.Settings(deployed, env.dir, env.config.SamplingPath(), experiment)
	if err != nil {
		return cfg, nil, err
	}
	dir, err := os.MkdirTemp("", "mlflowctl-validate-*")
	if err != nil {
		return cfg, nil, fmt.Errorf("make a folder for test jobs: %w", err)
	}
	worker := &validate.Worker{Program: program, Settings: settings, Dir: dir}
	if err := worker.Start(env.ctx); err != nil {
		return cfg, nil, errors.Join(err, os.RemoveAll(dir))
	}
	mode, because := env.config.Mode()
	cfg = validate.Config{
		Worker: worker, Client: env.client, Database: env.config.Database(), Mode: string(mode), Because: because,
		Experiment: experiment, Deployed: env.experiment, Jobs: c.Jobs, Bound: c.Bound, Wait: c.Wait,
		BaselineFile: cmp.Or(c.Baseline, env.config.BaselinePath()), Prometheus: c.Prometheus, Version: version, Now: time.Now, Sleep: pause.For,
	}
	return cfg, func(failed bool) error {
		worker.Stop()
		if failed {
			fmt.Fprintf(env.stderr, "The job database of the test jobs stays in %s.\n", dir)
			return nil
		}
		return os.RemoveAll(dir)
	}, nil
}

func (c *validateCmd) record(env environment, cfg validate.Config) error {
	b, err := validate.Record(env.ctx, cfg)
	if err != nil {
		return err
	}
	if b.Failed > 0 {
		return fmt.Errorf("%d of %d test jobs did not succeed, so there is no baseline", b.Failed, b.Jobs)
	}
	if err := b.Write(cfg.BaselineFile); err != nil {
		return err
	}
	if c.JSON {
		return plainjson.Indented(env.stdout).Encode(b)
	}
	_, err = fmt.Fprintf(env.stdout, "%d jobs with telemetry off take %.0f ms (median; %.0f to %.0f ms); written to %s\n",
		b.Jobs, 1000*b.Median, 1000*b.Seconds[0], 1000*b.Seconds[len(b.Seconds)-1], cfg.BaselineFile)
	return err
}

// writeFile lets a function write a file.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
