package apply

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/mlflow"
)

// settled keeps the jobs of which it is known in which experiment they are.
func (a *Applier) settled(ctx context.Context, jobs []*job) (ready []*job, errs []*ItemError) {
	for _, j := range jobs {
		if err := a.stay(ctx, j); err != nil {
			j.fail(err)
			j.giveUp()
			errs = append(errs, j.errs...)
			continue
		}
		ready = append(ready, j)
	}
	return ready, errs
}

// stay keeps the runs and the trace of a job in the experiment where each is, whatever a message asks
// for, and lets what is new join them: MLflow takes a trace in one experiment only, and a run below one
// of its own.
func (a *Applier) stay(ctx context.Context, j *job) error {
	p := places{a: a, j: j, names: map[string]string{}}
	trace := ""
	if t := j.entry.Job.Trace; t != nil {
		trace = t.Experiment
	}
	p.common = cmp.Or(p.ref(j.traceID), trace)
	for _, r := range j.tops() {
		if err := p.settle(ctx, r); err != nil {
			return err
		}
	}
	for i := range j.scores {
		s := &j.scores[i]
		if at := slices.IndexFunc(j.runs, func(r *run) bool { return r.Key == s.RunKey }); at >= 0 {
			s.Experiment = j.runs[at].Experiment
			continue
		}
		name, err := p.choose(ctx, s.Experiment, p.ref(s.RunKey), p.common)
		if err != nil {
			return err
		}
		s.Experiment = name
	}
	for _, t := range j.traces {
		name, err := p.choose(ctx, t.Experiment, trace, p.common)
		if err != nil {
			return err
		}
		if name == t.Experiment {
			continue
		}
		t.Experiment = name
		if t.exp, err = a.experiment(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// places tells where what belongs to a job is.
type places struct {
	a      *Applier
	j      *job
	common string            // where the job is, as in ledger.Run; empty: nowhere yet
	names  map[string]string // of experiments that were asked for; empty: not there
}

// ref is where a run is, as in ledger.Run, "" when it is nowhere yet.
func (p *places) ref(key string) string {
	if r := p.j.entry.Job.Runs[key]; r != nil && (r.ID != "" || r.Gone) {
		return r.Experiment
	}
	return ""
}

// settle chooses the experiment of a run and of those below it, of which new ones go where it is.
func (p *places) settle(ctx context.Context, r *run) (err error) {
	if r.above != nil {
		r.Experiment, err = p.choose(ctx, r.above.Experiment, p.ref(r.Key))
	} else {
		r.Experiment, err = p.choose(ctx, r.Experiment, p.ref(r.Key), p.ref(r.ParentKey), p.common)
	}
	if err != nil {
		return err
	}
	for _, below := range r.children() {
		if err := p.settle(ctx, below); err != nil {
			return err
		}
	}
	return nil
}

// choose gives the name of the first experiment that is there, or else the one that is asked for.
func (p *places) choose(ctx context.Context, asked string, refs ...string) (string, error) {
	for _, ref := range refs {
		if ref == "" {
			continue
		}
		exp, _, err := p.a.experimentIfThere(ctx, asked)
		if err != nil && !permanent(err) {
			return asked, err
		}
		if err == nil && exp.ref == ref {
			return asked, nil
		}
		name, known := p.names[ref]
		if !known {
			// What MLflow does not tell for good is as the plan says.
			if name, _, err = p.a.experimentName(ctx, ref); err != nil && !permanent(err) {
				return asked, err
			}
			p.names[ref] = name
		}
		if name != "" {
			return name, nil
		}
	}
	return asked, nil
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
	if err != nil || exp.ref != ref {
		return "", false, err
	}
	return found.Name, true, nil
}
