package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// startSlackAPI starts what the commands need of Slack's Web API, in which channel
// C0123456789 has a message with a link to article, an older one whose link was shared before, chatter, and a
// bot's.
// It returns the address, which ends in a slash.
func startSlackAPI(t *testing.T, article string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		switch {
		case r.Header.Get("Authorization") != "Bearer xoxb-test":
			fmt.Fprint(w, `{"ok":false,"error":"invalid_auth"}`)
		case r.URL.Path == "/api/auth.test":
			fmt.Fprint(w, `{"ok":true,"user_id":"U0BOT"}`)
		case r.URL.Path == "/api/conversations.history" && r.Form.Get("channel") != "C0123456789":
			fmt.Fprint(w, `{"ok":false,"error":"channel_not_found"}`)
		case r.URL.Path == "/api/conversations.history" && r.Form.Get("oldest") != "":
			fmt.Fprint(w, `{"ok":true,"messages":[]}`) // nothing is missed
		case r.URL.Path == "/api/conversations.history":
			fmt.Fprintf(w, `{"ok":true,"messages":[
				{"type":"message","user":"U0BOT","text":"<%[1]s/own>","ts":"1700000004.000100"},
				{"type":"message","user":"U2","text":"good morning","ts":"1700000003.000100"},
				{"type":"message","user":"U1","text":"look: <%[1]s/latest?x=1&amp;y=2|an article> <%[1]s/2>","ts":"1700000002.000100"},
				{"type":"message","user":"U1","text":"<%[1]s/older>","ts":"1700000001.000100"},
				{"type":"message","user":"U2","text":"<%[1]s/older>","ts":"1700000000.000100"}]}`, article)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/api/"
}

// waitForAddress waits until somebody listens: wait_for_address HOST:PORT.
func waitForAddress(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: wait_for_address HOST:PORT")
	}
	for deadline := time.Now().Add(longest); time.Now().Before(deadline); {
		conn, err := net.Dial("tcp", strings.TrimPrefix(args[0], "http://"))
		if err == nil {
			ts.Check(conn.Close())
			return
		}
		time.Sleep(25 * time.Millisecond) // another process is polled
	}
	ts.Fatalf("nobody listens at %s after %v", args[0], longest)
}
