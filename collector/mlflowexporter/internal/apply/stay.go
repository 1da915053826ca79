package apply

import (
	"context"
	"fmt"
	"strings"

	"github.com/technoshare/commentator/internal/mlflow"
)

// settled keeps the jobs of which it is known in which experiment they are.
func (a *Applier) settled(ctx context.Context, jobs []*job) (ready []*job, errs []*ItemError) {
	for _, j := range jobs {
		// What MLflow does not tell for good is as the plan says.
		if err := a.stay(ctx, j); err != nil && !permanent(err) {
			j.fail(err)
			j.giveUp()
			errs = append(errs, j.errs...)
			continue
		}
		ready = append(ready, j)
	}
	return ready, errs
}

// stay keeps a job in the experiment where its run, or its trace, is, whatever a message of it asks
// for: MLflow takes a trace in one experiment only, and a run below one of its own.
func (a *Applier) stay(ctx context.Context, j *job) error {
	ref := ""
	if run := j.entry.Job.Runs[j.traceID]; run != nil && (run.ID != "" || run.Gone) {
		ref = run.Experiment
	} else if t := j.entry.Job.Trace; t != nil {
		ref = t.Experiment
	}
	moves := false
	for _, name := range j.asksFor() {
		exp, err := a.experiment(ctx, name) // known since the job counts as reachable
		if err != nil {
			return err
		}
		moves = moves || exp.ref != ref
	}
	if ref == "" || !moves {
		return nil
	}
	name, there, err := a.experimentName(ctx, ref)
	if err != nil || !there {
		return err
	}
	for _, r := range j.runs {
		r.Experiment = name
	}
	for i := range j.scores {
		j.scores[i].Experiment = name
	}
	for _, t := range j.traces {
		t.Experiment = name
		if t.exp, err = a.experiment(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// asksFor are the experiments that the plan has for a job.
func (j *job) asksFor() (names []string) {
	for _, r := range j.runs {
		names = append(names, r.Experiment)
	}
	for _, t := range j.traces {
		names = append(names, t.Experiment)
	}
	return names
}

// experimentName finds the name of an experiment, unless it is deleted or was in another database.
func (a *Applier) experimentName(ctx context.Context, ref string) (name string, there bool, err error) {
	id, _, _ := strings.Cut(ref, "@")
	var found mlflow.Experiment
	err = a.guard(ctx, func() (err error) { found, err = a.client.GetExperiment(ctx, id); return err })
	if mlflow.IsCode(err, mlflow.CodeNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("find the experiment of the job: %w", err)
	}
	if found.Stage == mlflow.Deleted {
		return "", false, nil
	}
	exp, err := a.experiment(ctx, found.Name)
	return found.Name, err == nil && exp.ref == ref, err
}
