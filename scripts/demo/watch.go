package main

import (
	"context"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

// watchInterval is short enough to measure seconds and long enough not to load the server
// that it measures.
const watchInterval = 400 * time.Millisecond

// watch asks MLflow again and again which runs have ended and notes when it saw each job's
// run end for the first time, by trace id. The bridge ends a job's run last, so that is
// when people can see all of the job. It returns when ctx ends.
func (r *reader) watch(ctx context.Context) map[string]time.Time {
	seen := map[string]time.Time{}
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return seen
		case <-tick.C:
		}
		if err := r.find(ctx); err != nil || r.id == "" {
			continue // as below
		}
		runs, _, err := r.client.SearchRuns(ctx, mlflow.SearchRuns{
			ExperimentIDs: []string{r.id}, MaxResults: 50, OrderBy: []string{"attributes.start_time DESC"},
			Filter: "tags.component = 'pipeline' and attributes.status != 'RUNNING'",
		})
		if err != nil {
			continue // the report, which follows, asks the same server and says what is wrong
		}
		now := time.Now()
		for _, run := range runs {
			if key := run.Tag(wire.TagKey); len(key) == 32 && seen[key].IsZero() {
				seen[key] = now
			}
		}
	}
}
