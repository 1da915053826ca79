package main

import (
	"fmt"
	"time"

	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/lookback"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/retention"
)

type retentionCmd struct {
	KeepLast     int           `default:"100" placeholder:"N" help:"Job runs of each experiment that stay however old they are (default ${default})."`
	KeepFor      lookback.Age  `default:"90d" placeholder:"AGE" help:"What started within this time stays, days such as 90d or hours such as 36h (default ${default})."`
	Apply        bool          `help:"Remove it. Without this flag nothing is changed."`
	JSON         bool          `name:"json" help:"Print one JSON object."`
	BackendStore string        `name:"mlflow-store" placeholder:"URI" help:"MLflow's database on this host; default MLFLOW_BACKEND_STORE, else sqlite:///mlflow.db."`
	Artifacts    string        `placeholder:"DIR" help:"The directory whose artifacts MLflow serves; default MLFLOW_ARTIFACT_ROOT, else ./mlartifacts."`
	LockFor      time.Duration `default:"15s" placeholder:"TIME" help:"How long MLflow may have to wait while its database is made shorter the first time (default ${default})."`
}

// Help says more than the flags do.
func (*retentionCmd) Help() string {
	return `What is both older than --keep-for and not among the last --keep-last jobs of its experiment goes: the job's run with the runs of its
stages, their traces, assessments and artifacts; and traces, directories and rows whose run is gone already.

It never touches what is not finished, what has the tag ` + retention.Keep + ` (on a run or a trace), what is the source of a registered model,
a logged model or a prompt, what an evaluation dataset, an issue or a pending review refers to, nor what hangs together with any of these.

Without --experiment and MLFLOW_EXPERIMENT_NAME all experiments are meant, else that one and its _service experiment. MLflow must be running, and
its database a SQLite file on this host. It can be interrupted at any time and repeated.`
}

// Run counts what may go and, with --apply, removes it.
func (c *retentionCmd) Run(env environment) error {
	o := retention.Options{
		Rule:   retention.Rule{Last: c.KeepLast, Age: c.KeepFor.Duration(), Now: time.Now()},
		Server: env.client, Endpoint: env.ui, Store: c.BackendStore, Artifacts: c.Artifacts, LockFor: c.LockFor,
	}
	if err := o.Validate(); err != nil {
		return verdict{exitUsage, err.Error()}
	}
	if o.Store == "" {
		o.Store = env.config.BackendStore
	}
	if o.Artifacts == "" {
		o.Artifacts = env.config.ArtifactRoot
	}
	if env.experiment != "" {
		o.Experiments = []string{env.experiment, env.experiment + "_service"}
	}
	report, err := retention.Run(env.ctx, o, c.Apply)
	if report != nil {
		if printed := c.print(env, report); err == nil {
			err = printed
		}
	}
	if err != nil {
		return fmt.Errorf("apply retention: %w", err)
	}
	if n := len(report.Problems); n > 0 {
		return verdict{exitFailed, fmt.Sprintf("%s could not be removed; the next time tries again", counted.Of(n, "thing"))}
	}
	return nil
}

func (c *retentionCmd) print(env environment, r *retention.Report) error {
	if c.JSON {
		return plainjson.Lines(env.stdout).Encode(r)
	}
	return r.Print(env.stdout)
}
