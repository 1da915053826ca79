package apply

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
)

// settled keeps the jobs of which it is known in which experiment they are.
func (a *Applier) settled(ctx context.Context, jobs []*job) (ready []*job, errs []*ItemError) {
	missing := map[string]bool{}
	for _, j := range jobs {
		if err := a.stay(ctx, j, missing); err != nil {
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
func (a *Applier) stay(ctx context.Context, j *job, missing map[string]bool) error {
	p := places{a: a, j: j, names: map[string]string{}, missing: missing}
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
		if err := p.rehome(ctx, &j.scores[i]); err != nil {
			return err
		}
	}
	for _, s := range j.entry.Job.Scores { // those that came before their job
		if !s.Waiting() {
			continue
		}
		if err := p.rehome(ctx, &s.Score); err != nil {
			return err
		}
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
	// missing are names of experiments that are not there, which the cache of the server does not keep.
	missing map[string]bool
}

// ref is where a run is, as in ledger.Run, "" when it is nowhere yet.
func (p *places) ref(key string) string {
	if r := p.j.entry.Job.Runs[key]; r != nil && (r.ID != "" || r.Gone) {
		return r.Experiment
	}
	return ""
}

// rehome lets a verdict be where the run is that it is about, or else its job.
func (p *places) rehome(ctx context.Context, s *reduce.Score) (err error) {
	if at := slices.IndexFunc(p.j.runs, func(r *run) bool { return r.Key == s.RunKey }); at >= 0 {
		s.Experiment = p.j.runs[at].Experiment
		return nil
	}
	s.Experiment, err = p.choose(ctx, s.Experiment, p.ref(s.RunKey), p.common)
	return err
}

// isAt reports whether the experiment of a name is the one that ref names.
func (p *places) isAt(ctx context.Context, name, ref string) (bool, error) {
	if p.missing[name] {
		return false, nil
	}
	exp, there, err := p.a.experimentIfThere(ctx, name)
	if err != nil {
		if permanent(err) {
			err = nil // what MLflow does not tell for good is as the plan says
		}
		return false, err
	}
	p.missing[name] = !there
	return exp.ref == ref, nil
}

// settle chooses the experiment of a run and of those below it, of which new ones go where it is.
func (p *places) settle(ctx context.Context, r *run) (err error) {
	if r.above != nil {
		r.Experiment, err = p.choose(ctx, r.above.Experiment, p.ref(r.Key))
		r.apart = r.Experiment != r.above.Experiment
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
		if at, err := p.isAt(ctx, asked, ref); at || err != nil {
			return asked, err
		}
		name, known := p.names[ref]
		if !known {
			var err error
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
	if err == nil && refOf(found) != ref || mlflow.IsCode(err, mlflow.CodeNotFound) {
		a.missed(ref)
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
