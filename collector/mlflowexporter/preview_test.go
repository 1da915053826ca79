package mlflowexporter

import (
	"bytes"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/keys"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/test/golden"
)

func preview(t *testing.T, cfg *Config, messages ...ptrace.Traces) string {
	t.Helper()
	p, err := NewPreview(t.Context(), cfg, messages)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if n, err := p.WriteTo(&out); err != nil || n != int64(out.Len()) {
		t.Fatalf("wrote %d of %d bytes: %v", n, out.Len(), err)
	}
	return out.String()
}

// What is printed, as people see it.
func TestPreview(t *testing.T) {
	load := func(name string) []ptrace.Traces {
		requests, _ := loadFixture(t, name)
		return requests
	}
	flat := testConfig("http://127.0.0.1:5000")
	flat.Layout = reduce.LayoutFlat
	flat.Artifacts.Exclude = []string{"*.txt"}
	shared := testConfig("http://127.0.0.1:5000")
	shared.Ownership = ownershipShared
	below := testConfig("http://127.0.0.1:5000/mlflow")
	for name, c := range map[string]struct {
		cfg      *Config
		messages []ptrace.Traces
	}{
		"below_a_path":     {below, []ptrace.Traces{joined(load("cancelled"))}},
		"success":          {testConfig("http://127.0.0.1:5000"), load("success")},
		"one_message":      {testConfig("http://127.0.0.1:5000"), []ptrace.Traces{joined(load("success"))}},
		"flat_gate_failed": {flat, []ptrace.Traces{joined(load("gate_failed"))}},
		"shared":           {shared, []ptrace.Traces{joined(load("success"))}},
		"started_only":     {testConfig("http://127.0.0.1:5000"), load("started_only")},
		"any_application": {testConfig("http://127.0.0.1:5000"), []ptrace.Traces{joined(otherApplication(t, map[string]any{
			"service.name": "etl", "experiment.name": "nightly", "run.traces": "true",
		}))}},
	} {
		t.Run(name, func(t *testing.T) {
			got := preview(t, c.cfg, c.messages...)
			golden.Equal(t, filepath.Join("testdata", "plan", name+".txt"), []byte(got))
			// The requests overlap; what is printed must not depend on which was first.
			for range 5 {
				if again := preview(t, c.cfg, c.messages...); again != got {
					t.Fatal(cmp.Diff(got, again))
				}
			}
		})
	}
}

// Spans that mean nothing, cannot be kept or meet a broken condition are named.
func TestPreviewNamesWhatIsLeftOut(t *testing.T) {
	cfg := testConfig("http://127.0.0.1:5000")
	cfg.Mapping.OtherStage.Condition = `Len(span.attributes["run.metric.rows"]) > 1`
	messages := otherApplication(t, map[string]any{"service.name": "etl"})
	messages[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetSpanID([8]byte{})
	messages[3].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutDouble("run.metric.bad", math.NaN())
	got := preview(t, cfg, messages...)
	for _, want := range []string{"LEFT OUT", "invalid_id", "GET", "nan_metric", "nightly: metric bad is NaN", `classify span "extract"`, "no condition holds"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
}

// Artifacts of which a store may refuse one say so, and are sent all the same.
func TestPreviewTellsOfArtifactsBelowAnother(t *testing.T) {
	messages := otherApplication(t, map[string]any{"service.name": "etl"})
	for i, name := range []string{"out/r.json", "out", "outer/r.json"} {
		e := messages[3].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events().AppendEmpty()
		e.SetName(wire.EventArtifact)
		e.Attributes().PutStr(wire.AttrArtifactName, name)
		e.Attributes().PutStr(wire.AttrArtifactContent, strconv.Itoa(i))
	}
	got := preview(t, testConfig("http://127.0.0.1:5000"), messages...)
	const note = "event artifact; below the artifact out: a store that keeps files in folders refuses one of them\n"
	if strings.Count(got, "; below the artifact") != 1 || !strings.Contains(got, note) || strings.Contains(got, "LEFT OUT") {
		t.Error(got)
	}
	if strings.Count(got, "out/r.json") != 2 {
		t.Errorf("not both rows and requests:\n%s", got)
	}
}

// Names are shown as they are written, and where that is another name than was asked for.
func TestPreviewShowsNamesAsTheyAreWritten(t *testing.T) {
	long := strings.Repeat("n", 300)
	messages := otherApplication(t, map[string]any{"service.name": "etl", "run.traces": "true"})
	attributes := messages[3].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
	attributes.PutStr("run.param.a%b", "1")
	attributes.PutStr("run.param.a&b", "2")
	attributes.PutStr("run.tag."+long, "cut")
	attributes.PutStr("run.tag...", "nothing left")
	attributes.PutInt("run.metric.m%", 1)
	got := preview(t, testConfig("http://127.0.0.1:5000"), messages...)
	for _, want := range []string{
		"  param   a_b ", `run.param.a%b; asked for as "a%b"`, `not written: "a&b", which MLflow gets as this name too`, "  metric  m_ ", "  tag     " + strings.Repeat("n", maxKey-17) + "…" + keys.Clean(long)[keys.Max-16:] + "  cut ", `asked for as "nnn`,
		`not written: nothing of the name ".." is one for MLflow`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, long[:keys.Max]) || strings.Contains(got, strings.Repeat(" ", maxKey+10)) {
		t.Errorf("a long name makes rows as wide as itself:\n%s", got)
	}
	if !strings.Contains(got, "param_conflict") {
		t.Errorf("does not say that a param is lost:\n%s", got)
	}
}

// A run that has not the name of the mapping says why.
func TestPreviewSaysWhyARunHasTheNameOfItsSpan(t *testing.T) {
	messages := otherApplication(t, map[string]any{"service.name": "etl", "run.traces": "true"})
	const note = "  name        not mapping::other_stage::name, which needs an attribute that the span does not have: the name of the span\n"
	for _, layout := range []string{reduce.LayoutNested, reduce.LayoutFlat} {
		cfg := testConfig("http://127.0.0.1:5000")
		cfg.Layout = layout
		got := preview(t, cfg, messages...)
		if want := layout == reduce.LayoutNested; strings.Count(got, note) == 1 != want || strings.Contains(got, "other_job::name") { // extract has no run.name
			t.Errorf("%s:\n%s", layout, got)
		}
	}
}

// What comes from outside makes up no lines of the plan and tells the terminal nothing.
func TestPreviewEscapesControlCharacters(t *testing.T) {
	messages := otherApplication(t, map[string]any{"service.name": "etl\x1b[2J", "experiment.name": "n\nRUN forged", "run.traces": "true"})
	attributes := messages[3].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
	attributes.PutStr("run.name", "nightly\nRUN forged\x1b[31m\tx")
	attributes.PutStr("run.tag.team", "red\x1b[0m\u202ex")
	event := messages[3].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events().AppendEmpty()
	event.SetName(wire.EventArtifact)
	event.Attributes().PutStr(wire.AttrArtifactName, "a\u009bb.txt")
	event.Attributes().PutStr(wire.AttrArtifactContent, "x")
	got := preview(t, testConfig("http://127.0.0.1:5000"), messages...)
	for _, r := range got {
		if r != '\n' && !strconv.IsGraphic(r) {
			t.Errorf("prints %q", r)
		}
	}
	if strings.Contains(got, "\nRUN forged") || !strings.Contains(got, `RUN nightly\nRUN forged\x1b[31m\tx`) || !strings.Contains(got, `red\x1b[0m\u202ex`) || !strings.Contains(got, `a\u009bb.txt`) {
		t.Errorf("printed is:\n%s", got)
	}
}

// A trace whose root is there is not said to wait for it.
func TestPreviewOfATraceWithoutAJob(t *testing.T) {
	messages := otherApplication(t, map[string]any{"service.name": "etl", "run.traces": "true"})
	root := messages[3].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	cfg := testConfig("http://127.0.0.1:5000")
	cfg.Mapping.OtherStage.Condition = ""
	root.Attributes().Remove("run.kind")
	for _, c := range []struct {
		messages []ptrace.Traces
		want     string
	}{
		{messages, "state       as MLflow reads it from the root: none of the trace's spans is a job or a member\n"},
		{messages[:3], "state       IN_PROGRESS: the root is not in the file\n"},
	} {
		if got := preview(t, cfg, c.messages...); !strings.Contains(got, c.want) || !strings.Contains(got, "  run         none\n") {
			t.Errorf("lacks %q:\n%s", c.want, got)
		}
	}
}

// The tags of a member's trace come from the rules of mapping::member.
func TestPreviewExplainsTheTagsOfMembers(t *testing.T) {
	messages := otherApplication(t, map[string]any{"service.name": "etl", "run.traces": "true"})
	root := messages[3].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	root.Attributes().Remove("run.kind")
	root.Attributes().PutStr(wire.AttrRunTraceID, strings.Repeat("0", 31)+"2")
	cfg := testConfig("http://127.0.0.1:5000")
	cfg.Mapping.Member.Name = "member"
	cfg.Mapping.Member.Tags = map[string]string{"part": "yes"}
	cfg.Mapping.Member.Rules = []reduce.Rule{{Attribute: "run.tag.team", TraceTag: "team"}}
	got := preview(t, cfg, messages...)
	for _, want := range []string{"search  mapping::member::rules[0] run.tag.team\n", "mapping::member::tags\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
}

// Spans of several experiments go in several requests.
func TestPreviewOfSeveralExperiments(t *testing.T) {
	all := joined(append(
		otherApplication(t, map[string]any{"service.name": "etl", "experiment.name": "a", "run.traces": "true"})[3:],
		otherApplication(t, map[string]any{"service.name": "etl", "experiment.name": "b", "run.traces": "true"})[3:]...))
	all.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(0).SetTraceID([16]byte{2})
	event := all.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(0).Events().AppendEmpty()
	event.SetName(wire.EventArtifact)
	event.Attributes().PutStr(wire.AttrArtifactName, "a.txt")
	event.Attributes().PutStr(wire.AttrArtifactContent, "x")
	got := preview(t, testConfig("http://127.0.0.1:5000"), all)
	if n := strings.Count(got, " /v1/traces "); n != 2 || !strings.Contains(got, " /api/2.0/mlflow-artifacts/artifacts/…    nightly 2026-11-23: a.txt, 1 B\n") {
		t.Errorf("%d requests of spans, want 2:\n%s", n, got)
	}
}

// Of two attempts at a stage in the flat layout the later one's params, tags and files are written.
func TestPreviewOfTwoAttemptsInTheFlatLayout(t *testing.T) {
	cfg := testConfig("http://127.0.0.1:5000")
	cfg.Layout = reduce.LayoutFlat
	attempt := func(id byte, n int) oneSpan {
		return oneSpan{id, 1, "load", map[string]any{"run.kind": "stage", "run.param.n": n, "run.tag.n": n, "run.metric.n": n, "run.tag.own": n}, []event{
			{wire.EventArtifact, map[string]any{wire.AttrArtifactName: "n.txt", wire.AttrArtifactContent: strings.Repeat("x", n)}},
		}}
	}
	all := messages(t, attempt(2, 1), attempt(3, 2), oneSpan{1, 0, "job", map[string]any{"run.kind": "job", "run.tag.load/own": 0}, nil})
	got := preview(t, cfg, all...)
	var lines []string
	for _, line := range strings.Split(got, "\n") {
		if cells := strings.Fields(line); len(cells) > 2 && strings.HasPrefix(cells[1], "load/") {
			_, note, _ := strings.Cut(line, "not written: ")
			lines = append(lines, strings.TrimSpace(strings.Join(cells[:3], " ")+" "+note))
		}
	}
	want := []string{
		"tag load/own 0",
		"param load/n 1 a later attempt's is", "metric load/latency_seconds 1", "metric load/n 1", "tag load/n 1 a later attempt's is",
		"tag load/own 1 the job's own is", "tag load/status FINISHED a later attempt's is", "artifact load/n.txt 1 a later attempt's is",
		"param load/n 2", "metric load/latency_seconds 2", "metric load/n 2", "tag load/n 2", "tag load/own 2 the job's own is", "tag load/status FINISHED", "artifact load/n.txt 2",
		"tag load/own 0", // of the trace
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got)\n%s\n%s", diff, got)
	}
	if !strings.Contains(got, "\nRuns and traces are what all messages come to") {
		t.Errorf("says nothing of messages:\n%s", got)
	}
}
