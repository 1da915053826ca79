package slackfake_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/technoshare/commentator/test/slackfake"
)

const channel = "C0TECHSHARE"

// patience bounds what a test waits for. How long that takes is not tested.
const patience = time.Minute

func say(w *slackfake.Workspace, text string) string {
	return w.Say(slackfake.Message{Channel: channel, User: slackfake.Person, Text: text}).TS
}

func post(ctx context.Context, api *slack.Client, options ...slack.MsgOption) (string, error) {
	_, ts, err := api.PostMessageContext(ctx, channel, options...)
	return ts, err
}

func TestPostsAreLimitedByChannel(t *testing.T) {
	w, api := start(t, slackfake.Config{Channels: []string{channel, "C0OTHER"}, Limits: slackfake.Limits{PostEvery: time.Hour, PostBurst: 2}})
	for range 2 {
		if _, err := post(t.Context(), api, slack.MsgOptionText("x", false)); err != nil {
			t.Fatal(err)
		}
	}
	var limited *slack.RateLimitedError
	if _, err := post(t.Context(), api, slack.MsgOptionText("x", false)); !errors.As(err, &limited) || limited.RetryAfter <= 50*time.Minute || limited.RetryAfter > time.Hour || limited.RetryAfter%time.Second != 0 {
		t.Errorf("the third post: %v", err)
	}
	if _, _, err := api.PostMessageContext(t.Context(), "C0OTHER", slack.MsgOptionText("x", false)); err != nil {
		t.Errorf("another channel: %v", err)
	}
	if _, err := post(t.Context(), api, slack.MsgOptionText("x", false)); err == nil {
		t.Error("a fourth post is taken at once")
	}
	if r := w.Refusals(); r.Refused["chat.postMessage"] != 2 || r.Impatient["chat.postMessage"] != 1 {
		t.Errorf("%+v", r)
	}
	if n := len(w.Messages(channel)); n != 2 {
		t.Errorf("%d messages are there", n)
	}
}

func TestPayloadsBeyondTheLimitsAreRefused(t *testing.T) {
	w, api := start(t, slackfake.Config{Limits: slackfake.Limits{PostEvery: -1}})
	section := func(n int) slack.Block {
		return slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, strings.Repeat("é", n), false, false), nil, nil)
	}
	times := func(b slack.Block, n int) (list []slack.Block) {
		for range n {
			list = append(list, b)
		}
		return list
	}
	header := func(n int) slack.Block {
		return slack.NewHeaderBlock(slack.NewTextBlockObject(slack.PlainTextType, strings.Repeat("x", n), false, false))
	}
	for _, tt := range []struct {
		name string
		code string // "": accepted
		with []slack.MsgOption
	}{
		{"longest text", "", []slack.MsgOption{slack.MsgOptionText(strings.Repeat("é", slackfake.MaxText), false)}},
		{"text", "msg_too_long", []slack.MsgOption{slack.MsgOptionText(strings.Repeat("é", slackfake.MaxText+1), false)}},
		{"nothing", "no_text", nil},
		{"longest section", "", []slack.MsgOption{slack.MsgOptionBlocks(section(slackfake.MaxSectionText))}},
		{"section", "invalid_blocks", []slack.MsgOption{slack.MsgOptionBlocks(section(slackfake.MaxSectionText + 1))}},
		{"empty section", "invalid_blocks", []slack.MsgOption{slack.MsgOptionBlocks(section(0))}},
		{"most blocks", "", []slack.MsgOption{slack.MsgOptionBlocks(times(section(1), slackfake.MaxBlocks)...)}},
		{"blocks", "invalid_blocks", []slack.MsgOption{slack.MsgOptionBlocks(times(section(1), slackfake.MaxBlocks+1)...)}},
		{"all blocks", "msg_blocks_too_long", []slack.MsgOption{slack.MsgOptionBlocks(times(section(3000), 5)...)}},
		{"header", "invalid_blocks", []slack.MsgOption{slack.MsgOptionBlocks(header(slackfake.MaxHeaderText + 1))}},
		{"markdown", "msg_too_long", []slack.MsgOption{slack.MsgOptionBlocks(slack.NewMarkdownBlock("", strings.Repeat("x", 6001)), slack.NewMarkdownBlock("", strings.Repeat("x", 6000)))}},
		{"metadata", "invalid_metadata_schema", []slack.MsgOption{slack.MsgOptionText("x", false), slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "x"})}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(w.Messages(channel))
			_, err := post(t.Context(), api, tt.with...)
			if tt.code != "" {
				refused(t, err, tt.code)
			} else if err != nil {
				t.Error(err)
			}
			if n := len(w.Messages(channel)) - before; (n == 1) != (tt.code == "") {
				t.Errorf("%d messages more", n)
			}
		})
	}
}

func TestAPostIsUnseenForAWhile(t *testing.T) {
	const unseen = time.Second
	w, api := start(t, slackfake.Config{UnseenFor: unseen})
	parent := say(w, "look")
	posted := time.Now()
	if _, err := post(t.Context(), api, slack.MsgOptionTS(parent), slack.MsgOptionText("x", false)); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		messages, _, _, err := api.GetConversationRepliesContext(t.Context(), &slack.GetConversationRepliesParameters{ChannelID: channel, Timestamp: parent})
		if err != nil {
			t.Fatal(err)
		}
		return len(messages)
	}
	if n := count(); n != 1 && time.Since(posted) < unseen {
		t.Errorf("%d messages are seen at once", n)
	}
	for deadline := time.Now().Add(patience); count() != 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the reply never shows")
		}
	}
}

func TestARequestIsCutOffBeforeOrAfterItIsCarriedOut(t *testing.T) {
	for moment, carriedOut := range map[slackfake.Moment]int{slackfake.Asked: 0, slackfake.Posted: 1} {
		w, api := start(t, slackfake.Config{Happen: func(m slackfake.Moment) bool { return m == moment }})
		if _, err := post(t.Context(), api, slack.MsgOptionText("x", false)); err == nil {
			t.Errorf("%s: there is an answer", moment)
		}
		if n := len(w.Messages(channel)); n != carriedOut {
			t.Errorf("%s: %d messages are there", moment, n)
		}
	}
}

func TestReplyToADeletedMessageStandsInTheChannel(t *testing.T) {
	w, api := start(t, slackfake.Config{})
	parent := say(w, "look")
	if err := w.Delete(channel, parent); err != nil {
		t.Fatal(err)
	}
	if _, err := post(t.Context(), api, slack.MsgOptionTS(parent), slack.MsgOptionText("x", false)); err != nil {
		t.Fatal(err)
	}
	if m := w.Messages(channel); m[len(m)-1].ThreadTS != "" {
		t.Errorf("%+v", m)
	}
}

func TestAnUnheardEventIsDeliveredAgainAndThenGivenUp(t *testing.T) {
	type seen struct{ num, reason string }
	var mu sync.Mutex
	var got []seen
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, seen{r.Header.Get("X-Slack-Retry-Num"), r.Header.Get("X-Slack-Retry-Reason")})
		if len(got) > 2 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer receiver.Close()
	var rest []time.Duration
	w, _ := start(t, slackfake.Config{
		EventsURL: receiver.URL, AckWithin: patience, Redeliver: []time.Duration{0, time.Millisecond, time.Millisecond},
		Treat: func(slackfake.Event) slackfake.Treatment { return slackfake.Treatment{ByHTTP: true, Unheard: 2} },
		Wait: func(_ context.Context, d time.Duration) bool {
			mu.Lock()
			defer mu.Unlock()
			rest = append(rest, d)
			return true
		},
	})
	say(w, "look")
	for deadline := time.Now().Add(patience); len(w.Deliveries().GivenUp) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", w.Deliveries())
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(got) != "[{ } {1 timeout} {2 timeout} {3 connection_failed}]" {
		t.Errorf("%v", got)
	}
	if len(rest) != 2 || max(rest[0], rest[1]) >= patience || min(rest[0], rest[1]) <= 0 {
		t.Errorf("waits for an acknowledgement: %v", rest)
	}
	if d := w.Deliveries(); d.Unheard != 2 || d.Failed != 2 || d.Attempts != 4 || len(d.AckMS) != 0 {
		t.Errorf("%+v", d)
	}
}

// listen opens a socket as the worker does and acknowledges what comes.
func listen(t *testing.T, api *slack.Client) (*socketmode.Client, <-chan socketmode.Event) {
	t.Helper()
	client := socketmode.New(api)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = client.RunContext(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	events := make(chan socketmode.Event, 100)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-client.Events:
				if e.Type == socketmode.EventTypeEventsAPI {
					_ = client.Ack(*e.Request)
				}
				select {
				case events <- e:
				default:
				}
			}
		}
	}()
	return client, events
}

func await(t *testing.T, events <-chan socketmode.Event, kind socketmode.EventType) socketmode.Event {
	t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case e := <-events:
			if e.Type == kind {
				return e
			}
		case <-deadline:
			t.Fatalf("no %s came", kind)
		}
	}
}

func TestSocketsTakeEventsAndAreOpenedAnew(t *testing.T) {
	w, api := start(t, slackfake.Config{Redeliver: []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second}})
	_, events := listen(t, api)
	await(t, events, socketmode.EventTypeHello)
	say(w, "one")
	if e := await(t, events, socketmode.EventTypeEventsAPI); e.Request.RetryAttempt != 0 {
		t.Errorf("%+v", e.Request)
	}
	acknowledged := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(patience); len(w.Deliveries().AckMS) < n; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%+v", w.Deliveries())
			}
		}
	}
	acknowledged(1)
	heard := 1
	for name, end := range map[string]func(){"dropped": w.DropSocket, "refreshed": func() { w.RefreshSocket(time.Second) }} {
		end()
		await(t, events, socketmode.EventTypeHello)
		say(w, "after it was "+name)
		await(t, events, socketmode.EventTypeEventsAPI)
		heard++
		acknowledged(heard)
	}
	if _, ever := w.Sockets(); ever != 3 {
		t.Errorf("%d sockets were opened", ever)
	}
}

func TestTheAddressOfASocketIsGoodForOne(t *testing.T) {
	_, api := start(t, slackfake.Config{})
	_, url, err := api.StartSocketModeContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{http.StatusSwitchingProtocols, http.StatusForbidden} {
		conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
		if res == nil || res.StatusCode != want {
			t.Fatalf("dial %d: %v, %v", i+1, res, err)
		}
		if conn != nil {
			defer conn.Close()
		}
	}
}

func TestTokensAreChecked(t *testing.T) {
	w := slackfake.New(slackfake.Config{})
	s := httptest.NewServer(w)
	defer s.Close()
	defer w.Close()
	for token, code := range map[string]string{"": "not_authed", "xoxb-other": "invalid_auth", "xapp-fake": "invalid_auth"} {
		_, err := slack.New(token, slack.OptionAPIURL(s.URL+"/api/")).AuthTestContext(t.Context())
		refused(t, err, code)
	}
}

func TestADeletedMessageWithRepliesIsATombstone(t *testing.T) {
	w, api := start(t, slackfake.Config{UnseenFor: -1})
	_, events := listen(t, api)
	await(t, events, socketmode.EventTypeHello)
	parent := say(w, "look")
	reply, err := post(t.Context(), api, slack.MsgOptionTS(parent), slack.MsgOptionText("x", false))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Delete(channel, parent); err != nil {
		t.Fatal(err)
	}
	for {
		e := await(t, events, socketmode.EventTypeEventsAPI)
		if body := string(e.Request.Payload); strings.Contains(body, `"message_changed"`) {
			if !strings.Contains(body, `"tombstone"`) {
				t.Errorf("%s", body)
			}
			break
		}
	}
	messages, _, _, err := api.GetConversationRepliesContext(t.Context(), &slack.GetConversationRepliesParameters{ChannelID: channel, Timestamp: parent})
	if err != nil || len(messages) != 2 || messages[1].Timestamp != reply {
		t.Errorf("%s, %v", list(messages), err)
	}
}

func TestTimestampsDiffer(t *testing.T) {
	w, _ := start(t, slackfake.Config{})
	seen := map[string]bool{}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				say(w, "x")
			}
		})
	}
	group.Wait()
	last := ""
	for _, m := range w.Messages(channel) {
		if seen[m.TS] || m.TS <= last {
			t.Fatalf("%s comes after %s", m.TS, last)
		}
		seen[m.TS], last = true, m.TS
	}
}

func TestHistoryIsBounded(t *testing.T) {
	w, api := start(t, slackfake.Config{})
	var said []string
	for range 5 {
		said = append(said, say(w, "x"))
	}
	for _, tt := range []struct {
		oldest, latest string
		inclusive      bool
		want           []int // newest first
	}{
		{"", "", false, []int{4, 3, 2, 1, 0}},
		{said[1], "", false, []int{4, 3, 2}},
		{said[1], said[3], false, []int{2}},
		{said[1], said[3], true, []int{3, 2, 1}},
		{"1", "9999999999", false, []int{4, 3, 2, 1, 0}},
	} {
		res, err := api.GetConversationHistoryContext(t.Context(), &slack.GetConversationHistoryParameters{
			ChannelID: channel, Oldest: tt.oldest, Latest: tt.latest, Inclusive: tt.inclusive,
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, m := range res.Messages {
			got = append(got, slices.Index(said, m.Timestamp))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("between %q and %q: %v; want %v", tt.oldest, tt.latest, got, tt.want)
		}
	}
}

// Slack escapes the text of a message and not what its blocks hold.
func TestBlocksHoldLinksAndTextUnescaped(t *testing.T) {
	w, api := start(t, slackfake.Config{UnseenFor: -1})
	const text = "Is 3 &lt; 4? <https://example.org/?a=1&amp;b=2|example.org>"
	say(w, text)
	history, err := api.GetConversationHistoryContext(t.Context(), &slack.GetConversationHistoryParameters{ChannelID: channel})
	if err != nil || len(history.Messages) != 1 {
		t.Fatalf("%d messages, %v", len(history.Messages), err)
	}
	m := history.Messages[0]
	if m.Text != text {
		t.Errorf("text %q", m.Text)
	}
	section := m.Blocks.BlockSet[0].(*slack.RichTextBlock).Elements[0].(*slack.RichTextSection)
	if words := section.Elements[0].(*slack.RichTextSectionTextElement).Text; words != "Is 3 < 4? " {
		t.Errorf("words %q", words)
	}
	if link := section.Elements[1].(*slack.RichTextSectionLinkElement).URL; link != "https://example.org/?a=1&b=2" {
		t.Errorf("link %q", link)
	}
}
