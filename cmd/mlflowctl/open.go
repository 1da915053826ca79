package main

import (
	"fmt"

	"github.com/technoshare/commentator/internal/jobref"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/ui"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/wire"
)

type openCmd struct {
	Job  string `arg:"" help:"Job id, as \"commentator jobs list\" prints it, a trace id, or Slack's link to the reply or to the message that it answers."`
	JSON bool   `name:"json" help:"Print one JSON object a run."`
}

// opened is a line of `mlflowctl open --json`; the names are a contract.
type opened struct {
	Job      string `json:"job"`
	Status   string `json:"status"`
	Outcome  string `json:"outcome"`
	RunID    string `json:"run_id"`
	RunURL   string `json:"run_url"`
	TraceID  string `json:"trace_id"`  // empty when the job has no trace in MLflow
	TraceURL string `json:"trace_url"` // likewise
}

// Run prints the addresses of the job's runs.
func (c *openCmd) Run(env environment) error {
	runs, err := env.find(c.Job)
	if err != nil {
		return err
	}
	for _, run := range runs {
		o, err := env.open(run)
		if err != nil {
			return err
		}
		if err := c.print(env, o); err != nil {
			return err
		}
	}
	return nil
}

// find gives the runs of a job, at least one. A job id may name several: every job database
// counts from 1.
func (env environment) find(job string) ([]mlflow.Run, error) {
	ref, err := jobref.Parse(job)
	if err != nil {
		return nil, err
	}
	experiments, err := env.experiments()
	if err != nil {
		return nil, err
	}
	runs, err := ref.Find(env.ctx, env.client, experiments)
	if err == nil && len(runs) == 0 {
		err = fmt.Errorf("no run of %s on %s: it was not recorded (MLFLOW_ENABLE_TRACKING=true when it started) or not delivered yet, somebody deleted its run in MLflow, or `mlflowctl retention` removed it; `mlflowctl reconcile` compares MLflow with the job database", ref, env.ui)
	}
	return runs, err
}

// experiments gives the ids to search in.
func (env environment) experiments() ([]string, error) {
	if env.experiment != "" {
		e, err := env.client.GetExperimentByName(env.ctx, env.experiment)
		if mlflow.IsCode(err, mlflow.CodeNotFound) {
			return nil, fmt.Errorf("no experiment %q on %s", env.experiment, env.ui)
		}
		if err != nil {
			return nil, fmt.Errorf("read experiment: %w", err)
		}
		return []string{e.ID}, nil
	}
	all, err := env.client.SearchExperiments(env.ctx)
	if err != nil {
		return nil, fmt.Errorf("list experiments: %w", err)
	}
	ids := make([]string, len(all))
	for i, e := range all {
		ids[i] = e.ID
	}
	return ids, nil
}

func (env environment) open(run mlflow.Run) (opened, error) {
	o := opened{
		Job: run.Param("job_id"), Status: run.Info.Status, Outcome: run.Tag("outcome"),
		RunID: run.Info.ID, RunURL: ui.Run(env.ui, run.Info.ExperimentID, run.Info.ID),
	}
	id := "tr-" + run.Tag(wire.TagKey)
	_, err := env.client.GetTraceInfo(env.ctx, id)
	switch {
	case err == nil:
		o.TraceID, o.TraceURL = id, ui.Trace(env.ui, run.Info.ExperimentID, id)
	case mlflow.IsMissing(err): // tracking only
	default:
		return o, fmt.Errorf("read trace: %w", err)
	}
	return o, nil
}

func (c *openCmd) print(env environment, o opened) error {
	if c.JSON {
		return plainjson.Lines(env.stdout).Encode(o)
	}
	outcome := o.Outcome
	if outcome == "" {
		outcome = "not finished"
	}
	trace := o.TraceURL
	if trace == "" {
		trace = "none (the job was recorded without detail)"
	}
	_, err := fmt.Fprintf(env.stdout, "job %s  %s  %s\n  run    %s\n  trace  %s\n", o.Job, o.Status, outcome, o.RunURL, trace)
	return err
}
