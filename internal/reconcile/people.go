package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/wire"
)

// ofPeople reports whether a person gave a run what has a name: one that the bridge never writes.
func (c *judge) ofPeople(kind wire.Kind, name string) bool {
	return !c.terms.Strict && !written(kind, name)
}

// written reports whether the bridge writes a name of a kind on runs of jobs or of stages. A rule of the
// exporter's own mapping may give more names; of these nothing is known here.
func written(kind wire.Kind, name string) bool {
	for _, stage := range wire.StageNames {
		if of, ok := strings.CutPrefix(name, stage+"/"); ok && kind == wire.KindTag && "/"+of == partStatus {
			return true
		} else if ok { // as `layout: flat` has it
			name = of
			break
		}
	}
	switch kind {
	case wire.KindTag:
		if strings.HasPrefix(name, wire.TagFeedbackPrefix) {
			return true
		}
	case wire.KindRunValue:
		if of, ok := strings.CutPrefix(name, "feedback/"); ok {
			said := of[:max(0, strings.LastIndex(of, "/"))]
			return name == wire.FeedbackMean(said) || name == wire.FeedbackCount(said)
		}
	case wire.KindArtifact:
		_, known := wire.Find(kind, name)
		return known
	}
	return slices.ContainsFunc(wire.Catalog(), func(e wire.Entry) bool {
		return e.Kind == kind && e.Name == name && slices.Contains([]wire.Scope{wire.OnJob, wire.OnStage, wire.OnBoth}, wire.Scope(e.Type))
	})
}

// compareExperiment compares where something is with where its messages want it, "" leaving that to the
// settings. MLflow moves nothing from one experiment to another: a person who renames one does it to all
// jobs in it, and no message that is sent again would change that, so it is said once of each job.
func (c *judge) compareExperiment(key, item, held, want string) {
	want = cmp.Or(want, c.terms.Experiment)
	switch {
	case want == "" || held == want:
	case c.terms.Strict:
		c.wrong(key, "experiment of "+item, "%v; want %v", held, want)
	case held == c.terms.Experiment: // it was recorded before the settings followed a new name
	default:
		detail := fmt.Sprintf("in experiment %q; want %q", held, want)
		if !slices.ContainsFunc(c.Elsewhere, func(f Finding) bool { return f.Job == c.job.ID && f.Detail == detail }) {
			c.finding(&c.Elsewhere, key, item, "%s", []any{detail})
		}
	}
}
