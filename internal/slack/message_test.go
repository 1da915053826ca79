package slack

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
)

// envelope wraps an event as Slack does.
func envelope(event string) []byte {
	return []byte(`{"type":"event_callback","event_id":"Ev1","authorizations":[{"user_id":"U0BOT","is_bot":true},{"user_id":"U1","is_bot":false}],"event":` + event + `}`)
}

func parse(t *testing.T, event string) Envelope {
	t.Helper()
	e, err := ParseEnvelope(envelope(event), received)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestWhatAnEnvelopeHolds(t *testing.T) {
	tests := []struct {
		name, event string
		kind        Kind
		typ         string
	}{
		{"message", `{"type":"message","channel":"C1","ts":"1.0","user":"U1","text":"x"}`, KindMessage, "message"},
		{"joined", `{"type":"message","subtype":"channel_join","channel":"C1","ts":"1.0","text":"x"}`, KindMessage, "message/channel_join"},
		{"edit", `{"type":"message","subtype":"message_changed","channel":"C1","ts":"2.0","message":{"ts":"1.0","text":"x"}}`, KindEdit, "message/message_changed"},
		{"deletion", `{"type":"message","subtype":"message_deleted","channel":"C1","ts":"2.0","deleted_ts":"1.0"}`, KindEdit, "message/message_deleted"},
		{"reaction", `{"type":"reaction_added","user":"U1","reaction":"+1","item":{"type":"message","channel":"C1","ts":"1.0"},"event_ts":"2.0"}`, KindReaction, "reaction_added"},
		{"reaction to a file", `{"type":"reaction_added","user":"U1","reaction":"+1","item":{"type":"file","file":"F1"}}`, KindOther, "reaction_added"},
		{"mention", `{"type":"app_mention","channel":"C1","ts":"1.0","user":"U1","text":"x"}`, KindOther, "app_mention"},
		{"newer than this program", `{"type":"message_teleported","channel":7}`, KindOther, "message_teleported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := parse(t, tt.event)
			if e.Kind != tt.kind || e.Type != tt.typ || e.EventID != "Ev1" {
				t.Errorf("%+v, want %s of type %s", e, tt.kind, tt.typ)
			}
			if diff := cmp.Diff([]string{"U0BOT"}, e.Bots); diff != "" {
				t.Errorf("installed as (-want +got):\n%s", diff)
			}
		})
	}
	e, err := ParseEnvelope([]byte(`{"type":"url_verification","challenge":"abc"}`), received)
	if err != nil || e.Kind != KindVerification || e.Challenge != "abc" {
		t.Errorf("verification: %+v, %v", e, err)
	}
	if e, err := ParseEnvelope([]byte(`{"type":"app_rate_limited","minute_rate_limited":1}`), received); err != nil || e.Kind != KindOther {
		t.Errorf("rate limit: %+v, %v", e, err)
	}
}

func TestEditsSayWhatChanged(t *testing.T) {
	e := parse(t, `{"type":"message","subtype":"message_changed","channel":"C1","ts":"9.0","event_ts":"9.0","hidden":true,
		"message":{"type":"message","user":"U1","text":"new","ts":"1.0","thread_ts":"1.0","edited":{"user":"U1","ts":"8.0"}},
		"previous_message":{"type":"message","user":"U1","text":"old","ts":"1.0"}}`)
	want := commentator.Edit{Channel: "C1", TS: "1.0", EditTS: "8.0", EventID: "Ev1", Text: "new", Before: "old", User: "U1", ReceivedAt: received}
	if diff := cmp.Diff(want, e.Edit); diff != "" {
		t.Errorf("edit (-want +got):\n%s", diff)
	}
	if e.Message.Text != "new" || e.Message.ThreadTS != "" || e.Message.EventID != "" {
		t.Errorf("message %+v", e.Message)
	}
	deleted := commentator.Edit{Channel: "C1", TS: "1.0", EditTS: "9.0", EventID: "Ev1", Before: "old", User: "U1", Deleted: true, ReceivedAt: received}
	for name, event := range map[string]string{
		"deleted": `{"type":"message","subtype":"message_deleted","channel":"C1","ts":"9.0","event_ts":"9.0","deleted_ts":"1.0",
			"previous_message":{"user":"U1","text":"old","ts":"1.0"}}`,
		// Slack leaves a mark where a message with replies was, as one with a comment has.
		"deleted with replies": `{"type":"message","subtype":"message_changed","channel":"C1","ts":"9.0","event_ts":"9.0",
			"message":{"subtype":"tombstone","user":"USLACKBOT","text":"This message was deleted.","ts":"1.0","thread_ts":"1.0"},
			"previous_message":{"user":"U1","text":"old","ts":"1.0","thread_ts":"1.0"}}`,
	} {
		e := parse(t, event)
		if diff := cmp.Diff(deleted, e.Edit); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if e.Message.Bot || e.Message.User != "U1" || !e.Message.Written() {
			t.Errorf("%s: message %+v", name, e.Message)
		}
	}
	bare := parse(t, `{"type":"message","subtype":"message_deleted","channel":"C1","ts":"9.0","deleted_ts":"1.0"}`)
	if bare.Message.TS != "1.0" || bare.Message.Channel != "C1" || bare.Message.Bot {
		t.Errorf("message %+v", bare.Message)
	}
}

func TestReactionsAreReadWithoutSkinTone(t *testing.T) {
	e := parse(t, `{"type":"reaction_removed","user":"U1","reaction":"+1::skin-tone-3","item_user":"U2",
		"item":{"type":"message","channel":"C1","ts":"1.0"},"event_ts":"2.0"}`)
	want := commentator.Reaction{Channel: "C1", MessageTS: "1.0", User: "U1", Name: "+1", EventTS: "2.0", EventID: "Ev1", ReceivedAt: received}
	if diff := cmp.Diff(want, e.Reaction); diff != "" {
		t.Errorf("reaction (-want +got):\n%s", diff)
	}
}

func TestBotsAreTold(t *testing.T) {
	for name, more := range map[string]string{
		"bot_id": `,"bot_id":"B1"`, "subtype": `,"subtype":"bot_message"`, "profile": `,"bot_profile":{"id":"B1"}`, "slackbot": `,"user":"USLACKBOT"`,
	} {
		if e := parse(t, `{"type":"message","channel":"C1","ts":"1.0","text":"x"`+more+`}`); !e.Message.Bot {
			t.Errorf("%s: %+v", name, e.Message)
		}
	}
	if e := parse(t, `{"type":"message","channel":"C1","ts":"1.0","user":"U1","text":"x","bot_profile":null}`); e.Message.Bot {
		t.Error("a person is taken for a bot")
	}
}

func TestLinksOfBlocksCountWhereTheTextLacksThem(t *testing.T) {
	rich := func(url string) string {
		return fmt.Sprintf(`[{"type":"rich_text","block_id":"x","elements":[{"type":"rich_text_section","elements":[
			{"type":"text","text":"see "},{"type":"link","url":%q,"text":"a page"},{"type":"link","url":"mailto:a@b.example"}]}]}]`, url)
	}
	tests := []struct{ name, text, blocks, want string }{
		{"in both", "see <https://a.example/x|a page>", rich("https://a.example/x"), "see <https://a.example/x|a page>"},
		{"in blocks only", "see a page", rich("https://a.example/?x=1&y=2"), "see a page\n<https://a.example/?x=1&amp;y=2>"},
		{"no text", "", rich("https://a.example/a|b"), "<https://a.example/a%7Cb>"},
		{"unknown blocks", "x", `[{"type":"hologram","elements":[{"type":"link","url":"https://a.example/"}]}]`, "x\n<https://a.example/>"},
		{"malformed blocks", "see <https://a.example>", `{"type":7,"elements":"none"}`, "see <https://a.example>"},
		{"blocks of wrong kinds", "see <https://a.example>", `[7,null,"x",{"elements":[{"type":"link","url":7}]}]`, "see <https://a.example>"},
		{"previews", "see <https://a.example>", `[],"attachments":[{"from_url":"https://a.example","title_link":"https://ad.example","blocks":[{"type":"link","url":"https://ad.example"}]}]`, "see <https://a.example>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := parse(t, fmt.Sprintf(`{"type":"message","channel":"C1","ts":"1.0","user":"U1","text":%q,"blocks":%s}`, tt.text, tt.blocks))
			if diff := cmp.Diff(tt.want, e.Message.Text); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMalformedEnvelopesAreSaidToBe(t *testing.T) {
	for name, raw := range map[string]string{
		"no type":         `{"event":{}}`,
		"no event":        `{"type":"event_callback"}`,
		"null":            `{"type":"event_callback","event":null}`,
		"event is a list": `{"type":"event_callback","event":[]}`,
		"no event type":   `{"type":"event_callback","event":{}}`,
		"no channel":      `{"type":"event_callback","event":{"type":"message","ts":"1.0"}}`,
		"edit of nothing": `{"type":"event_callback","event":{"type":"message","subtype":"message_changed","channel":"C1"}}`,
		"deleted nothing": `{"type":"event_callback","event":{"type":"message","subtype":"message_deleted","channel":"C1"}}`,
		"wrong kind":      `{"type":"event_callback","event":{"type":"reaction_added","item":"x"}}`,
	} {
		if _, err := ParseEnvelope([]byte(raw), received); commentator.ErrorCode(err) != CodeMalformedEvent || !commentator.IsFinal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever fields hold, reading an envelope ends with an event or an error, never a panic.
func TestParseEnvelopeNeverPanics(t *testing.T) {
	value := rapid.SampledFrom([]string{
		`null`, `7`, `"x"`, `[]`, `{}`, `"1.0"`, `"C1"`, `[{"type":"link","url":"https://a.example"}]`, `{"ts":"1.0","text":"https://a.example"}`, `{"ts":null}`, `[[[]]]`,
	})
	names := []string{"subtype", "channel", "user", "bot_id", "text", "ts", "thread_ts", "event_ts", "deleted_ts", "edited", "blocks", "message", "previous_message", "item", "reaction"}
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom([]string{"message", "reaction_added", "other"}).Draw(t, "type")
		subtype := rapid.SampledFrom([]string{"", "message_changed", "message_deleted", "tombstone"}).Draw(t, "subtype")
		event := fmt.Sprintf(`{"type":%q,"subtype":%q`, typ, subtype)
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 6, rapid.ID[string]).Draw(t, "names") {
			event += fmt.Sprintf(`,%q:%s`, name, value.Draw(t, name))
		}
		_, _ = ParseEnvelope(envelope(event+"}"), received)
	})
}
