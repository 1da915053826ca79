package demo_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/data/demo"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/gates"
	"github.com/technoshare/commentator/internal/retrieval"
	"github.com/technoshare/commentator/internal/slack"
)

// Every input goes through event parsing, retrieval, offline analysis and gates, and becomes
// what the committed table says.
func TestInputsBecomeWhatTheTableSays(t *testing.T) {
	d := load(t, ".")
	site := httptest.NewServer(d.Handler())
	defer site.Close()
	caches, err := os.UserCacheDir()
	if err != nil {
		caches = t.TempDir()
	}
	r, err := retrieval.New(retrieval.Config{
		AllowHosts: []string{"loopback"}, PDFCacheDir: filepath.Join(caches, "technoshare-commentator-test", "pdf"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defaults := data.Default()
	for _, in := range d.Inputs {
		t.Run(in.Name, func(t *testing.T) {
			links := linksOf(t, in, site.URL)
			if len(links) == 0 {
				if len(in.Jobs) != 1 || in.Jobs[0].Outcome != string(commentator.OutcomeNoURLs) {
					t.Errorf("a message without a link has jobs %+v", in.Jobs)
				}
				return
			}
			if len(links) != len(in.Jobs) {
				t.Fatalf("links %q but %d jobs in the table", links, len(in.Jobs))
			}
			for i, link := range links {
				outcome, code, detail := judge(t, r, defaults, link)
				if want := in.Jobs[i]; outcome != want.Outcome || code != want.ErrorType {
					t.Errorf("%s: outcome %s %s, want %s %s\n%s", link, outcome, code, want.Outcome, want.ErrorType, detail)
				}
			}
		})
	}
}

func load(t *testing.T, dir string) *demo.Demo {
	t.Helper()
	d, err := demo.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func linksOf(t *testing.T, in demo.Input, base string) []string {
	t.Helper()
	if in.Path != "" {
		return []string{base + in.Path}
	}
	event := in.FillEvent(base)
	if bytes.Contains(event, []byte(demo.Base)) {
		t.Errorf("%s still holds %s", in.Event, demo.Base)
	}
	m, err := slack.ParseEvent(event, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return slack.Links(m.Text, 3)
}

// judge does what the worker does with a link up to the gates.
func judge(t *testing.T, r *retrieval.Retriever, d *data.Data, link string) (outcome, code, detail string) {
	t.Helper()
	e, err := r.Retrieve(t.Context(), link)
	if err != nil {
		if !commentator.IsFinal(err) {
			t.Errorf("%s: the error is not final, so the demo would wait for retries: %v", link, err)
		}
		return string(commentator.OutcomeError), commentator.ErrorCode(err), err.Error()
	}
	offline := analysis.NewOffline(d)
	f, _, err := offline.ExtractFacts(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := offline.Compose(t.Context(), e, f)
	if err != nil {
		t.Fatal(err)
	}
	var why []string
	for _, failure := range gates.Check(c, d.ThemeNames(), gates.DefaultLimits).Failures {
		why = append(why, failure.Message)
	}
	if len(why) > 0 {
		return string(commentator.OutcomeGateFailed), "", strings.Join(why, "\n")
	}
	if e.Coverage != commentator.CoverageFull {
		t.Errorf("%s: coverage %s: %q", link, e.Coverage, e.Errors)
	}
	return string(commentator.OutcomeSuccess), "", ""
}

// The demo shows every outcome, enough documents, and one job with a model.
func TestCastIsComplete(t *testing.T) {
	d := load(t, ".")
	if len(d.Documents) < 8 {
		t.Errorf("%d documents, want 8 or more", len(d.Documents))
	}
	outcomes, models := map[string]int{}, 0
	for _, in := range d.Inputs {
		if in.Model {
			models++
		}
		for _, job := range in.Jobs {
			outcomes[job.Outcome]++
			if job.Outcome == string(commentator.OutcomeError) != (job.ErrorType != "") {
				t.Errorf("%s: outcome %s with error type %q", in.Name, job.Outcome, job.ErrorType)
			}
		}
	}
	for outcome, least := range map[string]int{"success": 6, "gate_failed": 2, "error": 2, "no_urls": 1} {
		if outcomes[outcome] < least {
			t.Errorf("%d jobs end with %s, want %d or more", outcomes[outcome], outcome, least)
		}
	}
	if models != 1 {
		t.Errorf("%d inputs use the model, want 1", models)
	}
}

func TestHandlerAnswers404ForEverythingElse(t *testing.T) {
	w := httptest.NewRecorder()
	load(t, ".").Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/manifest.yaml", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("status %d", w.Code)
	}
}

func TestLoadReportsEveryProblem(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		demo.ManifestFile: "documents:\n  - {path: no-slash, file: gone.html, content_type: text/html}\ninputs:\n  - {name: nothing}\n  - {name: a, path: /a}\n",
		demo.ExpectedFile: "kinds: {ok: {outcome: success}}\njobs: {a: [unknown], stranger: [ok]}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, err := demo.Load(dir)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"no-slash"`, "gone.html", `"nothing"`, `"unknown"`, `"stranger"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %s", err, want)
		}
	}
}
