package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/slack"
)

// slackThread is a Slack that keeps what is posted to one thread.
type slackThread struct {
	mu        sync.Mutex
	texts     map[string]string // of each reply, by its timestamp
	reactions []string
	posts     int
}

func (s *slackThread) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch method := path.Base(r.URL.Path); method {
	case "auth.test":
		fmt.Fprint(w, `{"ok":true,"user_id":"U0BOT"}`)
	case "conversations.history":
		fmt.Fprint(w, `{"ok":true,"messages":[]}`)
	case "chat.postMessage":
		s.posts++
		ts := fmt.Sprintf("1700000009.%06d", s.posts)
		s.texts[ts] = r.Form.Get("text")
		fmt.Fprintf(w, `{"ok":true,"ts":%q}`, ts)
	case "chat.delete":
		delete(s.texts, r.Form.Get("ts"))
		fmt.Fprint(w, `{"ok":true}`)
	case "reactions.add":
		s.reactions = append(s.reactions, r.Form.Get("timestamp")+" "+r.Form.Get("name"))
		fmt.Fprint(w, `{"ok":true}`)
	default:
		fmt.Fprintf(w, `{"ok":false,"error":"no %s here"}`, method)
	}
}

func (s *slackThread) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Values(s.texts)), "\n") + strings.Join(s.reactions, "\n")
}

// serve posts a comment, tells people of the link that gets none, and takes both back when the
// message is deleted.
func TestServeAnswersInTheThreadAndTakesBack(t *testing.T) {
	page, _, release := slowSite(t)
	close(release)
	for notice, want := range map[string]string{
		"reply":    `(?s)^\*tldr\*.*No comment on http://[0-9.:]+/: the page does not exist\.$`,
		"reaction": `(?s)^\*tldr\*.*1700000001\.000100 eyes$`,
		"off":      `(?s)^\*tldr\*`,
	} {
		t.Run(notice, func(t *testing.T) {
			t.Parallel()
			gone := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(gone.Close)
			thread := &slackThread{texts: map[string]string{}}
			api := httptest.NewServer(thread)
			t.Cleanup(api.Close)
			s := startServe(t, []string{
				"DB_PATH=" + filepath.Join(t.TempDir(), "db.sqlite"), "RETRIEVAL_ALLOW_HOSTS=loopback", "SLACK_BOT_TOKEN=xoxb-test",
				"SLACK_API_URL=" + api.URL + "/api/", "SLACK_SIGNING_SECRET=s3cret", "SLACK_EVENTS_ADDR=127.0.0.1:0",
				"FAILURE_NOTICE=" + notice, "FAILURE_REACTION=eyes",
			})
			address := await(t, `"address":"(http://[^"]+/slack/events)"`, s.log.String)
			send := func(id, event string) {
				t.Helper()
				body := []byte(`{"type":"event_callback","team_id":"T1","api_app_id":"A1","event_id":"` + id + `","event":` + event + `}`)
				deadline := time.Now().Add(patience)
				for try := 0; ; try++ { // as Slack does when there was no time to write the event
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, bytes.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					req.Header = slack.Sign("s3cret", time.Now(), body)
					req.Header.Set("Content-Type", "application/json")
					if try > 0 {
						req.Header.Set("X-Slack-Retry-Num", strconv.Itoa(try))
					}
					answer, err := http.DefaultClient.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					if answer.Body.Close(); answer.StatusCode == http.StatusOK {
						return
					}
					if answer.StatusCode != http.StatusServiceUnavailable || time.Now().After(deadline) {
						t.Fatalf("%s: %s", event, answer.Status)
					}
				}
			}
			send("Ev1", `{"type":"message","channel":"C0123456789","user":"U1","ts":"1700000001.000100","text":"<`+page+`> <`+gone.URL+`/>"}`)
			await(t, want, thread.String)
			await(t, `(?s)(job ended.*){2}`, s.log.String)
			send("Ev2", `{"type":"message","subtype":"message_deleted","channel":"C0123456789","ts":"1700000002.000100","deleted_ts":"1700000001.000100","event_ts":"1700000002.000100"}`)
			await(t, `^([0-9.]+ eyes)?$`, thread.String)
			s.stop()
			s.ended(t)
		})
	}
}

// What Slack keeps waiting is left to the next start when the time for the end is over.
func TestTheEndDoesNotWaitForSlackForEver(t *testing.T) {
	var log lines
	w := &worker{app: &app{log: slog.New(slog.NewTextHandler(&log, nil))}}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	// Nothing is begun: the time that is over went by with jobs.
	if err := w.close(over); err != nil || log.String() != "" {
		t.Errorf("%v, logged %q", err, log.String())
	}
	answered := make(chan struct{})
	w.slack.beside.Go(func() { <-answered })
	closed := make(chan error, 1)
	go func() { closed <- w.close(over) }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it waits for Slack")
	}
	if !strings.Contains(log.String(), "Slack did not answer in time") {
		t.Errorf("logged %q", log.String())
	}
	close(answered)
	if err := w.slack.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// What replay prints goes to nobody in Slack, also when replay is interrupted and serve ends its
// job. Of the jobs of others that replay ends people are told by the next serve.
func TestReplayIsQuietInSlackAndKeepsWhatOthersOwe(t *testing.T) {
	page, asked, release := slowSite(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(gone.Close)
	thread := &slackThread{texts: map[string]string{}}
	api := httptest.NewServer(thread)
	t.Cleanup(api.Close)
	dir := t.TempDir()
	database := filepath.Join(dir, "db.sqlite")
	environ := []string{
		"DB_PATH=" + database, "RETRIEVAL_ALLOW_HOSTS=loopback", "SLACK_BOT_TOKEN=xoxb-test", "SLACK_API_URL=" + api.URL + "/api/", "FAILURE_NOTICE=reply",
	}
	event := func(id, ts, link string) string {
		file := filepath.Join(dir, id+".json")
		text := `{"type":"event_callback","event_id":"` + id + `","event":{"type":"message","channel":"C0123456789","user":"U1","ts":"` + ts + `","text":"<` + link + `>"}}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}

	ctx, interrupt := context.WithCancel(t.Context())
	ended, said := make(chan int, 1), &lines{}
	go func() {
		ended <- run(ctx, []string{"replay", "--event", event("Ev1", "1700000001.000100", page)}, environ, strings.NewReader(""), io.Discard, said)
	}()
	<-asked
	interrupt()
	if code := <-ended; code == exitOK || !strings.Contains(said.String(), "interrupted; job 1 ") {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	close(release)
	runCommand(t, environ, "replay", "--enqueue", "--event", event("Ev2", "1700000002.000100", gone.URL+"/"))
	for readJob(t, database, 2).State != commentator.JobFinal {
		runCommand(t, environ, "replay", page+"?other") // works the queue off meanwhile
	}
	if j := readJob(t, database, 2); j.Outcome != commentator.OutcomeError {
		t.Errorf("job %+v", j)
	}
	s := startServe(t, append(environ, "SLACK_SIGNING_SECRET=s3cret", "SLACK_EVENTS_ADDR=127.0.0.1:0"))
	await(t, `^success$`, func() string { return string(readJob(t, database, 1).Outcome) })
	await(t, `^No comment on http://[0-9.:]+/: the page does not exist\.$`, thread.String)
	s.stop()
	s.ended(t)
	if thread.posts != 1 {
		t.Errorf("%d posts: %s", thread.posts, thread)
	}
}
