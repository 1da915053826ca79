package main

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/technoshare/commentator/internal/jobref"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/ui"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/reconcile"
	"github.com/technoshare/commentator/internal/store"
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
	if env.experiment != "" {
		named, err := env.named()
		if err != nil {
			return nil, err
		}
		if named != nil {
			if runs, err := ref.Find(env.ctx, env.client, []string{named.ID}); err != nil || len(runs) > 0 {
				return runs, err
			}
		}
		if env.given != "" { // that one and no other
			return nil, env.notFound(ref, fmt.Sprintf("it is in another experiment than %q, as after somebody renamed that (without --experiment all are looked in)", env.given))
		}
		return env.anywhere(ref, named != nil)
	}
	return env.anywhere(ref, true)
}

// named is the experiment of the settings; nil when there is none of its name, as after somebody renamed it.
func (env environment) named() (*mlflow.Experiment, error) {
	e, err := env.client.GetExperimentByName(env.ctx, env.experiment)
	switch {
	case err == nil:
		return &e, nil
	case !mlflow.IsCode(err, mlflow.CodeNotFound):
		return nil, fmt.Errorf("read experiment: %w", err)
	case env.given != "":
		return nil, fmt.Errorf("no experiment %q on %s; was it renamed? Without --experiment all are looked in", env.given, env.ui)
	}
	return nil, nil
}

// anywhere looks in all experiments, after the one of the settings if they name one; exists is whether
// there is one of its name.
func (env environment) anywhere(ref jobref.Ref, exists bool) ([]mlflow.Run, error) {
	var causes []string
	if !exists {
		causes = append(causes, fmt.Sprintf("there is no experiment %q, which MLFLOW_EXPERIMENT_NAME names", env.experiment))
	}
	exact, alone := ref, ""
	if ref.Job != "" && env.experiment != "" { // other databases count from 1, too
		trace, err := env.traceOf(ref)
		switch {
		case err == nil:
			exact = jobref.Ref{Trace: trace}
		case errors.Is(err, sql.ErrNoRows):
			return nil, env.notFound(ref, append(causes, "the job database has no such job, and in other experiments no other one is looked for")...)
		case errors.Is(err, store.ErrNoDatabase):
			alone = "; it was found by its number alone, which every job database gives"
		default:
			return nil, err
		}
	}
	all, err := env.client.SearchExperiments(env.ctx)
	if err != nil {
		return nil, fmt.Errorf("list experiments: %w", err)
	}
	names, ids := map[string]string{}, make([]string, len(all))
	for i, e := range all {
		names[e.ID], ids[i] = e.Name, e.ID
	}
	runs, err := exact.Find(env.ctx, env.client, ids)
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, env.notFound(ref, causes...)
	}
	if env.experiment != "" {
		fmt.Fprintf(env.stderr, "note: %s is in experiment %q, not in %q, which MLFLOW_EXPERIMENT_NAME names; was that renamed in MLflow?%s\n", ref, names[runs[0].Info.ExperimentID], env.experiment, alone)
	}
	return runs, nil
}

// traceOf is the trace id of a job that is given by its number, as the job database of the settings has
// it: sql.ErrNoRows when that has no such job, store.ErrNoDatabase when there is none.
func (env environment) traceOf(ref jobref.Ref) (_ string, err error) {
	id, err := strconv.ParseInt(ref.Job, 10, 64)
	if err != nil {
		return "", fmt.Errorf("read the number of the job: %w", err)
	}
	db, err := store.Glance(env.ctx, env.config.Database())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return reconcile.Records{ReadOnly: db}.TraceID(env.ctx, id)
}

// notFound names what may be the cause, and what else may be.
func (env environment) notFound(ref jobref.Ref, more ...string) error {
	causes := append([]string{
		"it was not recorded (MLFLOW_ENABLE_TRACKING=true when it started) or not delivered yet", "somebody deleted its run in MLflow", "`mlflowctl retention` removed it",
	}, more...)
	last := len(causes) - 1
	return fmt.Errorf("no run of %s on %s: %s, or %s; `mlflowctl reconcile` compares MLflow with the job database", ref, env.ui, strings.Join(causes[:last], ", "), causes[last])
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
