package slack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
)

var received = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestParseEventReadsAMessageEnvelope(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "message.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseEvent(raw, received)
	if err != nil {
		t.Fatal(err)
	}
	want := commentator.Message{
		Channel: "C0123456789", TS: "1700000000.000100", ThreadTS: "1699999999.000200", User: "U0123456789",
		Text: "Look: <https://example.com/a?x=1&amp;y=2|a page>", EventID: "Ev0123456789", ReceivedAt: received,
	}
	if diff := cmp.Diff(want, got.Message); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestParseEventSaysWhatIsWrong(t *testing.T) {
	inner := func(event string) string { return `{"type":"event_callback","event_id":"Ev1","event":` + event + `}` }
	tests := []struct{ name, raw, code, want string }{
		{"empty", " ", CodeMalformedEvent, "it is empty"},
		{"no JSON", "{\n  \"type\": nope\n}", CodeMalformedEvent, "line 2, column 12"},
		{"cut off", `{"type":"event_callback",`, CodeMalformedEvent, "it ends too early"},
		{"two values", `{} {}`, CodeMalformedEvent, "text after the closing brace"},
		{"a list", `[]`, CodeMalformedEvent, "{…}}, found: array"},
		{"handshake", `{"type":"url_verification","challenge":"x"}`, CodeUnsupportedEvent, `its type is "url_verification"`},
		{"bare event", `{"type":"message","channel":"C1","ts":"1.0","text":"x"}`, CodeUnsupportedEvent, "give the whole envelope"},
		{"no event", `{"type":"event_callback"}`, CodeMalformedEvent, "missing or null event"},
		{"unknown event", inner(`{"type":"no_such_event"}`), CodeUnsupportedEvent, "no_such_event"},
		{"reaction", inner(`{"type":"reaction_added","user":"U1","reaction":"eyes"}`), CodeUnsupportedEvent, `"reaction_added", want a new message`},
		{
			"changed", inner(`{"type":"message","subtype":"message_changed","channel":"C1","ts":"1.0","message":{"type":"message","text":"x","ts":"1.0"}}`),
			CodeUnsupportedEvent, "message_changed",
		},
		{"deleted", inner(`{"type":"message","subtype":"message_deleted","channel":"C1","ts":"1.0","deleted_ts":"1.0"}`), CodeUnsupportedEvent, "message_deleted"},
		{"bot", inner(`{"type":"message","bot_id":"B1","channel":"C1","ts":"1.0","text":"x"}`), CodeUnsupportedEvent, "a bot wrote it"},
		{"joined", inner(`{"type":"message","subtype":"channel_join","channel":"C1","ts":"1.0","text":"x"}`), CodeUnsupportedEvent, `subtype "channel_join"`},
		{"no channel", inner(`{"type":"message","ts":"1.0","text":"x"}`), CodeMalformedEvent, "event.channel is missing"},
		{"no ts", inner(`{"type":"message","channel":"C1","text":"x"}`), CodeMalformedEvent, "event.ts is missing"},
		{"wrong kind of field", inner(`{"type":"message","channel":7,"ts":"1.0"}`), CodeMalformedEvent, "channel"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseEvent([]byte(tt.raw), received)
			if commentator.ErrorCode(err) != tt.code || !commentator.IsFinal(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v (%s), want %s with %q", err, commentator.ErrorCode(err), tt.code, tt.want)
			}
		})
	}
}

func TestParseEventNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _ = ParseEvent([]byte(`{"type":"event_callback","event":`+rapid.String().Draw(t, "event")+`}`), received)
	})
}

func TestLinks(t *testing.T) {
	tests := []struct {
		name, text string
		limit      int
		want       []string
	}{
		{"none", "nothing here, not even ftp://x or a@b.c", 3, nil},
		{"marked up", "see <https://a.example/x|the page> and <https://b.example>", 3, []string{"https://a.example/x", "https://b.example"}},
		{"entities", "<https://a.example/?x=1&amp;y=2>", 3, []string{"https://a.example/?x=1&y=2"}},
		{"not links", "<@U1> <#C1|general> <!here> <mailto:a@b.example|a@b.example>", 3, nil},
		{"label is a link", "<https://a.example/|www.a.example>", 3, []string{"https://a.example/"}},
		{
			"bare with punctuation", "(https://a.example/x). https://b.example/y, [https://c.example];", 3,
			[]string{"https://a.example/x", "https://b.example/y", "https://c.example"},
		},
		{"own brackets stay", "https://en.wikipedia.org/wiki/Go_(game)", 3, []string{"https://en.wikipedia.org/wiki/Go_(game)"}},
		{"www", "www.example.com/x", 3, []string{"https://www.example.com/x"}},
		{"repeated", "https://a.example <https://A.example/?utm_source=x|a> https://b.example", 3, []string{"https://a.example", "https://b.example"}},
		{"limit counts distinct links", "https://a.example https://a.example https://b.example https://c.example", 2, []string{"https://a.example", "https://b.example"}},
		{"reading order", "https://a.example <https://b.example> https://c.example", 3, []string{"https://a.example", "https://b.example", "https://c.example"}},
		{"nothing after the scheme", "https:// and http://.", 3, nil},
		{"nothing after www", "die www... und www.: (www.), <www.>", 3, nil},
		{"upper case", "HTTPS://A.example/X", 3, []string{"HTTPS://A.example/X"}},
		{"in bold", "*https://a.example/x*", 3, []string{"https://a.example/x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Links(tt.text, tt.limit)); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLinksAreBoundedAndDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		got := Links(rapid.StringMatching(`([ <>|(]|https?://[a-c]?|www\.[a-c]|[.,;\])])*`).Draw(t, "text"), limit)
		seen := map[string]bool{}
		for _, link := range got {
			if seen[link] {
				t.Fatalf("%q twice in %q", link, got)
			}
			if !strings.HasPrefix(link, "http") {
				t.Fatalf("%q has no scheme", link)
			}
			seen[link] = true
		}
		if len(got) > limit {
			t.Fatalf("%d links, want at most %d", len(got), limit)
		}
	})
}
