package reduce

import (
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/test/golden"
)

const slackComment = "*tldr*\n• SQLite keeps a write-ahead log.\n• Readers don't block.\n• It scales *well*.\n\n\n" +
	"*Summary*\n1) The log is a file.\n2) See <https://sqlite.org/wal.html|the manual>.\n\n\n*Projects*\n• *Agentic Workflows* — state.\n\n\n*Similar tech*\n• *N/A*\n"

func noteRoot(t testing.TB, attrs map[string]any) Span {
	all := map[string]any{
		wire.AttrJobOutcome: "success", wire.AttrJobAttempts: 1,
		wire.AttrURLFull: "https://sqlite.org/wal_(mode).html", wire.AttrSlackPermalink: "https://t.slack.com/archives/C1/p1",
		wire.AttrCommentText: slackComment,
	}
	for _, stage := range wire.StageNames {
		all[stage+".duration"], all[wire.AttrStageStatusPrefix+stage] = 0.25, "ok"
	}
	for k, v := range attrs {
		all[k] = v
	}
	return newSpan(t, Job, wire.SpanJob, 1, all)
}

func TestNote(t *testing.T) {
	cases := map[string]map[string]any{
		"success": {"stage_a.duration": 1.5},
		"gate_failed": {
			wire.AttrJobOutcome: "gate_failed", wire.AttrSlackPermalink: "",
			wire.AttrGateFailureList: []any{"Summary has 9 sentences, 10–15 are wanted.", "Only 1 bullet *names* a theme | <b>."},
		},
		"error": {
			wire.AttrJobOutcome: "error", wire.AttrCommentText: "", wire.AttrErrorType: "http_404", wire.AttrJobAttempts: 3,
			wire.AttrErrorMessage: "fetch https://e.org/a_b: 404 Not Found", wire.AttrURLFull: "javascript:alert(1)",
			wire.AttrStageAttemptsPrefix + "retrieval": 3, wire.AttrStageStatusPrefix + "retrieval": "error", "retrieval.duration": 130.0,
		},
	}
	for name, attrs := range cases {
		t.Run(name, func(t *testing.T) {
			goldenNote(t, name, noteOf(noteRoot(t, attrs)))
		})
	}
}

// goldenNote compares a note with testdata/note_NAME.md.
func goldenNote(t *testing.T, name, note string) {
	t.Helper()
	golden.Equal(t, filepath.Join("testdata", "note_"+name+".md"), []byte(note+"\n"))
}

// A long comment is cut at a line; links, gates and stages stay.
func TestLongNotesFit(t *testing.T) {
	long := strings.Repeat("• A sentence about databases that goes on for a while.\n", 400)
	note := noteOf(noteRoot(t, map[string]any{wire.AttrCommentText: long}))
	if n := utf8.RuneCountInString(note); n > maxTag-noteReserve {
		t.Errorf("note has %d characters", n)
	}
	for _, piece := range []string{"[Slack thread](", "[Trace](", "a while.\n\n…\n\n| Stage", "| `slack_post`&nbsp;"} {
		if !strings.Contains(note, piece) {
			t.Errorf("note lacks %q", piece)
		}
	}
	failures := make([]any, 300)
	for i := range failures {
		failures[i] = strings.Repeat("x", 2000)
	}
	note = noteOf(noteRoot(t, map[string]any{wire.AttrCommentText: long, wire.AttrGateFailureList: failures, wire.AttrErrorMessage: long}))
	if n := utf8.RuneCountInString(note); n > maxTag-noteReserve {
		t.Errorf("note has %d characters", n)
	}
}

func TestOtherApplicationsGetNoNote(t *testing.T) {
	if got := noteOf(newSpan(t, Job, "job", 1, nil)); got != "" {
		t.Error(got)
	}
}

func TestTemplates(t *testing.T) {
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"job.id": "7", "a": "{{b}}"}[name]
		return v, ok
	}
	for in, want := range map[string]string{
		"job_{{job.id}}": "job_7", "{{ job.id }}/{{a}}": "7/{{b}}", "plain": "plain", "x {{missing}}": "x ",
	} {
		got, complete := expand(in, lookup)
		if got != want || complete == strings.Contains(in, "missing") {
			t.Errorf("%s: %q, %v", in, got, complete)
		}
	}
	for _, bad := range []string{"{{job.id", "{{}}", "a {{ }}", "{{{{a}}}}", "{{{a}}}", "{{a}}}", "{{a}", "a}}", "{a}", "{{a{{b}}"} {
		if checkTemplate(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// What people wrote is never taken for a placeholder, with more braces in front neither.
func TestNoteHoldsOnlyItsOwnPlaceholders(t *testing.T) {
	for _, more := range []string{"", "{", "{{"} {
		text := more + PlaceholderRunID + more + PlaceholderUI + more + PlaceholderExperimentID
		note := noteOf(noteRoot(t, map[string]any{
			wire.AttrCommentText: text, wire.AttrErrorMessage: text, wire.AttrURLFull: "https://e.org/?q=" + text,
			wire.AttrSlackPermalink: "https://e.org/" + text, wire.AttrGateFailureList: []any{text},
		}))
		if strings.Contains(note, PlaceholderRunID) || strings.Count(note, PlaceholderUI) != 1 || strings.Count(note, PlaceholderExperimentID) != 1 {
			t.Error(note)
		}
	}
}
