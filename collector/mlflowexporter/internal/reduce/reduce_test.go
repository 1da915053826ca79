package reduce

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/wire"
)

var simple = Mapping{
	Job:   RunMapping{Name: "{{app.name}} {{app.id}}", Tags: map[string]string{"component": "x", "gone": ""}, Rules: []Rule{{Attribute: "app.id", Param: "id"}}},
	Stage: RunMapping{Name: "{{app.step}}"},
}

// Of two spans with one id the later end wins, in whatever order they come.
func TestTheLaterOfTwoVersionsWins(t *testing.T) {
	old := newSpan(t, Job, "job", 1, map[string]any{"app.id": "old"})
	late := newSpan(t, Job, "job", 1, map[string]any{"app.id": "late"})
	late.Span.SetEndTimestamp(old.Span.EndTimestamp() + 1)
	same := newSpan(t, Job, "job", 1, map[string]any{"app.id": "same end"})
	for _, pair := range [][2]Span{{old, late}, {late, old}} {
		if got := Reduce(pair[:], simple).Runs; len(got) != 1 || got[0].Params[0].Value != "late" {
			t.Errorf("got %v, want the late version only", got)
		}
	}
	a, b := Reduce([]Span{old, same}, simple), Reduce([]Span{same, old}, simple)
	if diff := cmp.Diff(a.Runs, b.Runs); diff != "" {
		t.Errorf("a tie is decided by the order: %s", diff)
	}
}

// Feedback leaves nothing, in particular no run.
func TestFeedbackMakesNoRun(t *testing.T) {
	got := Reduce([]Span{newSpan(t, Feedback, "feedback", 2, map[string]any{"job.id": "1", "job.started_at": int64(1)})}, simple)
	if diff := cmp.Diff(Plan{}, got); diff != "" {
		t.Error(diff)
	}
}

// Other applications may have several jobs in one trace, below spans that are no job, and
// stages below stages.
func TestJobsAndStagesOfOtherApplications(t *testing.T) {
	under := func(s Span, parent byte) Span {
		s.Span.SetParentSpanID(pcommon.SpanID{7: parent})
		return s
	}
	spans := []Span{
		under(newSpan(t, Stage, "inner", 5, map[string]any{"app.step": "inner"}), 4),
		under(newSpan(t, Detail, "between", 4, nil), 3),
		under(newSpan(t, Stage, "outer", 3, map[string]any{"app.step": "outer"}), 2),
		under(newSpan(t, Job, "job", 2, map[string]any{"app.name": "etl", "app.id": 7}), 1),
		under(newSpan(t, Detail, "POST /etl", 1, nil), 0),
	}
	spans[4].Span.SetParentSpanID(pcommon.SpanID{})
	hex := traceID.String()
	type line struct{ Key, Parent, Name string }
	var got []line
	plan := Reduce(spans, simple)
	for _, r := range plan.Runs {
		got = append(got, line{r.Key, r.ParentKey, r.Name})
	}
	want := []line{
		{hex + "-0000000000000002", "", "etl 7"},
		{hex + "-0000000000000003", hex + "-0000000000000002", "outer"},
		{hex + "-0000000000000005", hex + "-0000000000000003", "inner"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(plan.Traces) != 1 || plan.Traces[0].RunKey != want[0].Key || plan.Traces[0].Info == nil {
		t.Errorf("trace %+v does not belong to the job", plan.Traces)
	}
	if tagOf(plan.Runs[0], "gone") != "" || tagOf(plan.Runs[0], "component") != "x" {
		t.Errorf("fixed tags are %v", plan.Runs[0].Tags)
	}
}

// Several jobs without a parent in one trace are several runs: the first to start has the key of
// the trace.
func TestJobsWithoutAParentHaveKeysOfTheirOwn(t *testing.T) {
	under := func(s Span, parent byte) Span {
		s.Span.SetParentSpanID(pcommon.SpanID{7: parent})
		return s
	}
	late := newSpan(t, Job, "late", 1, nil)
	late.Span.SetStartTimestamp(late.Span.StartTimestamp() + 1)
	spans := []Span{late, newSpan(t, Job, "first", 3, nil), newSpan(t, Job, "same start", 4, nil), under(newSpan(t, Stage, "s", 5, nil), 1), under(newSpan(t, Stage, "u", 6, nil), 3)}
	hex := traceID.String()
	want := map[string][3]string{
		hex:                       {"first", "", hex + "-0000000000000003"},
		hex + "-0000000000000001": {"late", "", hex + "-0000000000000001"},
		hex + "-0000000000000004": {"same start", "", hex + "-0000000000000004"},
		hex + "-0000000000000005": {"s", hex + "-0000000000000001", ""},
		hex + "-0000000000000006": {"u", hex, ""},
	}
	for range 2 {
		got := map[string][3]string{}
		plan := Reduce(spans, simple)
		for _, r := range plan.Runs {
			got[r.Key] = [3]string{r.Name, r.ParentKey, r.OwnKey}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if trace := plan.Traces[0]; trace.RunKey != hex || trace.Info.Source.Span != "0000000000000003" || trace.Info.Source.Rank != RankRoot {
			t.Errorf("the trace is of %s, %+v", trace.RunKey, trace.Info.Source)
		}
		slices.Reverse(spans)
	}
}

// A trace is in one experiment, that of its root, whatever the resources of its spans say.
func TestOneExperimentForATrace(t *testing.T) {
	in := func(s Span, experiment string, late pcommon.Timestamp) Span {
		s.Resource.Attributes().PutStr(wire.ResExperiment, experiment)
		s.Span.SetStartTimestamp(s.Span.StartTimestamp() + late)
		return s
	}
	root := in(newSpan(t, Job, "job", 1, nil), "root's", 5)
	stage := in(newSpan(t, Stage, "late", 2, nil), "late stage's", 2)
	first := in(newSpan(t, Stage, "first", 3, nil), "first stage's", 1)
	detail := in(newSpan(t, Detail, "detail", 4, nil), "detail's", 0)
	for _, c := range []struct {
		spans []Span
		want  string
	}{
		{[]Span{detail, first, stage, root}, "root's"},
		{[]Span{detail, stage, first}, "first stage's"},
		{[]Span{detail}, "detail's"},
	} {
		for range 2 {
			plan := Reduce(c.spans, simple)
			for _, r := range plan.Runs {
				if r.Experiment != c.want {
					t.Errorf("run %s is in %q, want %q", r.Name, r.Experiment, c.want)
				}
			}
			if got := plan.Traces[0].Experiment; got != c.want {
				t.Errorf("trace is in %q, want %q", got, c.want)
			}
			slices.Reverse(c.spans)
		}
	}
}

// A job of which only a stage is known gets a run that the job's own span completes.
func TestAStageImpliesItsJob(t *testing.T) {
	s := newSpan(t, Stage, "retrieval", 2, map[string]any{
		"app.id": 7, "app.name": "job", wire.AttrStartedAt: began.UnixMicro() - 5000, "error.message": "of the stage",
	})
	m := simple
	m.Job.Rules = append(m.Job.Rules, Rule{Attribute: "error.message", Tag: "error"})
	runs := Reduce([]Span{s}, m).Runs
	if len(runs) != 2 {
		t.Fatalf("%d runs, want 2", len(runs))
	}
	job := runs[0]
	if !job.Implied || job.Status != "" || job.Name != "job 7" || job.StartTime != began.UnixMilli()-5 || tagOf(job, "error") != "" {
		t.Errorf("implied run is %+v", job)
	}
	if runs[1].ParentKey != job.Key || runs[1].Status != statusFinished {
		t.Errorf("stage run is %+v", runs[1])
	}
}

// Blanks in a template change nothing of what identifies a job.
func TestTemplateWithBlanksIdentifies(t *testing.T) {
	m := simple
	m.Job.Name = "{{ app.name }} {{ app.id}}"
	if job := Reduce([]Span{newSpan(t, Stage, "s", 2, map[string]any{"app.id": 7, "app.name": "job"})}, m).Runs[0]; job.Name != "job 7" || len(job.Params) != 1 {
		t.Errorf("implied run is %+v", job)
	}
}

// A name that shows nothing counts as none: MLflow would make up one.
func TestBlankNames(t *testing.T) {
	for _, c := range []struct {
		own  any
		span string
		want string // empty: the key
	}{
		{"etl", "span", "etl"},
		{"", "span", "span"},
		{" \t", "span", "span"},
		{"\x00", "span", "span"},
		{nil, "span", "span"},
		{"", " ", ""},
	} {
		m := simple
		m.Job.Name = "{{app.name}}"
		run := Reduce([]Span{newSpan(t, Job, c.span, 1, map[string]any{"app.name": c.own})}, m).Runs[0]
		if run.Name != c.want && (c.want != "" || run.Name != run.Key) {
			t.Errorf("%q on span %q: run is %q, want %q", c.own, c.span, run.Name, c.want)
		}
	}
}

func TestJobStatus(t *testing.T) {
	for _, c := range []struct {
		outcome, errorType string
		code               ptrace.StatusCode
		want               string
	}{
		{"success", "", ptrace.StatusCodeUnset, statusFinished},
		{"success", "timeout", ptrace.StatusCodeUnset, statusFinished},
		{"no_urls", "", ptrace.StatusCodeUnset, statusFinished},
		{"gate_failed", "", ptrace.StatusCodeUnset, statusFinished},
		{"error", "", ptrace.StatusCodeUnset, statusFailed},
		{"cancelled", "timeout", ptrace.StatusCodeError, statusKilled},
		{"", "", ptrace.StatusCodeError, statusFailed},
		{"", "timeout", ptrace.StatusCodeUnset, statusFailed},
		{"", "", ptrace.StatusCodeOk, statusFinished},
	} {
		s := newSpan(t, Job, "job", 1, map[string]any{wire.AttrJobOutcome: c.outcome, wire.AttrErrorType: c.errorType})
		s.Span.Status().SetCode(c.code)
		if got := jobStatus(s); got != c.want {
			t.Errorf("outcome %q, error %q, %s: %s, want %s", c.outcome, c.errorType, c.code, got, c.want)
		}
	}
}

func addArtifact(s Span, attrs map[string]any) {
	e := s.Span.Events().AppendEmpty()
	e.SetName(wire.EventArtifact)
	_ = e.Attributes().FromRaw(attrs)
}

// MLflow decodes paths, so a percent that would begin an escape is none.
func TestEscapesInPaths(t *testing.T) {
	for in, want := range map[string]string{"a%2Fb.txt": "a_2Fb.txt", "%2e%2e/x": "_2e_2e/x", "100%.txt": "100%.txt", "a b+c.txt": "a b+c.txt"} {
		s := newSpan(t, Stage, "stage_a", 2, map[string]any{"app.step": "a"})
		addArtifact(s, map[string]any{wire.AttrArtifactName: in, wire.AttrArtifactContent: "x"})
		if got := Reduce([]Span{s}, simple).Runs[1].Artifacts; len(got) != 1 || got[0].Path != want {
			t.Errorf("%s: %+v, want %s", in, got, want)
		}
	}
}

// A file that something changed on the way is delivered as it is, and named.
func TestAlteredArtifact(t *testing.T) {
	s := newSpan(t, Stage, "stage_a", 2, map[string]any{"app.step": "a"})
	addArtifact(s, map[string]any{"artifact.name": "a.txt", "artifact.content": "redacted", "artifact.sha256": strings.Repeat("0", 64)})
	addArtifact(s, map[string]any{"artifact.name": "cut.txt", "artifact.content": "begin…", "artifact.sha256": strings.Repeat("0", 64), "artifact.truncated": true})
	addArtifact(s, map[string]any{"artifact.name": "raw.bin", "artifact.content": []byte{0xff, 0}})
	run := Reduce([]Span{s}, simple).Runs[1]
	if tagOf(run, wire.TagAltered) != "a.txt" || tagOf(run, wire.TagTruncated) != "cut.txt" {
		t.Errorf("tags are %v", run.Tags)
	}
	if len(run.Artifacts) != 3 || string(run.Artifacts[0].Content) != "redacted" || string(run.Artifacts[2].Content) != "\xff\x00" {
		t.Errorf("artifacts are %+v", run.Artifacts)
	}
}

func TestUnusableArtifactsAndSpansAreDropped(t *testing.T) {
	s := newSpan(t, Stage, "stage_a", 2, map[string]any{"app.step": "a"})
	for _, name := range []string{"", "../secret", "/etc/passwd", "a//b", "a#b", `a\b`, "a/../b", "x\x00y", strings.Repeat("n", 256)} {
		addArtifact(s, map[string]any{"artifact.name": name, "artifact.content": "x"})
	}
	addArtifact(s, map[string]any{"artifact.name": "no-content.txt"})
	broken := newSpan(t, Detail, "broken", 0, nil)
	plan := Reduce([]Span{s, broken}, simple)
	reasons, causes := map[string]int{}, map[string]int{}
	for _, d := range plan.Dropped {
		reasons[d.Reason]++
		for _, cause := range []string{"stage_a: an artifact without `artifact.name`: give it a path", " is no path of an artifact: write one such as", "stage_a: no-content.txt has no `artifact.content`"} {
			if strings.Contains(d.Detail, cause) {
				causes[cause]++
			}
		}
	}
	if got := slices.Sorted(maps.Values(causes)); !slices.Equal(got, []int{1, 1, 8}) {
		t.Errorf("causes %v of %v", causes, plan.Dropped)
	}
	if diff := cmp.Diff(map[string]int{DropInvalidArtifact: 10, DropInvalidID: 1}, reasons); diff != "" {
		t.Error(diff)
	}
	if len(plan.Runs[1].Artifacts) != 0 {
		t.Errorf("artifacts are %v", plan.Runs[1].Artifacts)
	}
}

// Spans whose parents form a circle count as having no parent, whatever hangs below them and
// however they are split and ordered.
func TestParentsInACircle(t *testing.T) {
	under := func(s Span, parent byte) Span {
		s.Span.SetParentSpanID(pcommon.SpanID{7: parent})
		return s
	}
	hex := traceID.String()
	key := func(id byte) string { return wire.StageKey(wire.TraceID(traceID), wire.SpanID{7: id}) }
	for name, c := range map[string]struct {
		spans []Span
		want  map[string]string // parents by key
	}{
		"a job above itself": {
			[]Span{under(newSpan(t, Job, "a", 2, nil), 2), under(newSpan(t, Stage, "s", 3, nil), 2)},
			map[string]string{key(2): "", key(3): key(2)},
		},
		"two jobs": {
			[]Span{under(newSpan(t, Job, "a", 2, nil), 3), under(newSpan(t, Job, "b", 3, nil), 2)},
			map[string]string{key(2): "", key(3): ""},
		},
		"a job above itself with a span between": {
			[]Span{under(newSpan(t, Job, "a", 2, nil), 3), under(newSpan(t, Detail, "b", 3, nil), 2), under(newSpan(t, Stage, "s", 4, nil), 3)},
			map[string]string{key(2): "", key(4): key(2)},
		},
		"a job and a stage": {
			[]Span{under(newSpan(t, Job, "a", 2, nil), 3), under(newSpan(t, Stage, "b", 3, nil), 2)},
			map[string]string{key(2): "", key(3): key(2)},
		},
		"details": {
			[]Span{under(newSpan(t, Detail, "a", 2, nil), 3), under(newSpan(t, Detail, "b", 3, nil), 2), under(newSpan(t, Stage, "s", 4, nil), 3)},
			map[string]string{hex: "", key(4): hex},
		},
		"two stages, with one below": {
			[]Span{under(newSpan(t, Stage, "a", 2, nil), 3), under(newSpan(t, Stage, "b", 3, nil), 2), under(newSpan(t, Stage, "c", 4, nil), 3)},
			map[string]string{hex: "", key(2): hex, key(3): hex, key(4): key(3)},
		},
		"a stage above itself": {
			[]Span{under(newSpan(t, Stage, "a", 2, nil), 2)},
			map[string]string{hex: "", key(2): hex},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				got := map[string]string{}
				for _, r := range Reduce(c.spans, simple).Runs {
					got[r.Key] = r.ParentKey
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("parents (-want +got):\n%s", diff)
				}
				slices.Reverse(c.spans)
			}
		})
	}
	flat := simple
	flat.Layout = LayoutFlat
	var names []string
	for _, p := range Reduce([]Span{under(newSpan(t, Stage, "a", 2, nil), 3), under(newSpan(t, Stage, "b", 3, nil), 2)}, flat).Runs[0].Parts {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}
