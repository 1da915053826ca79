package reduce

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDatasetsOfRuns(t *testing.T) {
	long := strings.Repeat("ä", 9000)
	for name, c := range map[string]struct {
		attributes map[string]any
		want       []Dataset
	}{
		"all":                  {map[string]any{"run.dataset.name": "items", "run.dataset.digest": "abc", "run.dataset.source": "s3://b/items.csv"}, []Dataset{{"items", "abc", "s3://b/items.csv"}}},
		"a digest is made":     {map[string]any{"run.dataset.name": "items"}, []Dataset{{"items", "65cbe4e0", ""}}},
		"of the source too":    {map[string]any{"run.dataset.name": "items", "run.dataset.source": "x", "run.dataset.digest": " "}, []Dataset{{"items", "6d1d6924", "x"}}},
		"no text":              {map[string]any{"run.dataset.name": 7, "run.dataset.digest": 1.5}, []Dataset{{"7", "1.5", ""}}},
		"no name":              {map[string]any{"run.dataset.name": " ", "run.dataset.digest": "abc"}, nil},
		"cut to what it takes": {map[string]any{"run.dataset.name": long, "run.dataset.digest": long, "run.dataset.source": long}, []Dataset{{strings.Repeat("ä", 499) + "…", strings.Repeat("ä", 35) + "…", strings.Repeat("ä", 7999) + "…"}}},
	} {
		for kind, s := range map[string]Span{"job": newSpan(t, Job, "x", 1, c.attributes), "stage": newSpan(t, Stage, "x", 2, c.attributes)} {
			runs := Reduce([]Span{s}, simple).Runs
			if diff := cmp.Diff(c.want, runs[len(runs)-1].Datasets); diff != "" {
				t.Errorf("%s, %s (-want +got)\n%s", name, kind, diff)
			}
		}
	}
}

// In the flat layout a part has the data of its stage, be the job's span there or not.
func TestDatasetsOfStages(t *testing.T) {
	about := func(kind Kind, id byte, name string) Span {
		return newSpan(t, kind, "x", id, map[string]any{"run.dataset.name": name, "run.dataset.digest": "1"})
	}
	m := simple
	m.Layout = LayoutFlat
	for name, spans := range map[string][]Span{"together": {about(Stage, 2, "b"), about(Job, 1, "a")}, "alone": {about(Stage, 2, "b")}} {
		run := Reduce(spans, m).Runs[0]
		if len(run.Parts) != 1 || !cmp.Equal(run.Parts[0].Datasets, []Dataset{{"b", "1", ""}}) || run.Implied != (run.Datasets == nil) {
			t.Errorf("%s: the run is about %v, its parts are %+v", name, run.Datasets, run.Parts)
		}
	}
}
