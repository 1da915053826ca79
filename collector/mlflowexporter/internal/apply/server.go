package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/internal/mlflow"
)

// server is what is known of the other side since the start.
type server struct {
	mu          sync.Mutex
	experiments map[string]experiment // by name
	missed      sync.Map              // the refs of those of which it was said that they are gone
}

// experiment is where runs and traces go.
type experiment struct {
	id string
	// ref names the experiment for good: ids begin at 1 in each new database.
	ref string
	// kind is what it is made anew with, unless nothing was to make it.
	kind string
	// doubted is set when it may be gone.
	doubted bool
}

// experiment finds an experiment by its name, "" meaning the default one, and creates it
// when it is missing.
func (a *Applier) experiment(ctx context.Context, name string) (experiment, error) {
	return a.experimentOf(ctx, name, mlflow.ExperimentGenAI)
}

// experimentIfThere is experiment for one that is not created when it is missing, or deleted.
func (a *Applier) experimentIfThere(ctx context.Context, name string) (e experiment, there bool, err error) {
	e, err = a.experimentOf(ctx, name, "")
	var final finalError
	if mlflow.IsCode(err, mlflow.CodeNotFound) || errors.As(err, &final) {
		return e, false, nil
	}
	return e, err == nil, err
}

// experimentOf is experiment with the kind that a new one gets, which decides what the UI
// shows first: traces or runs. With no kind none is created.
func (a *Applier) experimentOf(ctx context.Context, name, ofKind string) (experiment, error) {
	name = cmp.Or(name, a.cfg.DefaultExperiment)
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	if err := a.probe(ctx); err != nil {
		return experiment{}, err
	}
	remedy := "and send the dead letters again"
	if ofKind == mlflow.ExperimentCustom { // metrics leave no letters
		remedy = "for the metrics to come; what came until then is lost"
	}
	known, ok := a.server.experiments[name]
	if ok && !known.doubted {
		return known, nil
	}
	if ofKind != "" {
		ofKind = cmp.Or(known.kind, ofKind)
	}
	e, err := a.getExperiment(ctx, name)
	if ok && (mlflow.IsCode(err, mlflow.CodeNotFound) || (err == nil && refOf(e) != known.ref)) {
		clear(a.server.experiments) // another database: there the ids are those of others
		_, _ = a.replaced(ctx, known.ref)
	}
	if ofKind != "" && mlflow.IsCode(err, mlflow.CodeNotFound) {
		if err := a.createExperiment(ctx, name, ofKind, remedy); err != nil {
			return experiment{}, fmt.Errorf("create experiment %q: %w", name, err)
		}
		// Whoever created it, reading it gives the creation time.
		e, err = a.getExperiment(ctx, name)
	}
	if err != nil {
		return experiment{}, fmt.Errorf("find experiment %q: %w", name, err)
	}
	if e.Stage == mlflow.Deleted {
		return experiment{}, finalError{fmt.Errorf("experiment %q (id %s) is deleted: restore it in MLflow, or configure another name", name, e.ID)}
	}
	found := experiment{id: e.ID, ref: refOf(e), kind: ofKind}
	if a.server.experiments == nil {
		a.server.experiments = map[string]experiment{}
	}
	a.server.experiments[name] = found
	return found, nil
}

// createExperiment creates an experiment unless too many were: then the remedy says what comes of
// making room.
func (a *Applier) createExperiment(ctx context.Context, name, ofKind, remedy string) error {
	if limit := a.cfg.MaxExperiments; limit > 0 && a.ledger.Experiments() >= limit {
		return finalError{fmt.Errorf("`max_experiments` allows %d and so many were created: create this one in MLflow, or raise the limit, %s", limit, remedy)}
	}
	kind := mlflow.KeyValue{Key: mlflow.TagExperiment, Value: ofKind}
	err := a.guard(ctx, func() error { _, err := a.client.CreateExperiment(ctx, name, kind); return err })
	if mlflow.IsCode(err, mlflow.CodeAlreadyExists) {
		return nil // somebody else was faster
	}
	if err != nil {
		return err
	}
	a.log.Info("MLflow had no experiment of this name, and it was made; one that somebody renamed keeps its runs under its new name, by which the settings may call it",
		zap.String("experiment", name))
	return a.ledger.AddExperiment(ctx)
}

func (a *Applier) getExperiment(ctx context.Context, name string) (e mlflow.Experiment, err error) {
	ask := func(name string) (e mlflow.Experiment, err error) {
		err = a.guard(ctx, func() (err error) { e, err = a.client.GetExperimentByName(ctx, name); return err })
		return e, err
	}
	e, err = ask(name)
	var answer *mlflow.Error
	if name == a.cfg.DefaultExperiment || !errors.As(err, &answer) || answer.Code != "" || answer.Strange() || answer.Status < 400 || answer.Status > 499 {
		return e, err
	}
	// Somebody on the way refuses everything, or this name: the other names must not wait for it.
	if _, other := ask(a.cfg.DefaultExperiment); other == nil || mlflow.IsCode(other, mlflow.CodeNotFound) {
		err = finalError{err}
	}
	return e, err
}

// moved reports whether the experiment of a trace, which MLflow does not know, is another one now, or
// whether that cannot be told.
func (a *Applier) moved(ctx context.Context, t *trace) bool {
	a.forget(t.Experiment)
	now, err := a.experiment(ctx, t.Experiment)
	return (err != nil && !permanent(err)) || (err == nil && now.ref != t.exp.ref)
}

// sameDatabase returns an error when a run that is not found was made in another database than the one that
// is there now: it is to be tried again.
func (a *Applier) sameDatabase(ctx context.Context, r *run) error {
	a.forget(r.Experiment)
	exp, err := a.experiment(ctx, r.Experiment)
	if err == nil && exp.ref != r.rec.Experiment {
		err = errOtherDatabase
	}
	return err
}

// replaced reports whether an experiment was in another database than the one that is there now.
func (a *Applier) replaced(ctx context.Context, ref string) (bool, error) {
	id, _, whole := strings.Cut(ref, "@")
	if !whole {
		return false, nil
	}
	var found mlflow.Experiment
	err := a.guard(ctx, func() (err error) { found, err = a.client.GetExperiment(ctx, id); return err })
	if mlflow.IsCode(err, mlflow.CodeNotFound) {
		a.missed(ref)
		return true, nil
	}
	if err != nil && !permanent(err) {
		return false, fmt.Errorf("find the experiment of the trace: %w", err)
	}
	another := err == nil && refOf(found) != ref
	if another {
		a.missed(ref)
	}
	return another, nil
}

// missed says once of an experiment that it is gone, with all that was brought to it. In an empty
// database everything goes on as if nothing was the matter.
func (a *Applier) missed(ref string) {
	id, _, whole := strings.Cut(ref, "@")
	if _, said := a.server.missed.LoadOrStore(ref, true); said || !whole { // old refs tell no database
		return
	}
	a.log.Warn("MLflow has another database, or somebody removed an experiment for good: what was delivered to it before is not there",
		zap.String("experiment_id", id))
}

// refOf names an experiment for good.
func refOf(e mlflow.Experiment) string { return e.ID + "@" + strconv.FormatInt(e.CreationTime, 10) }

// forgetAll is forget for all experiments: what MLflow has is another database.
func (a *Applier) forgetAll() {
	a.forgetPrompts()
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	clear(a.server.experiments)
}

// forget makes experiment ask again, and versions: the experiment may be gone with the database.
func (a *Applier) forget(name string) {
	a.forgetPrompts()
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	name = cmp.Or(name, a.cfg.DefaultExperiment)
	if known, ok := a.server.experiments[name]; ok {
		known.doubted = true
		a.server.experiments[name] = known
	}
}
