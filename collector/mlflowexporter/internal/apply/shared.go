package apply

import (
	"context"
	"slices"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// What other bridges wrote to a run is not in this one's ledger. Most of it does not
// matter, since all write the same; what does is read from the run itself.

// catchUp reads what other bridges wrote to a run, before this one writes what it did not
// write before. A run that one of them ended for want of news is opened again; a run whose
// own span it has in a newer version gets older set.
func (a *Applier) catchUp(ctx context.Context, r *run) (now mlflow.Run, older bool, err error) {
	now, err = a.readRun(ctx, r.rec.ID)
	if err = a.lost(ctx, r, err); err != nil || r.rec.Gone {
		return now, false, err
	}
	if now.Tag(wire.TagStale) != "" {
		return now, false, a.takeBack(ctx, r)
	}
	ended := now.Info.Status != mlflow.StatusRunning
	return now, ended && !r.Implied && now.Info.EndTime > r.EndTime, nil
}

// unsaid takes from a batch what the run has already: its own span may have spoken through
// another bridge.
func (b *batch) unsaid(now mlflow.Run) {
	b.params = absent(slices.Clone(b.params), now.Data.Params)
	b.tags = absent(slices.Clone(b.tags), now.Data.Tags)
}
