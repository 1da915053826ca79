package pipeline

import (
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
