package slack

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
)

func newHistory(t *testing.T, answer http.HandlerFunc) *History {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return NewHistory(HistoryConfig{Token: "xoxb-hush", APIURL: server.URL + "/api/", Now: func() time.Time { return received }})
}

func TestHistoryReadsAPage(t *testing.T) {
	var form url.Values
	h := newHistory(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form = r.Form
		w.Header().Set("Date", "Mon, 23 Nov 2026 12:00:07 GMT")
		if r.URL.Path != "/api/conversations.history" || r.Header.Get("Authorization") != "Bearer xoxb-hush" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"ok":true,"has_more":true,"response_metadata":{"next_cursor":"bmV4dA=="},"messages":[
			{"type":"message","user":"U1","text":"third","ts":"3.0","edited":{"user":"U1","ts":"4.0"},"blocks":{"not":"a list"}},
			{"type":"message","user":7,"ts":"2.5"},
			{"type":"message","user":"U2","text":"second","ts":"2.0","thread_ts":"2.0","reply_count":1},
			{"type":"message","subtype":"tombstone","user":"USLACKBOT","text":"This message was deleted.","ts":"1.5"},
			{"type":"message","user":"U1","text":"first","ts":"1.0","bot_id":"B1"}]}`))
	})
	page, err := h.Page(t.Context(), Range{Channel: "C1", Oldest: "0.5", Latest: "9.0", Cursor: "Zmlyc3Q=", Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"channel": {"C1"}, "oldest": {"0.5"}, "latest": {"9.0"}, "cursor": {"Zmlyc3Q="}, "limit": {"200"}, "inclusive": {"true"}}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	said := func(ts, user, text string) commentator.Message {
		return commentator.Message{Channel: "C1", TS: ts, User: user, Text: text, ReceivedAt: received}
	}
	wantPage := Page{Next: "bmV4dA==", Unread: 1, At: received.Add(7 * time.Second), Messages: []Posted{
		{Message: said("1.0", "U1", "first"), Bot: true},
		{Message: said("1.5", "USLACKBOT", "This message was deleted."), SubType: "tombstone", Bot: true},
		{Message: said("2.0", "U2", "second")},
		{Message: said("3.0", "U1", "third"), EditedTS: "4.0"},
	}}
	if diff := cmp.Diff(wantPage, page); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestHistorySaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		code, want string
		final      bool
	}{
		{"not invited", `{"ok":false,"error":"not_in_channel"}`, 200, "slack_not_in_channel", "invite the app to the channel", true},
		{"no scope", `{"ok":false,"error":"missing_scope","needed":"channels:history"}`, 200, "slack_missing_scope", "the scope channels:history", true},
		{"bad token", `{"ok":false,"error":"invalid_auth"}`, 200, "slack_invalid_auth", "check SLACK_BOT_TOKEN", true},
		{"overloaded", `{"ok":false,"error":"service_unavailable"}`, 200, "slack_service_unavailable", "C1", false},
		{"server error", ``, 503, "slack_http_503", "HTTP 503 Service Unavailable", false},
		{"proxy", `<html>`, 200, "slack_answer", "not JSON", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHistory(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			})
			_, err := h.Page(t.Context(), Range{Channel: "C1", Limit: 1})
			if commentator.ErrorCode(err) != tt.code || commentator.IsFinal(err) != tt.final || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("error %v (%s, final %v)", err, commentator.ErrorCode(err), commentator.IsFinal(err))
			}
			if Refused(err) != tt.final { // here they are the same
				t.Errorf("Slack's own refusal: %v, of %v", Refused(err), err)
			}
		})
	}
	unreachable := NewHistory(HistoryConfig{Token: "xoxb-hush", APIURL: "http://127.0.0.1:1/"})
	if _, err := unreachable.Page(t.Context(), Range{Channel: "C1"}); commentator.ErrorCode(err) != "slack_unreachable" || commentator.IsFinal(err) {
		t.Errorf("unreachable: %v", err)
	}
}

func TestHistoryIsToldToWait(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "": 30 * time.Second, "soon": 30 * time.Second} {
		h := newHistory(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		_, err := h.Page(t.Context(), Range{Channel: "C1", Limit: 1})
		var limited *RateLimited
		if !errors.As(err, &limited) || limited.After != want {
			t.Errorf("Retry-After %q: %v", header, err)
		}
	}
}

func TestIdentity(t *testing.T) {
	h := newHistory(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/auth.test" {
			_, _ = w.Write([]byte(`{"ok":true,"user":"bot","user_id":"U0BOT","bot_id":"B1"}`))
		}
	})
	if user, err := h.Identity(t.Context()); err != nil || user != "U0BOT" {
		t.Errorf("%q, %v", user, err)
	}
}
