package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/ui"
	"github.com/technoshare/commentator/internal/wire"
)

type openCmd struct {
	Job  string `arg:"" help:"Job id, as \"commentator jobs list\" prints it, or a trace id."`
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

// Run finds the job's runs. A job id may name several: every job database counts from 1.
func (c *openCmd) Run(env environment) error {
	experiments, err := env.experiments()
	if err != nil {
		return err
	}
	filter, err := c.filter()
	if err != nil {
		return err
	}
	runs, _, err := env.client.SearchRuns(env.ctx, mlflow.SearchRuns{
		ExperimentIDs: experiments, Filter: filter, MaxResults: 20, OrderBy: []string{"attributes.start_time DESC"},
	})
	if err != nil {
		return fmt.Errorf("search runs: %w", err)
	}
	if len(runs) == 0 {
		return fmt.Errorf("no run of job %s on %s: is it recorded (MLFLOW_ENABLE_TRACKING=true when it started) and delivered?", c.Job, env.ui)
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

// filter selects the job's own run, not those of its stages.
func (c *openCmd) filter() (string, error) {
	if _, err := strconv.ParseInt(c.Job, 10, 64); err == nil {
		return "params.job_id = '" + c.Job + "'", nil
	}
	if len(c.Job) == 32 && isHex(c.Job) {
		return "tags.`" + wire.TagKey + "` = '" + c.Job + "'", nil
	}
	return "", fmt.Errorf("%q is neither a job id (a number) nor a trace id (32 hex digits)", c.Job)
}

func isHex(s string) bool {
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
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
	var e *mlflow.Error
	switch {
	case err == nil:
		o.TraceID, o.TraceURL = id, ui.Trace(env.ui, run.Info.ExperimentID, id)
	case errors.As(err, &e) && e.Status == 404: // tracking only
	default:
		return o, fmt.Errorf("read trace: %w", err)
	}
	return o, nil
}

func (c *openCmd) print(env environment, o opened) error {
	if c.JSON {
		return json.NewEncoder(env.stdout).Encode(o)
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
