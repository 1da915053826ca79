package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// Several bridges may be about to create the run of one key. MLflow can neither create on a
// condition nor tell which of two runs is older, so a bridge that shares its experiments
// creates a claim, a run that has the key but is not its run yet, and looks for others
// afterwards. Of two bridges that create at the same time at least one sees the other's
// claim, since each looks after its own create. A claim that is alone is made the run by
// removing its tag; otherwise the one with the smallest id stays and waits, and the others
// are deleted. Nobody writes to a claim or hangs anything under it, so a withdrawn one takes
// nothing along. See docs/decisions/0013-one-run-among-several-collectors.md.

// claimPatience is for how long a claim of another bridge is waited for before it counts as
// left behind. It is longer than any request takes, so that a bridge which is alive has
// long acted on what it saw.
const claimPatience = 5 * time.Minute

// strangers remembers since when claims of other bridges have been seen, by run id.
type strangers struct {
	mu    sync.Mutex
	since map[string]time.Time
}

// leftBehind reports whether a claim has been seen for too long.
func (s *strangers) leftBehind(id string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if since, ok := s.since[id]; ok {
		return now.Sub(since) >= claimPatience
	}
	if s.since == nil {
		s.since = map[string]time.Time{}
	}
	maps.DeleteFunc(s.since, func(_ string, since time.Time) bool { return now.Sub(since) > 2*claimPatience })
	s.since[id] = now
	return false
}

// settle chooses the run of a key among those that were found. Should several share it, one
// that is not deleted is taken, and the one with the smallest id, so that everybody takes
// the same. Claims give way to it, or one of them becomes it. It gives nil when there is
// none, and an error to be tried again while other bridges have claims.
func (a *Applier) settle(ctx context.Context, key string, runs []mlflow.Run) (*mlflow.Run, error) {
	slices.SortFunc(runs, func(x, y mlflow.Run) int { // "active" before "deleted"
		return cmp.Or(strings.Compare(x.Info.Stage, y.Info.Stage), strings.Compare(x.Info.ID, y.Info.ID))
	})
	var taken, claims []mlflow.Run
	for _, r := range runs {
		switch claim := r.Tag(wire.TagClaim) != ""; {
		case !claim:
			taken = append(taken, r)
		case r.Info.Stage == mlflow.Active: // a deleted one was withdrawn
			claims = append(claims, r)
		}
	}
	if len(taken) > 1 && taken[1].Info.Stage == mlflow.Active {
		a.cfg.Count(EventDuplicateRun, 1)
		a.log.Warn("Several runs share a key", zap.String("key", key), zap.String("used", taken[0].Info.ID))
	}
	own, fresh, err := a.sort(ctx, claims)
	if err != nil {
		return nil, err
	}
	waits := len(taken) == 0 && len(fresh) > 0
	for i, r := range claims {
		stays := (i == 0 && len(taken) == 0) || fresh[r.Info.ID]
		if !stays && (own[r.Info.ID] || !waits) {
			if err := a.withdraw(ctx, r); err != nil {
				return nil, err
			}
		}
	}
	switch {
	case len(taken) > 0:
		return &taken[0], nil
	case waits:
		return nil, fmt.Errorf("another Collector is about to create it: %w", errRetry)
	case len(claims) > 0:
		return &claims[0], a.confirm(ctx, claims[0])
	}
	return nil, nil
}

// sort tells, by run id, which claims are this bridge's own and which another one may be
// about to confirm or withdraw. The others were left behind.
func (a *Applier) sort(ctx context.Context, claims []mlflow.Run) (own, fresh map[string]bool, err error) {
	own, fresh = map[string]bool{}, map[string]bool{}
	if len(claims) == 0 {
		return own, fresh, nil
	}
	owner, err := a.owner(ctx)
	for _, r := range claims {
		switch {
		case !a.cfg.Shared || r.Tag(wire.TagClaim) == owner: // without others, each is a leftover of a time when there were some
			own[r.Info.ID] = true
		case !a.strangers.leftBehind(r.Info.ID, a.cfg.Now()):
			fresh[r.Info.ID] = true
		}
	}
	return own, fresh, err
}

// owner is what the claims of this bridge are marked with.
func (a *Applier) owner(ctx context.Context) (string, error) {
	if !a.cfg.Shared {
		return "", nil
	}
	return a.ledger.Owner(ctx)
}

// confirm makes a claim the run of its key.
func (a *Applier) confirm(ctx context.Context, claim mlflow.Run) error {
	err := a.call(ctx, func() error { return a.client.DeleteTag(ctx, claim.Info.ID, wire.TagClaim) })
	var e *mlflow.Error
	switch {
	case mlflow.IsCode(err, mlflow.CodeNotFound):
		return nil // the tag is gone: another bridge was faster with the same
	case errors.As(err, &e) && e.Inactive():
		return fmt.Errorf("it was withdrawn: %w", errRetry)
	case err != nil:
		return fmt.Errorf("confirm: %w", err)
	}
	return nil
}

// withdraw deletes a claim.
func (a *Applier) withdraw(ctx context.Context, claim mlflow.Run) error {
	err := a.call(ctx, func() error { return a.client.DeleteRun(ctx, claim.Info.ID) })
	if err != nil && !mlflow.IsCode(err, mlflow.CodeNotFound) {
		return fmt.Errorf("withdraw: %w", err)
	}
	a.log.Debug("A run was withdrawn, since another Collector makes it", zap.String("run_id", claim.Info.ID))
	return nil
}

// search finds the runs of one key.
func (a *Applier) search(ctx context.Context, exp experiment, key string) ([]mlflow.Run, error) {
	return a.searchKeys(ctx, exp, "=", key)
}

// searchKeys finds runs by their key, deleted ones included.
func (a *Applier) searchKeys(ctx context.Context, exp experiment, operator, key string) ([]mlflow.Run, error) {
	if strings.ContainsAny(key, "'\\") {
		return nil, finalError{fmt.Errorf("key %q cannot be searched", key)}
	}
	in := mlflow.SearchRuns{
		ExperimentIDs: []string{exp.id}, View: mlflow.ViewAll,
		Filter: "tags.`" + wire.TagKey + "` " + operator + " '" + key + "'",
	}
	var all []mlflow.Run
	for {
		var page []mlflow.Run
		err := a.call(ctx, func() (err error) { page, in.PageToken, err = a.client.SearchRuns(ctx, in); return err })
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if in.PageToken == "" {
			return all, nil
		}
	}
}

// found are the runs of a job when it was first asked for them, by experiment and key. One
// search serves all runs of the job.
type found struct {
	mu   sync.Mutex
	runs map[string]map[string][]mlflow.Run
}

// search is Applier.search with one request for all runs of the job.
func (f *found) search(ctx context.Context, a *Applier, j *job, exp experiment, key string) ([]mlflow.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if byKey := f.runs[exp.id]; byKey != nil {
		return byKey[key], nil
	}
	all, err := a.searchKeys(ctx, exp, "LIKE", j.traceID+"%")
	if err != nil {
		return nil, err
	}
	byKey := map[string][]mlflow.Run{}
	for _, one := range all {
		byKey[one.Tag(wire.TagKey)] = append(byKey[one.Tag(wire.TagKey)], one)
	}
	if f.runs == nil {
		f.runs = map[string]map[string][]mlflow.Run{}
	}
	f.runs[exp.id] = byKey
	return byKey[key], nil
}

// find finds the run of a key, whoever created it.
func (a *Applier) find(ctx context.Context, r *run, exp experiment) (*mlflow.Run, error) {
	var runs []mlflow.Run
	var err error
	if a.cfg.Shared {
		runs, err = r.job.found.search(ctx, a, r.job, exp, r.Key)
	} else {
		runs, err = a.search(ctx, exp, r.Key)
	}
	if err != nil {
		return nil, err
	}
	return a.settle(ctx, r.Key, runs)
}
