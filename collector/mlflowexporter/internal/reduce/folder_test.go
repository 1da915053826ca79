package reduce

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/wire"
)

// A file that another one's path needs as a folder stays, in whatever order they come; what is below it is
// dropped, which is told.
func TestFilesBelowAFile(t *testing.T) {
	with := func(kind Kind, id byte, attrs map[string]any, paths ...string) Span {
		s := newSpan(t, kind, kind.String(), id, attrs)
		for _, p := range paths {
			addArtifact(s, map[string]any{wire.AttrArtifactName: p, wire.AttrArtifactContent: "x"})
		}
		return s
	}
	stage := func(id byte, step string, paths ...string) Span {
		return with(Stage, id, map[string]any{"app.step": step}, paths...)
	}
	below := func(span, path, above string) string {
		return span + ": " + path + ", below " + above + ", which is a file of the run: give one of them another name"
	}
	for name, c := range map[string]struct {
		spans   []Span
		layout  string
		kept    []string
		dropped []string
	}{
		"file first":                {[]Span{with(Job, 1, nil, "out", "out/r.json", "out-1/r.json")}, "", []string{"out", "out-1/r.json"}, []string{below("job", "out/r.json", "out")}},
		"file last":                 {[]Span{with(Job, 1, nil, "out/r.json", "out/d/r.json", "out")}, "", []string{"out"}, []string{below("job", "out/d/r.json", "out"), below("job", "out/r.json", "out")}},
		"file in a folder":          {[]Span{with(Job, 1, nil, "a/b", "a/b/c", "a/bc")}, "", []string{"a/b", "a/bc"}, []string{below("job", "a/b/c", "a/b")}},
		"of two runs":               {[]Span{with(Job, 1, nil, "out"), stage(2, "a", "out/r.json")}, "", []string{"out", "out/r.json"}, nil},
		"flat, job and stage":       {[]Span{with(Job, 1, nil, "logs/extract"), stage(2, "logs", "extract/x.json", "x.json")}, LayoutFlat, []string{"logs/extract", "logs/x.json"}, []string{below("logs", "logs/extract/x.json", "logs/extract")}},
		"flat, job below a stage's": {[]Span{with(Job, 1, nil, "logs/x/y"), stage(2, "logs", "x")}, LayoutFlat, []string{"logs/x"}, []string{below("job", "logs/x/y", "logs/x")}},
	} {
		for _, turned := range []bool{false, true} {
			m := simple
			m.Layout = c.layout
			spans := slices.Clone(c.spans)
			if turned {
				slices.Reverse(spans)
			}
			plan := Reduce(spans, m)
			var kept, dropped []string
			for _, r := range plan.Runs {
				for _, a := range r.Artifacts {
					kept = append(kept, a.Path)
				}
				for _, p := range r.Parts {
					for _, a := range p.Artifacts {
						kept = append(kept, a.Path)
					}
				}
			}
			for _, d := range plan.Dropped {
				if d.Reason != DropInvalidArtifact || d.TraceID != traceID.String() {
					t.Errorf("%s: %+v", name, d)
				}
				dropped = append(dropped, d.Detail)
			}
			if diff := cmp.Diff(c.kept, kept); diff != "" {
				t.Errorf("%s: kept (-want +got)\n%s", name, diff)
			}
			if diff := cmp.Diff(c.dropped, dropped); diff != "" {
				t.Errorf("%s: dropped (-want +got)\n%s", name, diff)
			}
		}
	}
}
