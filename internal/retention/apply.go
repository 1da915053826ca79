package retention

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/technoshare/commentator/internal/mlflow"
)

const (
	// batch is how many runs are removed at a time: few enough that nobody waits for long.
	batch = 120
	// parallel is how many requests MLflow has at a time; more bring nothing on SQLite.
	parallel = 2
	// patience is how many batches may fail one after the other; then something is wrong with
	// all of them.
	patience = 3
)

// removeGroups removes all groups that may go, a batch at a time. A batch that fails is told
// and left to the next time.
func (r *retention) removeGroups(ctx context.Context) error {
	var going []group
	all := 0
	for _, g := range r.groups {
		if g.reason == "" {
			going = append(going, g)
			all += len(g.runs)
		}
	}
	failed, done := 0, 0
	for len(going) > 0 {
		n, runs := 0, 0
		for n < len(going) && (n == 0 || runs+len(going[n].runs) <= batch) && n < batch {
			runs += len(going[n].runs)
			n++
		}
		if err := r.removeBatch(ctx, going[:n]); err != nil {
			if failed++; failed == patience || ctx.Err() != nil {
				return err
			}
			r.report.problem(err)
		} else {
			failed = 0
		}
		going, done = going[n:], done+runs
		if r.Progress != nil {
			r.Progress(done, all)
		}
	}
	return nil
}

// removeBatch removes some groups: into the trash, then files, traces, and rows last. A group
// whose files cannot be removed is told and comes out of the trash again; an error is one of
// all of them.
func (r *retention) removeBatch(ctx context.Context, groups []group) error {
	trashed, err := r.trash(ctx, groups)
	if err != nil {
		return err
	}
	isTrashed := func(run run) bool { return trashed[run.id] }
	refused, err := r.db.claim(ctx, groups, trashed, r.Now.UnixMilli())
	if err != nil {
		return errors.Join(err, r.restore(ctx, groups, isTrashed))
	}
	var kept, stuck, going []group
	for i, g := range groups {
		if reason := refused[i]; reason != "" {
			r.report.refuse(g, reason)
			kept = append(kept, g)
			continue
		}
		going = append(going, g)
	}
	if err := r.restore(ctx, kept, isTrashed); err != nil {
		return err
	}
	var runs, traces []string
	var gone []group // but for their rows
	byExperiment := map[int64][]string{}
	for _, g := range going {
		if err := r.removeFiles(g); err != nil {
			r.report.problem(err) // its rows stay, so that the next time finds it
			r.report.refuse(g, Remote)
			stuck = append(stuck, g)
			continue
		}
		gone = append(gone, g)
		inRuns, inTraces := g.ids()
		runs, traces = append(runs, inRuns...), append(traces, inTraces...)
		for _, t := range g.traces {
			byExperiment[t.experiment] = append(byExperiment[t.experiment], t.id)
		}
	}
	// Of these all runs are in the trash by now.
	if err := r.restore(ctx, stuck, func(run run) bool { return !run.trashed }); err != nil {
		r.report.problem(err)
	}
	for experiment, ids := range byExperiment {
		if err := r.removeTraces(ctx, experiment, ids); err != nil {
			return err
		}
	}
	if err := r.db.unlinkTraces(ctx, traces); err != nil {
		return err
	}
	removed, err := r.db.removeRuns(ctx, runs)
	for _, g := range gone {
		if removed -= len(g.runs); removed < 0 {
			break
		}
		r.report.add(g)
	}
	return err
}

// trash deletes the job runs of some groups as a person would, so that nobody writes to them
// any more, and gives those that it deleted.
func (r *retention) trash(ctx context.Context, groups []group) (map[string]bool, error) {
	trashed := map[string]bool{}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, of := range groups {
		for _, run := range of.roots() {
			if run.trashed {
				continue
			}
			trashed[run.id] = true
			g.Go(func() error {
				if err := r.Server.DeleteRun(ctx, run.id); err != nil && !mlflow.IsCode(err, mlflow.CodeNotFound) {
					return fmt.Errorf("delete run %s: %w", run.id, err)
				}
				return nil
			})
		}
	}
	return trashed, g.Wait()
}

// restore takes those runs of some groups out of the trash again that were put there.
func (r *retention) restore(ctx context.Context, groups []group, put func(run) bool) error {
	for _, g := range groups {
		for _, run := range g.runs {
			if !put(run) {
				continue
			}
			if err := r.Server.RestoreRun(ctx, run.id); err != nil && !mlflow.IsCode(err, mlflow.CodeNotFound) {
				return fmt.Errorf("restore run %s: %w", run.id, err)
			}
		}
	}
	return nil
}

func (r *retention) removeFiles(g group) error {
	for _, p := range r.places(g) {
		if err := r.files.remove(p); err != nil {
			return fmt.Errorf("remove %s: %w", p.dir, err)
		}
	}
	return nil
}

func (r *retention) removeTraces(ctx context.Context, experiment int64, ids []string) error {
	for len(ids) > 0 {
		n := min(len(ids), mlflow.MaxDelete)
		if _, err := r.Server.DeleteTraces(ctx, strconv.FormatInt(experiment, 10), ids[:n]...); err != nil {
			return fmt.Errorf("delete traces: %w", err)
		}
		ids = ids[n:]
	}
	return nil
}
