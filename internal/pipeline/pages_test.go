package pipeline

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
)

// served returns the address of a page with a body.
func served(t *testing.T, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>Harbour</title><body><article>"+body+"</article></body>")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// Sentences are found whatever stands behind their ends, and a comment shows them without
// footnotes and with both quotation marks or none.
func TestSentencesAreFoundBehindWhichMarksEver(t *testing.T) {
	const footnote = `<sup id="cite_ref-1" class="reference"><a href="#cite_note-1"><span>&#91;</span>1<span>&#93;</span></a></sup>`
	for name, of := range map[string]func(a, b string) string{
		"footnotes of MediaWiki":       func(a, b string) string { return a + footnote + " " + b + footnote + footnote },
		"footnotes as text":            func(a, b string) string { return a + "[4] " + b + "[15][16]" },
		"quotations of two sentences":  func(a, b string) string { return "“" + a + " " + b + "”" },
		"quotations":                   func(a, b string) string { return "“" + a + "”</p><p>&quot;" + b + "&quot;" },
		"remarks in brackets":          func(a, b string) string { return a + " (see below)</p><p>" + b + " (see [3] and above)" },
		"sentences in brackets":        func(a, b string) string { return "(" + a + " " + b + ")" },
		"quotations in German fashion": func(a, b string) string { return "„" + a + " " + b + "“" },
	} {
		t.Run(name, func(t *testing.T) {
			var body strings.Builder
			for pair := range slices.Chunk(sentences, 2) {
				body.WriteString("<p>" + of(pair[0], pair[1]) + "</p>\n")
			}
			r := newRig(t, rigConfig{mode: telemetry.ModeOff})
			report := r.finish(t, r.jobs(t, served(t, body.String()))[0].ID)
			if report.Outcome != commentator.OutcomeSuccess {
				t.Fatalf("outcome %s: %s %q", report.Outcome, report.Error, report.GateFailures)
			}
			for line := range strings.Lines(report.Comment) {
				_, text, _ := strings.Cut(line, " ")
				n := func(mark string) int { return strings.Count(text, mark) }
				if n("„") > 0 || n("“") != n("”") || n(`"`)%2 != 0 || n("(") != n(")") || n("[") != n("]") || strings.Contains(text, "16]") {
					t.Errorf("line %q", line)
				}
			}
		})
	}
}

func TestSentencesOfScriptsWithoutBlanksAreFound(t *testing.T) {
	var body strings.Builder
	for n := range 20 {
		fmt.Fprintf(&body, "<p>第%d回の測定で水位は二メートルを超えた。港の管理者は毎時間それを記録した。「翌朝には水位が再び下がっていた。」</p>\n", n+1)
	}
	r := newRig(t, rigConfig{mode: telemetry.ModeOff})
	report := r.finish(t, r.jobs(t, served(t, body.String()))[0].ID)
	for _, f := range report.GateFailures { // that no bullet names a theme is another matter
		if strings.Contains(f, "sentence") {
			t.Error(f)
		}
	}
}

// A page with too little text ends with a sentence that says so and what to do, also when the
// worker was stopped before the gates.
func TestTooLittleTextIsNamedAsTheCause(t *testing.T) {
	const two = "2 sentences that can be shown, and without a model a comment is made of nothing else; share a page with an article, or set OPENAI_API_KEY."
	for name, tt := range map[string]struct{ body, want string }{
		"two sentences": {"<p>" + sentences[0] + "</p><p>" + sentences[4] + "</p>", "The summary has 2 sentences; 10 to 15 are needed. The page has " + two},
		"one sentence":  {"<p>" + sentences[0] + "</p>", "The page has 1 sentence that can be shown"},
		"a list":        {"<ul><li>Tide tables without a full stop, item after item</li></ul>", "The page has 0 sentences that can be shown"},
		"scripts":       {`<div id="root"></div><noscript>You need to enable JavaScript to run this app.</noscript><script>x()</script>`, "The page has no text that can be read"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{mode: telemetry.ModeOff})
			id := r.jobs(t, served(t, tt.body))[0].ID
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			r.reached = func(p point, s commentator.Stage) {
				if p == pointCommitted && s == commentator.StageB {
					stop()
				}
			}
			if _, err := r.Attempt(ctx, id, nil); err == nil {
				t.Fatal("the attempt was not interrupted")
			}
			report := r.finish(t, id)
			if report.Outcome != commentator.OutcomeGateFailed || !strings.Contains(report.GateFailures[0], tt.want) {
				t.Errorf("%s: %q", report.Outcome, report.GateFailures)
			}
			if n := strings.Count(strings.Join(report.GateFailures, "\n"), "The page has"); n != 1 {
				t.Errorf("the cause is named %d times", n)
			}
		})
	}
}

// A model that says too little is not excused by its page.
func TestAModelThatSaysTooLittleIsNotExcused(t *testing.T) {
	v := values{provider: "openai", evidence: &commentator.Evidence{}, facts: &commentator.Facts{}}
	if why := v.tooLittle(10); why != "" {
		t.Error(why)
	}
	v.provider = "offline"
	v.facts.KeyFacts = make([]commentator.Fact, 10)
	if why := v.tooLittle(10); why != "" {
		t.Error(why)
	}
}
