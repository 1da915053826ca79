package reduce

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/wire"
)

// What the patterns and the limit leave out is not written, and named.
func TestSkippedArtifactsAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		rules   ArtifactRules
		skipped string
	}{
		"all":                {ArtifactRules{}, ""},
		"by name":            {ArtifactRules{Include: []string{"*.json"}}, "notes.txt"},
		"by folder":          {ArtifactRules{Include: []string{"raw/**"}}, "big.json, notes.txt"},
		"alternatives":       {ArtifactRules{Exclude: []string{"*.{txt,md}", "raw/*"}}, "notes.txt, raw/page.json"},
		"include, exclude":   {ArtifactRules{Include: []string{"*.json"}, Exclude: []string{"big.*"}}, "big.json, notes.txt"},
		"too large":          {ArtifactRules{MaxBytes: 10}, "big.json"},
		"exactly as large":   {ArtifactRules{MaxBytes: 11}, ""},
		"slash is a border":  {ArtifactRules{Exclude: []string{"ra*e.json"}}, ""},
		"too large to match": {ArtifactRules{Include: []string{"big.json"}, MaxBytes: 10}, "big.json, notes.txt, raw/page.json"},
	} {
		t.Run(name, func(t *testing.T) {
			filter, err := c.rules.Compile()
			if err != nil {
				t.Fatal(err)
			}
			m := simple
			m.Artifacts = filter
			for _, kind := range []Kind{Job, Stage} {
				s := newSpan(t, kind, "x", 2, map[string]any{"app.step": "a"})
				for path, content := range map[string]string{"notes.txt": "n", "big.json": strings.Repeat("b", 11), "raw/page.json": "p"} {
					addArtifact(s, map[string]any{wire.AttrArtifactName: path, wire.AttrArtifactContent: content})
				}
				runs := Reduce([]Span{s}, m).Runs
				run := runs[len(runs)-1]
				if got := tagOf(run, wire.TagSkipped); got != c.skipped {
					t.Errorf("%s: skipped %q, want %q", kind, got, c.skipped)
				}
				left := 3
				if c.skipped != "" {
					left -= strings.Count(c.skipped, ", ") + 1
				}
				if len(run.Artifacts) != left {
					t.Errorf("%s: %d artifacts, want %d", kind, len(run.Artifacts), left)
				}
			}
		})
	}
}

// A pattern matches as in gitignore: ** is any number of folders, none included.
func TestPatterns(t *testing.T) {
	for _, c := range []struct{ pattern, matched, others string }{
		{"**/*.json", "a.json raw/a.json raw/deep/a.json", "a.txt raw/json"},
		{"raw/**", "raw/a raw/deep/a", "a raws/a"},
		{"raw/**/a", "raw/a raw/deep/er/a", "a raw/b"},
		{"raw/*", "raw/a", "raw/deep/a a"},
		{"[^a]*", "b.json", "a.json"},
		{"[!a]*", "b.json raw/b", "a.json"},
		{"[a-c]?", "ab raw/cd", "d ad/e abc"},
		{"{raw/**,*.{txt,md}}", "raw/a a.txt deep/a.md", "a.json"},
		{"**", "a raw/a", ""},
		{`\{a\}`, "{a}", "a"},
		{`[a-a\--9]..x`, "a..x -..x 5..x", "b..x"},
		{"a,b*", "a,b a,bc", "a b"},
	} {
		if err := (ArtifactRules{Exclude: []string{c.pattern}}).Validate(); err != nil {
			t.Error(err)
		}
		for _, p := range strings.Fields(c.matched) {
			if !matches([]string{c.pattern}, p) {
				t.Errorf("%s does not match %s", c.pattern, p)
			}
		}
		for _, p := range strings.Fields(c.others) {
			if matches([]string{c.pattern}, p) {
				t.Errorf("%s matches %s", c.pattern, p)
			}
		}
	}
}

// In the flat layout patterns may speak of a file's path with the folder of its stage and without.
func TestPatternsSeeThePathOfTheFlatLayout(t *testing.T) {
	for name, c := range map[string]struct {
		rules ArtifactRules
		kept  string
	}{
		"written path excluded":        {ArtifactRules{Exclude: []string{"load/raw/**"}}, "load/notes.txt"},
		"path of the stage excluded":   {ArtifactRules{Exclude: []string{"raw/**"}}, "load/notes.txt"},
		"written path included":        {ArtifactRules{Include: []string{"load/raw/*"}}, "load/raw/page.json"},
		"path of the stage included":   {ArtifactRules{Include: []string{"raw/*"}}, "load/raw/page.json"},
		"both, of which exclude wins":  {ArtifactRules{Include: []string{"load/**"}, Exclude: []string{"raw/**"}}, "load/notes.txt"},
		"folder of another stage":      {ArtifactRules{Exclude: []string{"unload/**"}}, "load/notes.txt, load/raw/page.json"},
		"name of the file is the same": {ArtifactRules{Include: []string{"*.json"}}, "load/raw/page.json"},
	} {
		filter, err := c.rules.Compile()
		if err != nil {
			t.Fatal(err)
		}
		m := simple
		m.Artifacts, m.Layout = filter, LayoutFlat
		s := newSpan(t, Stage, "x", 2, map[string]any{"app.step": "load"})
		for _, path := range []string{"notes.txt", "raw/page.json"} {
			addArtifact(s, map[string]any{wire.AttrArtifactName: path, wire.AttrArtifactContent: "c"})
		}
		var kept []string
		for _, a := range Reduce([]Span{s}, m).Runs[0].Parts[0].Artifacts {
			kept = append(kept, a.Path)
		}
		if got := strings.Join(kept, ", "); got != c.kept {
			t.Errorf("%s: kept %q, want %q", name, got, c.kept)
		}
	}
}

// A pattern that could match less than it seems to is refused, with what to write.
func TestNoPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		"{a": "close each [ and {", "{a,b": "close each", "*.{json": "close each", "a}": "close each", "[a": "close each", "[]": "close each", `a\`: "close each",
		"[a-]": "[a-] is no class of characters", "[z-": "close each",
		"{**,a}b": "** must stand alone", "a**": "** must stand alone", "**.json": "** must stand alone", "x{a,**}": "** must stand alone", "a,**": "** must stand alone", "***": "** must stand alone",
		strings.Repeat("{a,b}", 11): "stand for more than 1000 patterns",
		"/a.json":                   "write raw/**", "./a": "write raw/**", "raw/": "write raw/**",
		"[z-a]": "z-a holds no character: write the lower end first", "x[^0-9z-b]": "z-b holds no character",
		"a//b": "no path has an empty part", "../x": "no path has a part ..", "raw/{a,..}/x": "no path has a part ..", "a/./b": "no path has a part .",
	} {
		if err := (ArtifactRules{Include: []string{pattern}}).Validate(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "`include[0]`: ") {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

// A blank name of an experiment is as none.
func TestBlankExperimentIsTheDefault(t *testing.T) {
	for name, want := range map[string]string{"  ": "", "\t\u00a0\x00": "", " a ": " a "} {
		s := newSpan(t, Job, "job", 1, map[string]any{"app.name": "etl"})
		s.Resource.Attributes().PutStr(wire.ResExperiment, name)
		s.InTrace = true
		plan := Reduce([]Span{s}, simple)
		if run, trace := plan.Runs[0].Experiment, plan.Traces[0].Experiment; run != want || trace != want {
			t.Errorf("%q: the run goes to %q, the trace to %q, want %q", name, run, trace, want)
		}
	}
}

// The experiment comes from the configured attribute of the resource, of runs and traces.
func TestExperimentByAttribute(t *testing.T) {
	spans := []Span{
		newSpan(t, Job, "job", 1, map[string]any{"app.name": "etl", "app.id": 7}),
		newSpan(t, Stage, "step", 2, map[string]any{"app.step": "a"}),
	}
	for i := range spans {
		spans[i].InTrace = true
		spans[i].Resource.Attributes().PutStr("team", "search")
		spans[i].Resource.Attributes().PutStr(wire.ResExperiment, "own")
	}
	for attribute, want := range map[string]string{"": "own", "team": "search", "missing": ""} {
		m := simple
		m.ExperimentAttribute = attribute
		for _, batch := range [][]Span{spans, spans[1:]} { // the second implies its job
			plan := Reduce(batch, m)
			got := map[string]bool{plan.Traces[0].Experiment: true}
			for _, r := range plan.Runs {
				got[r.Experiment] = true
			}
			if diff := cmp.Diff(map[string]bool{want: true}, got); diff != "" || len(plan.Runs) != 2 {
				t.Errorf("%q: %d runs\n%s", attribute, len(plan.Runs), diff)
			}
		}
	}
}

// Whether a file may be below another is left to the store.
func TestFilesBelowAFileAreKept(t *testing.T) {
	job := newSpan(t, Job, "job", 1, nil)
	for _, p := range []string{"logs/x/y", "out/r.json", "out"} {
		addArtifact(job, map[string]any{wire.AttrArtifactName: p, wire.AttrArtifactContent: "x"})
	}
	stage := newSpan(t, Stage, "stage", 2, map[string]any{"app.step": "logs"})
	addArtifact(stage, map[string]any{wire.AttrArtifactName: "x", wire.AttrArtifactContent: "x"})
	m := simple
	m.Layout = LayoutFlat
	plan := Reduce([]Span{job, stage}, m)
	var got []string
	for _, a := range append(plan.Runs[0].Artifacts, plan.Runs[0].Parts[0].Artifacts...) {
		got = append(got, a.Path)
	}
	if diff := cmp.Diff([]string{"logs/x/y", "out", "out/r.json", "logs/x"}, got); diff != "" || plan.Dropped != nil {
		t.Errorf("dropped %v\n%s", plan.Dropped, diff)
	}
}

// A file of a span that is no run has no place; that is told, unless nobody asked for the span.
func TestArtifactsOfSpansThatAreNoRun(t *testing.T) {
	with := func(kind Kind, id byte, inTrace bool) Span {
		s := newSpan(t, kind, kind.String(), id, nil)
		s.InTrace = inTrace
		addArtifact(s, map[string]any{wire.AttrArtifactName: "a.txt", wire.AttrArtifactContent: "x"})
		return s
	}
	for name, c := range map[string]struct {
		spans []Span
		want  []string
	}{
		"in a trace":     {[]Span{with(Detail, 2, true)}, []string{"detail: a.txt, on a span that is no run"}},
		"below a job":    {[]Span{with(Detail, 2, false), with(Job, 1, false)}, []string{"detail: a.txt, on a span that is no run"}},
		"of a member":    {[]Span{with(Member, 2, true)}, []string{"member: a.txt, on a span that is no run"}},
		"of a job":       {[]Span{with(Job, 1, true), with(Stage, 2, true)}, nil},
		"of nobody here": {[]Span{with(Detail, 2, false)}, nil},
	} {
		var got []string
		for _, d := range Reduce(c.spans, simple).Dropped {
			if d.Reason != DropInvalidArtifact || d.TraceID != traceID.String() {
				t.Errorf("%s: %+v", name, d)
			}
			got = append(got, d.Detail)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// Of two files of one span with one name the later stays. The other is told, unless it is the same, in
// this message or in one that comes again.
func TestArtifactsOfOneName(t *testing.T) {
	job := func(files ...string) Span {
		s := newSpan(t, Job, "job", 1, nil)
		for i := 0; i+1 < len(files); i += 2 {
			addArtifact(s, map[string]any{wire.AttrArtifactName: files[i], wire.AttrArtifactContent: files[i+1]})
		}
		return s
	}
	const lost = "job: d.txt, which a later event of the span holds otherwise"
	for name, c := range map[string]struct {
		spans  []Span
		filter ArtifactRules
		want   []string // dropped
		stays  string
	}{
		"other content":   {[]Span{job("d.txt", "one", "e.txt", "x", "d.txt", "two")}, ArtifactRules{}, []string{lost}, "two"},
		"three":           {[]Span{job("d.txt", "one", "d.txt", "two", "d.txt", "three")}, ArtifactRules{}, []string{lost, lost}, "three"},
		"same content":    {[]Span{job("d.txt", "one", "d.txt", "one")}, ArtifactRules{}, nil, "one"},
		"sent again":      {[]Span{job("d.txt", "one"), job("d.txt", "one")}, ArtifactRules{}, nil, "one"},
		"one is left out": {[]Span{job("d.txt", "one", "d.txt", "too long")}, ArtifactRules{MaxBytes: 3}, nil, "one"},
	} {
		m := simple
		var err error
		if m.Artifacts, err = c.filter.Compile(); err != nil {
			t.Fatal(err)
		}
		plan := Reduce(c.spans, m)
		var got []string
		for _, d := range plan.Dropped {
			if d.Reason != DropInvalidArtifact || d.TraceID != traceID.String() {
				t.Errorf("%s: %+v", name, d)
			}
			got = append(got, d.Detail)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		held := map[string]string{}
		for _, a := range plan.Runs[0].Artifacts {
			held[a.Path] = string(a.Content)
		}
		if held["d.txt"] != c.stays || (name == "other content" && held["e.txt"] != "x") {
			t.Errorf("%s: files are %v", name, held)
		}
	}
}
