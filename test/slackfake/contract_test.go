package slackfake_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/technoshare/commentator/test/slackfake"
)

// place is a Slack that the contract is run against: the fake, or an emulator that others wrote.
type place struct {
	api     *slack.Client // of the app
	user    string        // the app's own user id
	channel string
	say     func(t *testing.T, text string) (ts string) // as a person
	inbox   *inbox                                      // what the app was sent
}

// delivered is a request of the Events API whose signature is right.
type delivered struct {
	id    string
	event slackevents.EventsAPIEvent
}

// inbox keeps new messages by their timestamps: they come in any order.
type inbox struct {
	mu   sync.Mutex
	seen map[string]delivered
}

func (i *inbox) take(d delivered) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if m, ok := d.event.InnerEvent.Data.(*slackevents.MessageEvent); ok && m.SubType == "" {
		i.seen[m.TimeStamp] = d
	}
}

func (i *inbox) of(ts string) (delivered, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	d, ok := i.seen[ts]
	return d, ok
}

// receive takes events as an app does: it refuses what is not signed with the secret.
func receive(t *testing.T, secret string) (*httptest.Server, *inbox) {
	t.Helper()
	events := &inbox{seen: map[string]delivered{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		verifier, err := slack.NewSecretsVerifier(r.Header, secret)
		if err == nil {
			_, _ = verifier.Write(body)
			err = verifier.Ensure()
		}
		if err != nil {
			t.Errorf("signature: %v", err)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		event, err := slackevents.ParseEvent(body, slackevents.OptionNoVerifyToken())
		if err != nil {
			t.Errorf("event %s: %v", body, err)
			return
		}
		var outer struct {
			EventID string `json:"event_id"`
		}
		_ = json.Unmarshal(body, &outer)
		events.take(delivered{outer.EventID, event})
	}))
	t.Cleanup(s.Close)
	return s, events
}

// contract is what holds of both, and what the worker relies on.
func contract(t *testing.T, p place) {
	t.Run("the app knows itself", func(t *testing.T) {
		who, err := p.api.AuthTestContext(t.Context())
		if err != nil || who.UserID != p.user || who.TeamID == "" {
			t.Errorf("%+v, %v", who, err)
		}
	})
	t.Run("a message is a signed event with an id of its own", func(t *testing.T) {
		first, second := p.say(t, "one <https://example.com/1>"), p.say(t, "two")
		a, b := p.message(t, first), p.message(t, second)
		if a.id == "" || a.id == b.id || first == second {
			t.Errorf("events %q and %q of messages %s and %s", a.id, b.id, first, second)
		}
	})
	t.Run("a reply is in its thread alone, with blocks and metadata", func(t *testing.T) {
		parent := p.say(t, "look")
		metadata := slack.SlackMetadata{EventType: "technoshare_comment", EventPayload: map[string]any{"job_id": float64(7), "store_id": "s", "part": float64(0)}}
		ts := p.reply(t, parent, "a comment", metadata)
		thread := p.thread(t, parent, ts)
		if len(thread) != 2 || thread[0].Timestamp != parent || thread[1].Timestamp != ts {
			t.Fatalf("the thread holds %s", list(thread))
		}
		got := thread[1]
		if got.ThreadTimestamp != parent || got.Metadata.EventType != metadata.EventType || fmt.Sprint(got.Metadata.EventPayload) != fmt.Sprint(metadata.EventPayload) {
			t.Errorf("reply in thread %q with metadata %+v", got.ThreadTimestamp, got.Metadata)
		}
		if len(got.Blocks.BlockSet) != 1 || thread[0].ReplyCount != 1 {
			t.Errorf("%d blocks; %d replies counted", len(got.Blocks.BlockSet), thread[0].ReplyCount)
		}
		for _, m := range p.history(t, 0) {
			if m.Timestamp == ts {
				t.Error("the reply stands in the channel too")
			}
		}
	})
	t.Run("history is newest first and in pages", func(t *testing.T) {
		var said []string
		for i := range 5 {
			said = append(said, p.say(t, fmt.Sprintf("message %d", i)))
		}
		var got []string
		for _, m := range p.history(t, 2) {
			if slices.Contains(said, m.Timestamp) {
				got = append(got, m.Timestamp)
			}
		}
		slices.Reverse(said)
		if !slices.Equal(got, said) {
			t.Errorf("%v; want %v", got, said)
		}
	})
	t.Run("a deleted reply is gone, and only its author may delete it", func(t *testing.T) {
		parent := p.say(t, "again")
		ts := p.reply(t, parent, "wrong", slack.SlackMetadata{EventType: "x", EventPayload: map[string]any{"a": "b"}})
		p.thread(t, parent, ts)
		if _, _, err := p.api.DeleteMessageContext(t.Context(), p.channel, ts); err != nil {
			t.Fatal(err)
		}
		if thread := p.thread(t, parent, ""); slices.ContainsFunc(thread, func(m slack.Message) bool { return m.Timestamp == ts }) {
			t.Errorf("still there: %s", list(thread))
		}
		_, _, err := p.api.DeleteMessageContext(t.Context(), p.channel, ts)
		refused(t, err, "message_not_found")
	})
	t.Run("a reaction is put on once", func(t *testing.T) {
		item := slack.NewRefToMessage(p.channel, p.say(t, "nice"))
		if err := p.api.AddReactionContext(t.Context(), "eyes", item); err != nil {
			t.Fatal(err)
		}
		refused(t, p.api.AddReactionContext(t.Context(), "eyes", item), "already_reacted")
	})
	t.Run("an unknown channel is refused", func(t *testing.T) {
		_, _, err := p.api.PostMessageContext(t.Context(), "C0NOWHERE", slack.MsgOptionText("x", false))
		refused(t, err, "channel_not_found")
		_, err = p.api.GetConversationHistoryContext(t.Context(), &slack.GetConversationHistoryParameters{ChannelID: "C0NOWHERE"})
		refused(t, err, "channel_not_found")
	})
	t.Run("what the app posts is sent to it, too", func(t *testing.T) {
		parent := p.say(t, "mine")
		ts := p.reply(t, parent, "own words", slack.SlackMetadata{EventType: "x", EventPayload: map[string]any{"a": "b"}})
		m := p.message(t, ts).event.InnerEvent.Data.(*slackevents.MessageEvent)
		if m.User != p.user && m.BotID == "" {
			t.Errorf("nothing says who wrote it: %+v", m)
		}
	})
}

func refused(t *testing.T, err error, code string) {
	t.Helper()
	var answer slack.SlackErrorResponse
	if !errors.As(err, &answer) || answer.Err != code {
		t.Errorf("%v; want %s", err, code)
	}
}

// message waits for the event of a message.
func (p place) message(t *testing.T, ts string) delivered {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if d, ok := p.inbox.of(ts); ok {
			return d
		}
		if time.Now().After(deadline) {
			t.Fatalf("no event of message %s came", ts)
		}
	}
}

func (p place) reply(t *testing.T, thread, text string, metadata slack.SlackMetadata) string {
	t.Helper()
	_, ts, err := p.api.PostMessageContext(t.Context(), p.channel, slack.MsgOptionTS(thread), slack.MsgOptionText(text, false),
		slack.MsgOptionBlocks(slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, text, false, false), nil, nil)), slack.MsgOptionMetadata(metadata))
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// thread reads a thread, waiting until a reply is in it unless that is empty.
func (p place) thread(t *testing.T, ts, reply string) []slack.Message {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		messages, _, _, err := p.api.GetConversationRepliesContext(t.Context(), &slack.GetConversationRepliesParameters{
			ChannelID: p.channel, Timestamp: ts, IncludeAllMetadata: true, Limit: 100,
		})
		if err != nil {
			t.Fatal(err)
		}
		if reply == "" || slices.ContainsFunc(messages, func(m slack.Message) bool { return m.Timestamp == reply }) {
			return messages
		}
		if time.Now().After(deadline) {
			t.Fatalf("reply %s is not in thread %s: %s", reply, ts, list(messages))
		}
	}
}

// history reads all pages of the channel's messages.
func (p place) history(t *testing.T, page int) (all []slack.Message) {
	t.Helper()
	for cursor := ""; ; {
		res, err := p.api.GetConversationHistoryContext(context.Background(), &slack.GetConversationHistoryParameters{
			ChannelID: p.channel, Limit: page, Cursor: cursor,
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, res.Messages...)
		if cursor = res.ResponseMetaData.NextCursor; cursor == "" || !res.HasMore {
			return all
		}
	}
}

func list(messages []slack.Message) string {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "%s %q; ", m.Timestamp, m.Text)
	}
	return b.String()
}

func TestContractOnTheFake(t *testing.T) {
	receiver, events := receive(t, "signing-secret")
	w, api := start(t, slackfake.Config{
		EventsURL: receiver.URL, Limits: slackfake.Limits{PostEvery: -1, ReadEvery: -1},
		Treat: func(slackfake.Event) slackfake.Treatment { return slackfake.Treatment{ByHTTP: true} },
	})
	contract(t, place{
		api: api, user: slackfake.BotUser, channel: "C0TECHSHARE", inbox: events,
		say: func(_ *testing.T, text string) string {
			return w.Say(slackfake.Message{Channel: "C0TECHSHARE", User: slackfake.Person, Text: text}).TS
		},
	})
}

// start starts a workspace and returns it with the app's client.
func start(t *testing.T, cfg slackfake.Config) (*slackfake.Workspace, *slack.Client) {
	t.Helper()
	w := slackfake.New(cfg)
	s := httptest.NewServer(w)
	t.Cleanup(func() { w.Close(); s.Close() })
	return w, slack.New("xoxb-fake", slack.OptionAPIURL(s.URL+"/api/"), slack.OptionAppLevelToken("xapp-fake"))
}
