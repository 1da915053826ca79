package apply

import (
	"context"
	"slices"
	"strings"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/mlflow"
)

// unlogged gives the parts of a run whose params, tags and metrics MLflow does not have in
// this version or a newer one, and their records.
func (r *run) unlogged() (parts []reduce.Part, recs []*ledger.Part) {
	for _, p := range r.Parts {
		rec := r.rec.Part(p.ID)
		if p.Version.Before(rec.Version) {
			continue
		}
		rec.Take(p.Name, p.Version)
		if !rec.Logged {
			parts, recs = append(parts, p), append(recs, rec)
		}
	}
	return parts, recs
}

// writeAll writes a batch and, in the same request as long as there is room, what the parts
// of the run add to it. Of equal names the batch's own wins, then the later part's.
func (a *Applier) writeAll(ctx context.Context, r *run, b batch) error {
	parts, recs := r.unlogged()
	var late []reduce.Part // a later part of the same name has been written
	for i, p := range slices.Backward(parts) {
		if r.rec.HasLater(recs[i]) {
			late = append(late, p)
			continue
		}
		b.add(p, a.maxTag())
	}
	if len(late) > 0 {
		now, err := a.readRun(ctx, r.rec.ID)
		if err = a.lost(ctx, r, err); err != nil || r.rec.Gone {
			return err
		}
		for _, p := range late {
			p.Params, p.Tags = without(p.Params, now.Data.Params), without(p.Tags, now.Data.Tags)
			b.add(p, a.maxTag())
		}
	}
	b.tags = r.late(b.tags)
	if err := a.write(ctx, r, b); err != nil || r.rec.Gone {
		return err
	}
	for _, rec := range recs {
		rec.Logged = true
	}
	return nil
}

// allTags are those of a run that is not there yet, and of its parts.
func (a *Applier) allTags(r *run) []mlflow.KeyValue {
	b := batch{tags: a.tags(r)}
	for _, p := range slices.Backward(r.Parts) {
		b.add(p, a.maxTag())
	}
	return b.tags
}

// add puts what a part says behind what is there, without names that are there. Tags are cut.
func (b *batch) add(p reduce.Part, maxTag int) {
	b.metrics = append(b.metrics, metrics(p.Metrics)...)
	for _, d := range p.Datasets {
		if !slices.Contains(b.datasets, d) {
			b.datasets = append(slices.Clip(b.datasets), d)
		}
	}
	b.params = append(b.params, absent(params(p.Params), b.params)...)
	b.tags = append(b.tags, absent(keyValues(p.Tags, func(_, v string) string { return values.Clean(v, maxTag) }), b.tags)...)
}

func absent(kvs, have []mlflow.KeyValue) []mlflow.KeyValue {
	return slices.DeleteFunc(kvs, func(kv mlflow.KeyValue) bool {
		return slices.ContainsFunc(have, func(o mlflow.KeyValue) bool { return o.Key == kv.Key })
	})
}

func without(kvs []reduce.KeyValue, have []mlflow.KeyValue) []reduce.KeyValue {
	return slices.DeleteFunc(slices.Clone(kvs), func(kv reduce.KeyValue) bool {
		return slices.ContainsFunc(have, func(o mlflow.KeyValue) bool { return o.Key == keys.Clean(kv.Key) })
	})
}

// fillParts writes what is left of the parts: everything when the run itself had nothing to
// say, and their files.
func (a *Applier) fillParts(ctx context.Context, r *run) error {
	if r.rec.Gone || len(r.Parts) == 0 {
		return nil
	}
	if parts, _ := r.unlogged(); len(parts) > 0 {
		if err := a.writeAll(ctx, r, batch{}); err != nil || r.rec.Gone {
			return err
		}
	}
	var files []delivery
	taken := map[string]bool{}
	for _, p := range slices.Backward(r.Parts) { // of two attempts at a stage the later one's file
		rec := r.rec.Part(p.ID)
		if rec.Version != p.Version {
			continue
		}
		for _, f := range p.Artifacts {
			if !taken[f.Path] && !r.rec.LaterFile(rec, f.Path) {
				taken[f.Path] = true
				files = append(files, delivery{f, &rec.Files})
			}
		}
	}
	slices.SortFunc(files, func(x, y delivery) int { return strings.Compare(x.file.Path, y.file.Path) })
	return a.files(ctx, r, files)
}
