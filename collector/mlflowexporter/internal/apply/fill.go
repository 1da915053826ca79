package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
)

// fill writes what the plan says of a run, apart from its end. What MLflow refuses for
// good has been dealt with when it returns nil.
func (a *Applier) fill(ctx context.Context, r *run) error {
	if err := a.fillOwn(ctx, r); err != nil {
		return err
	}
	return a.fillParts(ctx, r)
}

// fillOwn writes what the run's own span says, or messages of it.
func (a *Applier) fillOwn(ctx context.Context, r *run) error {
	rec := r.rec
	switch {
	case rec.Gone:
		if !r.Implied && rec.Version != r.Version {
			rec.Version, rec.Done = r.Version, true
			a.cfg.Count(EventDeletedRun, 1)
		}
		return nil
	case r.Implied:
		return a.fillImplied(ctx, r)
	case rec.Version == r.Version:
		if rec.Done {
			return nil
		}
	case slices.Contains(rec.Older, r.Version.Hash):
		return nil
	case r.Version.Before(rec.Version):
		return a.fillOlder(ctx, r)
	}
	if a.cfg.Shared && !r.created && rec.Version != r.Version {
		_, older, err := a.catchUp(ctx, r)
		if err != nil || rec.Gone {
			return err
		}
		if older {
			return a.fillOlder(ctx, r)
		}
	}
	rec.Take(r.Version)
	if r.OwnKey != r.Key {
		rec.Own = r.OwnKey
	}
	files := r.own(r.Artifacts)
	if r.created && r.job.asked == "" {
		return a.fillNew(ctx, r, files)
	}
	if !rec.Logged {
		tags, err := a.sparing(ctx, r, a.tags(r))
		if err != nil || rec.Gone {
			return err
		}
		b := batch{metrics: metrics(r.Metrics), params: params(r.Params), tags: tags, datasets: r.Datasets}
		if err := a.writeAll(ctx, r, b); err != nil || rec.Gone {
			return err
		}
		rec.Logged = true
	}
	if err := a.files(ctx, r, files); err != nil {
		return err
	}
	rec.Done = rec.Done || r.Status == ""
	return nil
}

// fillNew fills a run that was made a moment ago, and so is not deleted: its files need not
// wait for the rest, since MLflow's database, which is what takes time, knows nothing of them.
func (a *Applier) fillNew(ctx context.Context, r *run, files []delivery) error {
	wait := a.deliver(ctx, r, files)
	err := a.writeAll(ctx, r, batch{metrics: metrics(r.Metrics), params: params(r.Params), tags: a.tags(r), datasets: r.Datasets})
	errs := wait()
	if err != nil || r.rec.Gone {
		return err
	}
	r.rec.Logged = true
	if err := a.delivered(ctx, r, files, errs); err != nil {
		return err
	}
	r.rec.Done = r.rec.Done || r.Status == ""
	return nil
}

// fillImplied adds what messages and stages say of a run whose own span is not there yet.
// What one of them said first stays.
func (a *Applier) fillImplied(ctx context.Context, r *run) error {
	rec := r.rec
	if rec.Version.Hash != "" {
		return nil // the run's own span has spoken
	}
	said := func(prefix string) func(mlflow.KeyValue) bool {
		return func(kv mlflow.KeyValue) bool { return slices.Contains(rec.Said, prefix+kv.Key) }
	}
	tags, params := a.tags(r), params(r.Params)
	b := batch{params: slices.DeleteFunc(slices.Clone(params), said("param ")), tags: slices.DeleteFunc(slices.Clone(tags), said("tag "))}
	if a.cfg.Shared && !r.created && !b.empty() {
		now, _, err := a.catchUp(ctx, r)
		if err != nil || rec.Gone {
			return err
		}
		b.unsaid(now)
	}
	if err := a.writeAll(ctx, r, b); err != nil {
		return err
	}
	for _, t := range tags {
		rec.Said = append(rec.Said, "tag "+t.Key)
	}
	for _, p := range params {
		rec.Said = append(rec.Said, "param "+p.Key)
	}
	slices.Sort(rec.Said)
	rec.Said = slices.Compact(rec.Said)
	return nil
}

// fillOlder adds what only an older version of a run says: points of metrics, and tags,
// params and files that the newer one does not have. So the result is the same in
// whatever order the two came.
func (a *Applier) fillOlder(ctx context.Context, r *run) error {
	var now mlflow.Run
	var missing []reduce.Artifact
	err := a.call(ctx, func() (err error) {
		if now, err = a.client.GetRun(ctx, r.rec.ID); err == nil {
			missing, err = a.missingFiles(ctx, r)
		}
		return err
	})
	if err = a.lost(ctx, r, err); err != nil || r.rec.Gone {
		return err
	}
	in := func(kvs []mlflow.KeyValue) func(mlflow.KeyValue) bool {
		return func(kv mlflow.KeyValue) bool {
			return slices.ContainsFunc(kvs, func(o mlflow.KeyValue) bool { return o.Key == kv.Key })
		}
	}
	b := batch{
		metrics:  metrics(r.Metrics),
		params:   slices.DeleteFunc(params(r.Params), in(now.Data.Params)),
		tags:     slices.DeleteFunc(a.tags(r), in(now.Data.Tags)),
		datasets: r.Datasets,
	}
	if err := a.write(ctx, r, b); err != nil || r.rec.Gone {
		return err
	}
	if err := a.files(ctx, r, r.own(missing)); err != nil {
		return fmt.Errorf("older version: %w", err)
	}
	r.rec.Older = append(r.rec.Older, r.Version.Hash)
	return nil
}

// missingFiles are the files of a run that MLflow does not have. Of its directories it lists those
// that files are in.
func (a *Applier) missingFiles(ctx context.Context, r *run) (missing []reduce.Artifact, err error) {
	have := map[string]bool{}
	inside := func(dir string) bool {
		return slices.ContainsFunc(r.Artifacts, func(f reduce.Artifact) bool { return dir == "" || strings.HasPrefix(f.Path, dir+"/") })
	}
	for dirs := []string{""}; len(dirs) > 0; dirs = dirs[1:] {
		if !inside(dirs[0]) {
			continue
		}
		files, err := a.client.ListArtifacts(ctx, r.rec.ID, dirs[0])
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if f.IsDir {
				dirs = append(dirs, f.Path)
				continue // a store without folders may lack the file of that name
			}
			have[f.Path] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(r.Artifacts), func(f reduce.Artifact) bool { return have[f.Path] }), nil
}
