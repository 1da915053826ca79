//go:build linux && realserver

package slackfake_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/technoshare/commentator/test/sandbox"
	"github.com/technoshare/commentator/test/slackfake"
)

// builtWorker builds the worker and returns the top of the checkout and the program.
func builtWorker(t *testing.T) (top, bin string) {
	t.Helper()
	top, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	bin = filepath.Join(t.TempDir(), "commentator")
	build := exec.Command("go", "build", "-o", bin, "./cmd/commentator")
	build.Dir = top
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the worker: %v\n%s", err, out)
	}
	return top, bin
}

// A person shares a link in the emulator, which signs the event and posts it to the worker: the
// comment is in the thread, once, whatever is delivered again.
func TestWorkerCommentsOnTheEmulator(t *testing.T) {
	top, bin := builtWorker(t)
	dir := t.TempDir()
	site := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(top, "data", "demo", "articles"))))
	defer site.Close()
	events, err := sandbox.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	address := emulator(t, "http://"+events+"/slack/events")
	log := filepath.Join(dir, "worker.log")
	serve := func() func() {
		kill := run(t, log, []string{
			"DB_PATH=" + filepath.Join(dir, "db.sqlite"), "RETRIEVAL_ALLOW_HOSTS=loopback", "SLACK_API_URL=" + address, "SLACK_BOT_TOKEN=" + emulatedBot,
			"SLACK_SIGNING_SECRET=" + emulatedSecret, "SLACK_EVENTS_ADDR=" + events, "TECHNOSHARE_CHANNEL_ID=" + emulatedChannel,
		}, bin, "serve")
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			res, err := http.Post("http://"+events+"/slack/events", "application/json", strings.NewReader("{}"))
			if err == nil {
				res.Body.Close()
				if res.StatusCode != http.StatusUnauthorized {
					t.Errorf("an event without a signature is answered %s", res.Status)
				}
				return kill
			}
			if time.Now().After(deadline) {
				text, _ := os.ReadFile(log)
				t.Fatalf("the worker takes no events: %v\n%s", err, text)
			}
		}
	}
	kill := serve()
	person := slack.New(emulatedPerson, slack.OptionAPIURL(address))
	link := site.URL + "/write-ahead-logging.html"
	_, ts, err := person.PostMessageContext(t.Context(), emulatedChannel, slack.MsgOptionText("Look: <"+link+">", false))
	if err != nil {
		t.Fatal(err)
	}
	app := slack.New(emulatedBot, slack.OptionAPIURL(address))
	comments := func(thread string) (list []slack.Message) {
		messages, _, _, err := app.GetConversationRepliesContext(t.Context(), &slack.GetConversationRepliesParameters{
			ChannelID: emulatedChannel, Timestamp: thread, IncludeAllMetadata: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if m.User == emulatedUser {
				list = append(list, m)
			}
		}
		return list
	}
	eventually(t, "the comment", func() bool { return len(comments(ts)) > 0 })
	got := comments(ts)[0]
	if got.ThreadTimestamp != ts || got.Metadata.EventType != "technoshare_comment" || got.Metadata.EventPayload["job_id"] == nil {
		t.Errorf("in thread %q, with metadata %+v", got.ThreadTimestamp, got.Metadata)
	}

	// The same message again, as Slack repeats it, before and after the worker was killed.
	body, err := json.Marshal(map[string]any{
		"type": "event_callback", "team_id": "T000000001", "event_id": "EvREPEATED", "event_time": time.Now().Unix(),
		"event": map[string]any{"type": "message", "channel": emulatedChannel, "user": "U000000001", "ts": ts, "text": "Look: <" + link + ">"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []func(){func() {}, func() { kill(); kill = serve() }} {
		again()
		r, err := slackfake.SignedRequest(t.Context(), "http://"+events+"/slack/events", emulatedSecret, time.Now(), body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Slack-Retry-Num", "1")
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("the repeated event: %v, %v", res, err)
		}
		res.Body.Close()
	}
	// A second link is answered after all that: what would have come for the first is there, too.
	_, other, err := person.PostMessageContext(t.Context(), emulatedChannel, slack.MsgOptionText("And <"+site.URL+"/trace-sampling.html>", false))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second comment", func() bool { return len(comments(other)) > 0 })
	if n := len(comments(ts)); n != 1 {
		t.Errorf("%d comments are in the thread of the first link", n)
	}
}
