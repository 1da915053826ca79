package pipeline

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack/slacktest"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/analysis/openaitest"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/test/dbtest"
)

// seeds are the canaries of every input of a job.
type seeds struct {
	message, page, title, link, redirect, header, answer, refusal, modelError, arguments, slackError, prompt, panicking, resource []canary
}

func newSeeds() (s seeds, all []canary) {
	plant := func(place string) []canary {
		list := canaries(place)
		all = append(all, list...)
		return list
	}
	one := func(place, kind string) []canary {
		list := []canary{of(canaries(place), kind)}
		all = append(all, list...)
		return list
	}
	return seeds{
		message: plant("message"), page: plant("page"), answer: plant("answer"), refusal: plant("refusal"),
		modelError: plant("model error"), arguments: plant("arguments"), prompt: plant("prompt"), panicking: plant("panic"),
		// Where only some kinds fit in.
		title: one("title", "github"), header: one("header", "gitlab"), slackError: one("slack error", "npm"),
		link: append(one("link", "query"), one("link", "stripe")...), redirect: append(one("redirect", "query"), one("redirect", "jwt")...),
		// Written without what tells them: the name of the attribute says it.
		resource: append(one("resource", "query"), one("resource", "password")...),
	}, all
}

// leakySite serves pages that hold secrets, or whose addresses and answers do.
func (s seeds) site(t *testing.T) string {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/page":
			var b strings.Builder
			fmt.Fprintf(&b, "<html><head><title>How %s leaked</title></head><body><article><h1>Report</h1>", s.title[0].text)
			for _, sentence := range append(sentences[:16:16], asSentences(s.page)...) {
				fmt.Fprintf(&b, "<p>%s</p>", html.EscapeString(sentence))
			}
			fmt.Fprint(&b, "</article></body></html>")
			_, _ = w.Write([]byte(b.String()))
		case "/moved":
			http.Redirect(w, r, "/landed/"+s.redirect[1].text+"?access_token="+s.redirect[0].secret, http.StatusFound)
		case "/odd":
			w.Header().Set("Content-Encoding", s.header[0].text)
			_, _ = w.Write([]byte("x"))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(web.Close)
	return web.URL
}

// emitted is everything that left the process.
type emitted struct {
	outbox, metrics, logs []byte
	page                  []byte   // that a Prometheus gets
	posted                []string // to Slack
}

func (e emitted) all() []byte {
	return bytes.Join([][]byte{e.outbox, e.metrics, e.logs, e.page}, []byte{0})
}

// run takes jobs of every kind through the real pipeline.
func (s seeds) run(t *testing.T, mode telemetry.Mode, content, redacted bool) emitted {
	t.Helper()
	var logs bytes.Buffer
	var handler slog.Handler = slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})
	if redacted {
		handler = redact.New(nil).Handler(handler)
	}
	collector := newReceiver(t)
	r, end, err := openRig(t.Context(), rigConfig{
		database: dbtest.New(t), mode: mode, endpoint: collector.address, keep: true,
		noContent: !content, unredacted: !redacted, logger: slog.New(handler), prometheus: true,
		resource: map[string]string{"api.token": s.resource[0].secret, "db.password": s.resource[1].secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	var out emitted
	model := &openaitest.Handler{}
	slackErrors := s.models(t, r, model, &out)
	web := s.site(t)
	work := func(link string, want commentator.Outcome) {
		t.Helper()
		report := r.finish(t, s.job(t, r, link))
		if report.Outcome != want {
			t.Errorf("%s in mode %s: %s (%s) %v, want %s", link, mode, report.Outcome, report.Error, report.GateFailures, want)
		}
	}

	work(web+"/page", commentator.OutcomeSuccess)
	work("", commentator.OutcomeNoURLs)
	work("http://jane:"+s.link[0].secret+"@127.0.0.1/", commentator.OutcomeError)
	work(web+"/gone/"+url.PathEscape(s.link[1].text)+"?access_token="+s.link[0].secret, commentator.OutcomeError)
	work(web+"/moved", commentator.OutcomeError)
	work(web+"/odd", commentator.OutcomeError)
	model.Fail(openaitest.Fault{}, openaitest.Fault{Content: "No JSON, but " + texts(s.answer)})
	work(web+"/page?1", commentator.OutcomeSuccess)
	model.Fail(openaitest.Fault{Refusal: "I shall not say " + texts(s.refusal)})
	work(web+"/page?2", commentator.OutcomeError)
	invented := openaitest.Fault{Content: `{"key_facts":[{"fact":"One.","supported_by_snippet_ids":["a name that the model invented"]}],"unknowns":[],"coverage_assessment":""}`}
	model.Fail(invented, invented)
	work(web+"/page?6", commentator.OutcomeSuccess) // at the second attempt
	model.Fail(openaitest.Fault{Status: http.StatusBadRequest, Code: "bad", Message: "Wrong: " + texts(s.modelError)})
	work(web+"/page?3", commentator.OutcomeError)
	slackErrors(s.slackError[0].text)
	work(web+"/page?4", commentator.OutcomeError)
	slackErrors("")
	r.Analyser = faulty{r.Analyser, func(context.Context) error { panic("with " + texts(s.panicking)) }}
	work(web+"/page?5", commentator.OutcomeError)

	out.outbox = bytes.Join(r.bodies(t), nil)
	scraped := httptest.NewRecorder()
	r.Telemetry.MetricsHandler().ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	out.page = scraped.Body.Bytes()
	if err := end(); err != nil { // sends the metrics
		t.Fatal(err)
	}
	out.metrics, out.logs = bytes.Join(collector.metrics, nil), logs.Bytes()
	return out
}

// job makes a job of a message that holds secrets.
func (s seeds) job(t *testing.T, r *rig, link string) int64 {
	t.Helper()
	messageNumber++
	var links []string
	if link != "" {
		links = []string{link}
	}
	m := commentator.Message{
		Channel: "C0123456789", TS: fmt.Sprintf("1700000000.%06d", messageNumber),
		User: of(s.message, "person").secret, Text: "look at " + link + " " + texts(s.message), ReceivedAt: time.Now(),
	}
	jobs, _, err := r.Store.Ingest(t.Context(), m, links, false, func(context.Context, *sql.Tx, int64) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return jobs[0].ID
}

// models gives the rig a model whose prompt and tool calls hold secrets, and a Slack
// that keeps what is posted. The function that it returns makes Slack refuse.
func (s seeds) models(t *testing.T, r *rig, model *openaitest.Handler, out *emitted) func(code string) {
	t.Helper()
	server := httptest.NewServer(searching{model, texts(s.arguments)})
	t.Cleanup(server.Close)
	own := *data.Default()
	own.StageA.Content += "\nNever say " + texts(s.prompt)
	analyser, err := analysis.NewOpenAI(analysis.OpenAIConfig{
		APIKey: "sk-test", BaseURL: server.URL + "/v1", ModelStageA: "gpt-4o", ModelStageB: "gpt-4o",
	}, &own)
	if err != nil {
		t.Fatal(err)
	}
	r.Analyser = analyser
	var mu sync.Mutex
	var refusal string
	web := slacktest.NewTestServer(func(c slacktest.Customize) {
		c.Handle("/chat.postMessage", func(w http.ResponseWriter, request *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if refusal != "" {
				fmt.Fprintf(w, `{"ok":false,"error":%q}`, refusal)
				return
			}
			out.posted = append(out.posted, request.FormValue("text"))
			fmt.Fprint(w, `{"ok":true,"channel":"C0123456789","ts":"1700000001.000200"}`)
		})
	})
	web.Start()
	t.Cleanup(web.Stop)
	r.Poster = slack.NewPoster(slack.PosterConfig{Posts: r.Store, API: slack.NewAPI(slack.APIConfig{
		Token: "xoxb-test", APIURL: web.GetAPIURL(), Transport: telemetry.SlackTransport(nil),
	})})
	return func(code string) {
		mu.Lock()
		defer mu.Unlock()
		refusal = code
	}
}

// searching is a model that searches for secrets.
type searching struct {
	*openaitest.Handler
	query string
}

func (s searching) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	s.Handler.ServeHTTP(rec, r)
	var answer struct {
		Choices []struct{ Message openaitest.Message }
	}
	body := rec.Body.Bytes()
	if json.Unmarshal(body, &answer) == nil && len(answer.Choices) == 1 && len(answer.Choices[0].Message.ToolCalls) == 1 {
		old, err1 := json.Marshal(answer.Choices[0].Message.ToolCalls[0].Function.Arguments)
		arguments, err2 := json.Marshal(map[string]string{"query": s.query})
		fresh, err3 := json.Marshal(string(arguments))
		if err1 == nil && err2 == nil && err3 == nil {
			body = bytes.Replace(body, old, fresh, 1)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body)
}

// Secrets of every kind go into every input: nothing that leaves the process holds one of
// them, whatever is recorded. The comment goes to Slack as it is.
func TestNoSecretLeaksInAnyMode(t *testing.T) {
	s, all := newSeeds()
	reference := s.run(t, telemetry.ModeOff, true, true).posted
	for _, mode := range []telemetry.Mode{telemetry.ModeOff, telemetry.ModeTracking, telemetry.ModeTracing} {
		for _, content := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s content=%v", mode, content), func(t *testing.T) {
				out := s.run(t, mode, content, true)
				if (len(out.outbox) > 0) != (mode != telemetry.ModeOff) || (len(out.metrics) > 0) != (mode != telemetry.ModeOff) || len(out.logs) == 0 || len(out.page) == 0 {
					t.Errorf("%d bytes in the outbox, %d of metrics, %d of logs, %d for Prometheus", len(out.outbox), len(out.metrics), len(out.logs), len(out.page))
				}
				for name, emitted := range map[string][]byte{"the outbox": out.outbox, "a metric": out.metrics, "the log": out.logs, "the page of Prometheus": out.page} {
					for _, c := range all {
						if n := bytes.Index(emitted, []byte(c.secret)); n >= 0 {
							t.Errorf("%s holds the %s of %s: …%s…", name, c.kind, c.place, emitted[max(0, n-80):min(len(emitted), n+80)])
						}
					}
				}
				for _, said := range []string{"I shall not say ", "a name that the model invented"} {
					if got := bytes.Contains(out.outbox, []byte(said)); got != (content && mode != telemetry.ModeOff) {
						t.Errorf("what a model said in place of an answer (%s) is recorded: %v", said, got)
					}
				}
				if diff := cmp.Diff(reference, out.posted); diff != "" {
					t.Errorf("posted comments (-off +got):\n%s", diff)
				}
			})
		}
	}
	for _, c := range s.page {
		if strings.Contains(strings.Join(reference, ""), c.secret) {
			return
		}
	}
	t.Error("no comment holds a secret of the page: it is not shown that comments are posted as they are")
}

// Without redaction each of these secrets comes out somewhere: the test above searches
// where there is something to find.
func TestWithoutRedactionEverySecretLeaks(t *testing.T) {
	s, all := newSeeds()
	out := s.run(t, telemetry.ModeTracing, true, false)
	everything := out.all()
	for _, c := range all {
		if !bytes.Contains(everything, []byte(c.secret)) {
			t.Errorf("the %s of %s is nowhere", c.kind, c.place)
		}
	}
	for name, emitted := range map[string][]byte{"outbox": out.outbox, "metrics": out.metrics, "logs": out.logs, "page of Prometheus": out.page} {
		found := 0
		for _, c := range all {
			if bytes.Contains(emitted, []byte(c.secret)) {
				found++
			}
		}
		if t.Logf("%s: %d of %d secrets", name, found, len(all)); found == 0 {
			t.Errorf("no secret in the %s", name)
		}
	}
}
