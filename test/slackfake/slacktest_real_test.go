//go:build linux && realserver

package slackfake_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack/slacktest"
)

// The worker over Socket Mode, with the server that slack-go's own tests use: it acknowledges
// every envelope, one that is broken and one that is unknown too, and comments once on a link
// that is delivered again.
func TestWorkerCommentsOverSocketModeOfSlacktest(t *testing.T) {
	top, bin := builtWorker(t)
	site := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(top, "data", "demo", "articles"))))
	defer site.Close()
	var mu sync.Mutex
	var posts []string // threads of what was posted
	server := slacktest.NewTestServer(func(c slacktest.Customize) {
		c.Handle("/chat.postMessage", func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			posts = append(posts, r.FormValue("thread_ts"))
			fmt.Fprintf(w, `{"ok":true,"channel":%q,"ts":"1800000000.%06d"}`, r.FormValue("channel"), len(posts))
		})
		for _, read := range []string{"/conversations.history", "/conversations.replies"} {
			c.Handle(read, func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, `{"ok":true,"messages":[],"has_more":false}`)
			})
		}
	})
	server.Start()
	defer server.Stop()
	go func() {
		for range server.SeenFeed { // whoever does not read it stops the server
		}
	}()
	run(t, filepath.Join(t.TempDir(), "worker.log"), []string{
		"DB_PATH=" + filepath.Join(t.TempDir(), "db.sqlite"), "RETRIEVAL_ALLOW_HOSTS=loopback", "SLACK_API_URL=" + server.GetAPIURL(),
		"SLACK_BOT_TOKEN=xoxb-test", "SLACK_APP_TOKEN=xapp-test", "TECHNOSHARE_CHANNEL_ID=C0123456789",
	}, bin, "serve")

	const ts = "1700000000.000100"
	message := map[string]any{"type": "message", "channel": "C0123456789", "user": "U0SOMEBODY", "ts": ts, "text": "Look: <" + site.URL + "/write-ahead-logging.html>"}
	broken := map[string]any{"type": "message", "channel": "C0123456789", "user": "U0SOMEBODY", "ts": "1700000000.000200", "text": "x", "blocks": "none"}
	for i, e := range []struct {
		event map[string]any
		id    string
		retry int
	}{
		{message, "Ev1", 0},
		{message, "Ev1", 1},
		{message, "Ev2", 0}, // another delivery of the same message
		{broken, "Ev3", 0},
		{map[string]any{"type": "no_such_event"}, "Ev4", 0},
	} {
		envelope := fmt.Sprintf("envelope-%d", i)
		body, err := json.Marshal(map[string]any{
			"type": "events_api", "envelope_id": envelope, "accepts_response_payload": false, "retry_attempt": e.retry, "retry_reason": "timeout",
			"payload": map[string]any{"type": "event_callback", "team_id": "T1", "event_id": e.id, "event_time": 1, "event": e.event},
		})
		if err != nil {
			t.Fatal(err)
		}
		server.SendToWebsocket(string(body))
		eventually(t, envelope+" to be acknowledged", func() bool {
			return strings.Contains(strings.Join(server.GetSeenInboundMessages(), "\n"), `"envelope_id":"`+envelope+`"`)
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(posts)
	}
	eventually(t, "the comment", func() bool { return count() > 0 })
	server.SendToWebsocket(fmt.Sprintf(`{"type":"events_api","envelope_id":"last","payload":{"type":"event_callback","team_id":"T1","event_id":"Ev5","event_time":1,`+
		`"event":{"type":"message","channel":"C0123456789","user":"U0SOMEBODY","ts":"1700000001.000100","text":"And <%s/trace-sampling.html>"}}}`, site.URL))
	eventually(t, "the second comment", func() bool { return count() > 1 })
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(posts, " "); got != ts+" 1700000001.000100" {
		t.Errorf("posted in the threads %s", got)
	}
}

func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !met(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("wait for %s", what)
		}
	}
}
