package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// errRetry marks what the next attempt will do differently.
var errRetry = errors.New("will be tried again")

// errOtherDatabase is that of something that is not in the database which is there now.
var errOtherDatabase = fmt.Errorf("MLflow has another database: %w", errRetry)

// run is one run of a plan while it is being applied.
type run struct {
	reduce.Run
	job    *job
	above  *run // of the plan; nil: none
	apart  bool // it is in another experiment than the one above it, and stays there
	rec    *ledger.Run
	parent *ledger.Run // as it was when this run's turn came; nil: none, or not known
	// known is closed when it is settled whether the run has an id, which is id then.
	known chan struct{}
	id    string
	used  []mlflow.PromptVersion // by linkRun; nil: not asked for, or none
	// created is set when the run was made just now, with the tags that are in given.
	created bool
	given   []mlflow.KeyValue
	// ended is set when the run was not known and was found in MLflow in a final state.
	ended bool
}

// settle ends the waiting for the run's id.
func (r *run) settle() {
	r.id = r.rec.ID
	close(r.known)
}

// applyRuns makes the runs of a job and finishes all but the topmost ones, which wait for
// the trace.
func (a *Applier) applyRuns(ctx context.Context, j *job) {
	var wg sync.WaitGroup
	for _, r := range j.tops() {
		if above := j.entry.Job.Runs[r.ParentKey]; above != nil {
			copied := *above
			r.parent = &copied
		}
		wg.Go(func() { a.applyTree(ctx, r) })
	}
	wg.Wait()
}

// tops are the runs that hang under no other run of the plan.
func (j *job) tops() []*run {
	return slices.DeleteFunc(slices.Clone(j.runs), func(r *run) bool { return r.above != nil })
}

// linkRuns finds the run above each. Whatever a plan says, all are reached from tops, and each
// once: what waits for a run would wait for ever otherwise.
func (j *job) linkRuns() {
	byKey := map[string]*run{}
	for _, r := range j.runs {
		if byKey[r.Key] == nil {
			byKey[r.Key] = r
		}
	}
	for _, r := range j.runs {
		above := byKey[r.ParentKey]
		at := above
		for at != nil && at != r {
			at = at.above
		}
		if at == nil { // else r is above itself
			r.above = above
		}
	}
}

// rename gives runs of jobs without a parent the keys that the ledger knows: of several in one
// trace the one that came first has the key of the trace, which alone a batch does not tell.
func (a *Applier) rename(ctx context.Context, jobs []*job, entries []*ledger.Entry, claims []ledger.Claim) error {
	var more []ledger.Claim
	for i, j := range jobs {
		names := j.otherNames(entries[i].Job.Runs[j.traceID])
		if len(names) == 0 {
			continue
		}
		claim := ledger.Claim{TraceID: j.traceID}
		for _, c := range claims[i].Runs {
			if name := names[c.Key]; name != "" {
				claim.Runs = append(claim.Runs, ledger.RunClaim{Key: name, Experiment: c.Experiment, Again: c.Again})
			}
		}
		more = append(more, claim)
		for _, r := range j.runs {
			r.Key, r.ParentKey = cmp.Or(names[r.Key], r.Key), cmp.Or(names[r.ParentKey], r.ParentKey)
		}
		for _, t := range j.traces {
			t.RunKey = cmp.Or(names[t.RunKey], t.RunKey)
		}
		for i, s := range j.scores {
			if name := names[s.RunKey]; name != "" {
				j.scores[i] = s.Of(name)
			}
		}
	}
	if len(more) == 0 {
		return nil
	}
	_, err := a.ledger.Begin(ctx, more) // finds the entries that are in hand
	return err
}

// otherNames are keys that runs of the plan have to have in place of those that they have, by
// those, when the ledger knows whose the key of the trace is.
func (j *job) otherNames(known *ledger.Run) map[string]string {
	names := map[string]string{}
	for _, r := range j.runs {
		if known == nil || known.Own == "" || r.OwnKey == "" {
			continue
		}
		name := r.OwnKey
		if name == known.Own {
			name = j.traceID
		}
		if name != r.Key {
			names[r.Key] = name
		}
	}
	return names
}

// abandon settles a run that was not made, and those below it.
func (r *run) abandon() {
	r.settle()
	for _, below := range r.children() {
		below.abandon()
	}
}

// giveUp ends the waiting for the runs of a job that is not worked on: the trace of another one may
// belong to one of them.
func (j *job) giveUp() {
	for _, r := range j.runs {
		close(r.known)
	}
}

func (r *run) children() []*run {
	return slices.DeleteFunc(slices.Clone(r.job.runs), func(o *run) bool { return o.above != r })
}

// applyTree makes a run, then the runs below it while it is being filled, and finishes
// those when all below them are. It reports whether nothing has to be tried again.
func (a *Applier) applyTree(ctx context.Context, r *run) bool {
	err := a.linkRun(ctx, r)
	if err == nil {
		err = a.ensure(ctx, r)
	}
	if err != nil {
		err = fmt.Errorf("create run %s: %w", r.Name, err)
		goesOn := r.job.fail(err)
		r.abandon()
		if goesOn {
			r.buryTree(err)
		}
		return goesOn
	}
	r.settle()
	children := r.children()
	done := make([]bool, len(children))
	now := *r.rec
	var wg sync.WaitGroup
	for i, child := range children {
		child.parent = &now
		wg.Go(func() {
			done[i] = a.applyTree(ctx, child)
			if done[i] {
				done[i] = child.job.fail(a.finish(ctx, child))
			}
		})
	}
	err = a.fill(ctx, r)
	ok := r.job.fail(err)
	if err != nil && ok {
		r.job.buryAgain("run", r.Name, err)
	}
	wg.Wait()
	return ok && !slices.Contains(done, false)
}

// ensure finds or creates the run. Afterwards the record holds its id, or Gone.
func (a *Applier) ensure(ctx context.Context, r *run) error {
	exp, err := a.experiment(ctx, r.Experiment)
	if err != nil {
		return err
	}
	if r.rec.Gone && r.rec.Experiment == exp.ref && r.job.asked != "" {
		if err := a.again(ctx, r); err != nil {
			return err
		}
	}
	if r.rec.Experiment == exp.ref && (r.rec.ID != "" || r.rec.Gone) {
		return a.reopen(ctx, r)
	}
	if r.rec.ID != "" {
		r.job.setOpen(r.Key, true) // another database: the run may have been made in it since
	}
	*r.rec = ledger.Run{Experiment: exp.ref}

	if a.cfg.Shared || r.job.open(r.Key) || !a.known(r) {
		found, err := a.find(ctx, r, exp)
		if err != nil {
			return err
		}
		if found != nil {
			r.is(*found)
			if r.rec.Gone && r.job.recreates() {
				return a.restore(ctx, r)
			}
			return nil
		}
	}
	switch {
	case r.ParentKey == "":
	case r.parent == nil || (r.parent.ID == "" && !r.parent.Gone) || (r.above == nil && r.parent.Experiment != exp.ref):
		return finalError{fmt.Errorf("the run above it, %s, is not known", r.ParentKey)}
	case r.parent.Experiment != exp.ref && r.apart: // each stays where it is, also when it is made anew
	case r.parent.Experiment != exp.ref:
		return errOtherDatabase // since the run above it was made
	case r.parent.Gone:
		return r.standsAlone()
	case r.parent.Done && !r.job.recreates() && (r.above == nil || !r.above.created): // else it was there a moment ago
		if gone, err := a.parentGone(ctx, r); err != nil {
			return fmt.Errorf("look at the run above it: %w", err)
		} else if gone {
			return r.standsAlone()
		}
	}
	return a.create(ctx, r, exp)
}

// standsAlone notes that a run is not made: what hangs under a deleted run would stand alone in the list
// of runs.
func (r *run) standsAlone() error {
	r.rec.Gone = true
	r.job.setOpen(r.Key, false)
	return nil
}

// parentGone reports whether the run above one was deleted since it ended: nothing else tells of that.
func (a *Applier) parentGone(ctx context.Context, r *run) (bool, error) {
	above, err := a.readRun(ctx, r.parent.ID)
	switch {
	case mlflow.IsCode(err, mlflow.CodeNotFound):
		return true, a.sameDatabase(ctx, r)
	case err != nil && !permanent(err):
		return false, err
	}
	return above.Info.Stage == mlflow.Deleted, nil // what MLflow does not tell for good keeps nothing back
}

// guessed is how much earlier a job may have started whose start is that of its first stage.
const guessed = 24 * time.Hour

// known reports whether the ledger knows the run if this bridge ever made it.
func (a *Applier) known(r *run) bool {
	start := r.StartTime
	if r.StartGuessed {
		start -= guessed.Milliseconds()
	}
	return a.ledger.Complete(start)
}

func (a *Applier) create(ctx context.Context, r *run, exp experiment) error {
	in := mlflow.CreateRun{ExperimentID: exp.id, Name: values.Clean(r.Name, mlflow.MaxKey), StartTime: max(r.StartTime, 0)}
	for _, t := range a.allTags(r) {
		if strings.Contains(t.Value, reduce.PlaceholderRunID) {
			continue // set later, when the id is known
		}
		r.given = append(r.given, t)
		if t.Key == mlflow.TagUser {
			in.UserID = values.Clean(t.Value, mlflow.MaxKey)
		}
	}
	in.Tags = append(slices.Clone(r.given), mlflow.KeyValue{Key: wire.TagKey, Value: r.Key})
	if a.cfg.Shared {
		owner, err := a.owner(ctx)
		if err != nil {
			return err
		}
		in.Tags = append(in.Tags, mlflow.KeyValue{Key: wire.TagClaim, Value: owner})
	}
	var made mlflow.Run
	err := a.call(ctx, func() (err error) {
		r.job.setOpen(r.Key, true)
		made, err = a.client.CreateRun(ctx, in)
		return err
	})
	err = a.failed.result("create", r.Key, err)
	var e *mlflow.Error
	if (err == nil && !a.cfg.Shared) || (errors.As(err, &e) && (e.NotSent() || refusal(e))) {
		r.job.setOpen(r.Key, false)
	}
	if e != nil && (e.Inactive() || mlflow.IsCode(err, mlflow.CodeNotFound)) {
		// The experiment was deleted or replaced while we ran.
		a.forget(r.Experiment)
		if _, gone := a.experiment(ctx, r.Experiment); gone != nil {
			return gone
		}
		return fmt.Errorf("the experiment changed: %w", errRetry)
	}
	if err != nil {
		return err
	}
	if a.cfg.Shared {
		return a.claimed(ctx, r, exp, made.Info.ID)
	}
	r.is(made)
	r.created = true
	return nil
}

// refusal reports whether a server that gave this answer did nothing. One that gave up waiting, or
// was no longer waited for, may have.
func refusal(e *mlflow.Error) bool {
	return e.Status >= 400 && e.Status < 500 && e.Status != http.StatusRequestTimeout && e.Status != 499
}

// claimed makes a run that was created just now the run of its key, or finds the one that
// is.
func (a *Applier) claimed(ctx context.Context, r *run, exp experiment, id string) error {
	runs, err := a.search(ctx, exp, r.Key)
	if err != nil {
		return fmt.Errorf("look for others: %w", err)
	}
	one, err := a.settle(ctx, r.Key, runs)
	if err != nil {
		return err
	}
	if one == nil {
		return fmt.Errorf("it was withdrawn: %w", errRetry)
	}
	r.is(*one)
	r.created = one.Info.ID == id
	return nil
}

// is makes a run of MLflow the one that is worked on.
func (r *run) is(one mlflow.Run) {
	r.rec.ID, r.rec.ArtifactURI, r.rec.Name = one.Info.ID, one.Info.ArtifactURI, one.Info.Name
	r.rec.Gone = one.Info.Stage == mlflow.Deleted
	r.ended = one.Info.Status != mlflow.StatusRunning
	r.job.setOpen(r.Key, false)
}

// finish writes how a run ended.
func (a *Applier) finish(ctx context.Context, r *run) error {
	rec := r.rec
	if r.Implied || r.Status == "" || rec.Gone || rec.Done || rec.Version != r.Version {
		return nil
	}
	in := mlflow.UpdateRun{RunID: rec.ID, Status: r.Status, EndTime: r.EndTime}
	if name := values.Clean(r.Name, mlflow.MaxKey); name != rec.Name {
		in.Name = name
	}
	err := a.failed.result("update", r.Key, a.call(ctx, func() error { return a.client.UpdateRun(ctx, in) }))
	err = a.lost(ctx, r, err)
	switch {
	case rec.Gone:
		return err
	case err == nil && in.Name != "":
		rec.Name = in.Name
	case err != nil && !permanent(err):
		return err
	case err != nil:
		a.bury(r.job, "run", r.Name, err)
	}
	rec.Done = true
	if err == nil {
		a.finished(r)
	}
	return err
}

// finished tells that a run was brought to its final state. The run of a job is finished
// last of all; a repair message, a later version and what another bridge, or this one
// before it lost its ledger, had finished say nothing about how fast jobs are delivered.
func (a *Applier) finished(r *run) {
	a.cfg.Finished(r.Status)
	if r.ParentKey == "" && r.job.whole() && r.job.asked == "" && !r.ended && len(r.rec.Older) == 0 {
		ended := time.Unix(0, int64(r.Version.EndUnixNano)) // ns since 1970 fit until 2262
		a.cfg.Delivered(max(0, a.cfg.Now().Sub(ended)))
	}
}

// lost looks at an error of a write to a run and notes when the run is not there any
// more: then there is nothing left to do for it. It gives back all other errors.
func (a *Applier) lost(ctx context.Context, r *run, err error) error {
	var e *mlflow.Error
	gone := mlflow.IsCode(err, mlflow.CodeNotFound)
	if !errors.As(err, &e) || (!e.Inactive() && !gone) {
		return err
	}
	if gone {
		// Removed for good, or the server has another database now.
		if err := a.sameDatabase(ctx, r); err != nil {
			return err
		}
	}
	if r.job.recreates() {
		if err := a.restore(ctx, r); err != nil {
			return err
		}
		return fmt.Errorf("the run was deleted: %w", errRetry)
	}
	r.rec.Gone, r.rec.Done, r.rec.Version = true, true, r.Version
	a.cfg.Count(EventDeletedRun, 1)
	text := "A run was deleted in MLflow and stays so"
	if r.job.ofWorker() {
		text += "; if somebody restores it, `mlflowctl reconcile --since … --repair` sends what the worker still keeps"
	}
	a.log.Info(text, zap.String("run_id", r.rec.ID), zap.String("trace_id", r.TraceID))
	return nil
}

// ofWorker reports whether a plan says that it is of a job in a worker's job database, which alone
// reconcile knows: neither service runs nor evaluations are.
func (j *job) ofWorker() bool {
	return slices.ContainsFunc(j.runs, func(r *run) bool {
		return slices.ContainsFunc(r.Params, func(p reduce.KeyValue) bool { return p.Key == "job_id" })
	})
}
