package reconcile

import (
	"maps"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/wire"
)

// partStatus is the tag, behind the name of the stage and a slash, by which a run that holds its stages
// says how one ended.
const partStatus = "/status"

// flat returns the run that holds the stages of a job, as the exporter writes it with `layout: flat`.
// It is false when a stage has a run of its own, and when no run of the job speaks of stages.
func (c *judge) flat(runs []wantRun) (Run, bool) {
	for _, w := range runs {
		if w.parent != "" && len(c.runs[w.key]) > 0 {
			return Run{}, false
		}
	}
	for _, w := range runs {
		if w.parent != "" {
			continue
		}
		for _, r := range c.runs[w.key] {
			if slices.ContainsFunc(runs, func(p wantRun) bool { return p.parent != "" && r.Tags[p.name+partStatus] != "" }) {
				return r, true
			}
		}
	}
	return Run{}, false
}

// comparePart compares of a stage that the job's run holds whether it is there and how it ended. Of
// several attempts the run says the last.
func (c *judge) comparePart(w wantRun, held Run, runs []wantRun) {
	last := runs[slices.IndexFunc(runs, func(p wantRun) bool { return p.key == w.key })]
	for _, p := range runs {
		if p.parent != "" && p.name == w.name && p.end >= last.end {
			last = p
		}
	}
	if last.key != w.key || held.Deleted {
		return
	}
	switch status := held.Tags[w.name+partStatus]; status {
	case w.status:
	case "":
		c.lost(w.key, "stage "+w.name, "the job's run says nothing of it")
	default:
		c.wrong(w.key, "status of stage "+w.name, "%v; want %v", status, w.status)
	}
}

// withoutParts leaves out of a run what it holds of its stages. Some names a job has of its own, such as
// how long each stage took: then the point of the job's end is the job's.
func (r Run) withoutParts(own wantRun, runs []wantRun) Run {
	ofPart := func(name string) bool {
		return slices.ContainsFunc(runs, func(p wantRun) bool { return p.parent != "" && strings.HasPrefix(name, p.name+"/") })
	}
	for _, texts := range []struct{ held, own *map[string]string }{{&r.Params, &own.params}, {&r.Tags, &own.tags}, {&r.Artifacts, &own.files}} {
		*texts.held = maps.Clone(*texts.held)
		maps.DeleteFunc(*texts.held, func(name, _ string) bool {
			_, wanted := (*texts.own)[name]
			return ofPart(name) && !wanted
		})
	}
	all := r.Metrics
	r.Metrics = map[string][]Point{}
	for name, points := range all {
		want, wanted := own.metrics[name]
		switch i := slices.IndexFunc(points, func(p Point) bool { return p.TimestampMS == own.end && near(p.Value, want) }); {
		case !ofPart(name):
			r.Metrics[name] = points
		case wanted && i >= 0:
			r.Metrics[name] = points[i : i+1]
		case wanted:
			r.Metrics[name] = points[:1]
		}
	}
	return r
}

// withoutSkipped leaves out of what is wanted the files that the exporter was told to leave out, which
// the run names, unless they are there.
func (w wantRun) withoutSkipped(r Run) wantRun {
	skipped := map[string]bool{}
	for name := range strings.SplitSeq(r.Tags[wire.TagSkipped], ", ") {
		if _, there := r.Artifacts[name]; !there {
			skipped[name] = true
		}
	}
	w.files, w.tags = maps.Clone(w.files), maps.Clone(w.tags)
	maps.DeleteFunc(w.files, func(name, _ string) bool { return skipped[name] })
	for _, tag := range []string{wire.TagTruncated, wire.TagAltered} { // they name files that are there
		names := slices.DeleteFunc(strings.Split(w.tags[tag], ", "), func(name string) bool { return skipped[name] })
		if w.tags[tag] = strings.Join(names, ", "); w.tags[tag] == "" {
			delete(w.tags, tag)
		}
	}
	return w
}
