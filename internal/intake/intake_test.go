package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/slack"
)

const ts = "1795694460.000100" // a minute after start

func TestWhatBecomesOfAnEvent(t *testing.T) {
	with := func(fields ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(fields); i += 2 {
			m[fields[i].(string)] = fields[i+1]
		}
		return m
	}
	const link = "see <https://a.example/x|a page>"
	tests := []struct {
		name  string
		event map[string]any
		want  Outcome
		links []string
	}{
		{"a link", message(ts, link), Accepted, []string{"https://a.example/x"}},
		{"three links and more", message(ts, "<https://a.example> <https://b.example> <https://a.example/?utm_source=x> <https://c.example> <https://d.example>"), Accepted, []string{"https://a.example", "https://b.example", "https://c.example"}},
		{"in a block only", message(ts, "a page", with("blocks", []any{with("type", "rich_text", "elements", []any{with("type", "link", "url", "https://a.example/x")})})), Accepted, []string{"https://a.example/x"}},
		{"malformed block", message(ts, link, with("blocks", with("type", 7))), Accepted, []string{"https://a.example/x"}},
		{"with a file", message(ts, link, with("subtype", "file_share")), Accepted, []string{"https://a.example/x"}},
		{"chatter", message(ts, "good morning"), NoLinks, nil},
		{"nothing", message(ts, ""), NoLinks, nil},
		{"other channel", message(ts, link, with("channel", "C3")), OtherChannel, nil},
		{"second channel", message(ts, link, with("channel", "C2")), Accepted, []string{"https://a.example/x"}},
		{"bot", message(ts, link, with("bot_id", "B1")), Bot, nil},
		{"bot of old", message(ts, link, with("subtype", "bot_message", "username", "x")), Bot, nil},
		{"own, as the envelope says", message(ts, link, with("user", "U0BOT")), Own, nil},
		{"own, as Slack said before", message(ts, link, with("user", "U0OWN")), Own, nil},
		{"reply", message(ts, link, with("thread_ts", "1795600000.000100")), ThreadReply, nil},
		{"reply sent to the channel", message(ts, link, with("thread_ts", "1795600000.000100", "subtype", "thread_broadcast")), Accepted, []string{"https://a.example/x"}},
		{"start of a thread", message(ts, link, with("thread_ts", ts)), Accepted, []string{"https://a.example/x"}},
		{"joined", message(ts, link, with("subtype", "channel_join")), Notice, nil},
		{"topic", message(ts, link, with("subtype", "channel_topic")), Notice, nil},
		{"preview", edit(ts, "1795694465.000000", link, link), Unchanged, nil},
		{"edit of a bot", func() map[string]any {
			e := edit(ts, "1795694465.000000", "x", link)
			e["message"].(map[string]any)["bot_id"] = "B1"
			return e
		}(), Bot, nil},
		{"reaction", with("type", "reaction_added", "user", "U1", "reaction", "+1", "item", with("type", "message", "channel", "C1", "ts", ts)), Reacted, nil},
		{"reaction elsewhere", with("type", "reaction_added", "user", "U1", "reaction", "+1", "item", with("type", "message", "channel", "C3", "ts", ts)), OtherChannel, nil},
		{"own reaction", with("type", "reaction_added", "user", "U0BOT", "reaction", "+1", "item", with("type", "message", "channel", "C1", "ts", ts)), Own, nil},
		{"mention", with("type", "app_mention", "channel", "C1", "user", "U1", "ts", ts, "text", link), Unknown, nil},
		{"newer than this program", with("type", "moon_landed"), Unknown, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.AddOwn("U0OWN")
			if got := r.deliver(t, tt.event); got != tt.want {
				t.Errorf("outcome %s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(tt.links, r.links(t)); diff != "" && len(tt.links) > 0 || len(tt.links) == 0 && len(r.links(t)) > 0 {
				t.Errorf("links of jobs (-want +got):\n%s", diff)
			}
			if len(r.enqueued) != len(tt.links) {
				t.Errorf("%d jobs are in the queue", len(r.enqueued))
			}
		})
	}
}

func TestDeliveriesAreCounted(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	raw := envelope(message(ts, "https://a.example"))
	for _, d := range []slack.Delivery{
		{Source: slack.SourceSocket, Raw: raw},
		{Source: slack.SourceHTTP, Raw: raw, Retry: true},
		{Source: slack.SourceHTTP, Raw: raw, Retry: true},
		{Source: slack.SourceHTTP, Raw: []byte(`{"type":"url_verification","challenge":"x"}`)},
	} {
		if err := r.Deliver(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Deliver(ctx, slack.Delivery{Source: slack.SourceHTTP, Raw: []byte(`{`)}); commentator.ErrorCode(err) != slack.CodeMalformedEvent {
		t.Errorf("malformed: %v", err)
	}
	r.Refused(ctx, slack.SourceHTTP, slack.RefusedSignature, false)
	want := map[Tally]int64{
		{slack.SourceSocket, Accepted, false}:      1,
		{slack.SourceHTTP, Duplicate, true}:        2,
		{slack.SourceHTTP, Verification, false}:    1,
		{slack.SourceHTTP, Malformed, false}:       1,
		{slack.SourceHTTP, "bad_signature", false}: 1,
	}
	if diff := cmp.Diff(want, r.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestChatterMakesAJobOnlyWhenItIsTracked(t *testing.T) {
	r := newRig(t, func(c *Config) { c.TrackNoURLs = true })
	if got := r.deliver(t, message(ts, "good morning")); got != Accepted {
		t.Errorf("outcome %s", got)
	}
	if got := r.deliver(t, message("1795694461.000100", " ")); got != NoLinks {
		t.Errorf("outcome of no text %s", got)
	}
	if diff := cmp.Diff([]string{""}, r.links(t)); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyTheFirstLinkWhenThatIsTheRule(t *testing.T) {
	r := newRig(t, func(c *Config) { c.FirstOnly = true })
	r.deliver(t, message(ts, "https://a.example https://b.example"))
	if diff := cmp.Diff([]string{"https://a.example"}, r.links(t)); diff != "" {
		t.Error(diff)
	}
}

func TestThreadRepliesAreTakenWhenThatIsTheRule(t *testing.T) {
	r := newRig(t, func(c *Config) { c.ThreadReplies = true })
	if got := r.deliver(t, message(ts, "https://a.example", map[string]any{"thread_ts": "1795600000.000100"})); got != Accepted {
		t.Errorf("outcome %s", got)
	}
	m, err := r.store.MessageByTS(t.Context(), "C1", ts)
	if err != nil || m.Thread() != "1795600000.000100" {
		t.Errorf("message %+v, %v", m, err)
	}
}

func TestAnyChannelCountsWhenNoneIsNamed(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Channels = nil })
	if got := r.deliver(t, message(ts, "https://a.example", map[string]any{"channel": "C9"})); got != Accepted {
		t.Errorf("outcome %s", got)
	}
	if seen, err := r.store.Seen(t.Context(), "C9"); err != nil || seen != ts {
		t.Errorf("the channel begins at %q, %v", seen, err)
	}
}

func TestReactionsAreHandedOn(t *testing.T) {
	var got []commentator.Reaction
	failure := errors.New("disk full")
	r := newRig(t, func(c *Config) {
		c.React = func(_ context.Context, reaction commentator.Reaction) error {
			got = append(got, reaction)
			if len(got) == 1 {
				return failure
			}
			return nil
		}
	})
	raw := envelope(map[string]any{
		"type": "reaction_removed", "user": "U1", "reaction": "-1", "event_ts": "1795694465.000000",
		"item": map[string]any{"type": "message", "channel": "C1", "ts": ts},
	})
	d := slack.Delivery{Source: slack.SourceSocket, Raw: raw, ReceivedAt: start}
	if err := r.Deliver(t.Context(), d); !errors.Is(err, failure) {
		t.Errorf("what cannot be written is acknowledged: %v", err)
	}
	if err := r.Deliver(t.Context(), d); err != nil {
		t.Error(err)
	}
	if len(got) != 2 || got[1].Name != "-1" || got[1].Added || got[1].MessageTS != ts || got[1].EventTS != "1795694465.000000" {
		t.Errorf("reactions %+v", got)
	}
	if n := r.Counts()[Tally{slack.SourceSocket, Failed, false}]; n != 1 {
		t.Errorf("%d failures are counted", n)
	}
}

func TestEditsAndDeletions(t *testing.T) {
	r := newRig(t)
	r.deliver(t, message(ts, "https://a.example"))
	steps := []struct {
		name  string
		event map[string]any
		want  Outcome
		links []string
	}{
		{"adds a link", edit(ts, "1795694465.000000", "https://a.example", "https://a.example https://b.example"), Edited, []string{"https://a.example", "https://b.example"}},
		{"the same again", edit(ts, "1795694465.000000", "https://a.example", "https://a.example https://b.example"), Duplicate, []string{"https://a.example", "https://b.example"}},
		{"an older one", edit(ts, "1795694464.000000", "https://a.example", "https://c.example"), Duplicate, []string{"https://a.example", "https://b.example"}},
		{"removes a link", edit(ts, "1795694466.000000", "https://a.example https://b.example", "https://b.example?utm_source=x"), Edited, []string{"https://b.example"}},
		{"the message again", message(ts, "https://a.example"), Duplicate, []string{"https://b.example"}},
		{"deletes it", deletion(ts, "1795694467.000000", "https://b.example"), Deleted, []string{}},
		{"edited after that", edit(ts, "1795694468.000000", "", "https://d.example"), Duplicate, []string{}},
	}
	for _, step := range steps {
		if got := r.deliver(t, step.event); got != step.want {
			t.Errorf("%s: outcome %s, want %s", step.name, got, step.want)
		}
		if diff := cmp.Diff(step.links, r.links(t)); diff != "" {
			t.Errorf("%s: links (-want +got):\n%s", step.name, diff)
		}
	}
	for _, j := range r.jobs(t) {
		if j.Outcome != commentator.OutcomeCancelled || j.ErrorType != "withdrawn" {
			t.Errorf("job %+v is not taken back", j)
		}
	}
}

func TestWhatWouldBecomeOfAMessage(t *testing.T) {
	r := newRig(t)
	look := func(p slack.Posted) string {
		outcome, links := r.Look(p)
		return fmt.Sprint(outcome, len(links))
	}
	p := slack.Posted{Message: commentator.Message{Channel: "C1", TS: ts, User: "U1", Text: "https://a.example https://b.example"}}
	if got := look(p); got != "accepted2" {
		t.Error(got)
	}
	p.Bot = true
	if got := look(p); got != "bot0" {
		t.Error(got)
	}
	if got := look(slack.Posted{Message: commentator.Message{Channel: "C1", TS: ts, User: "U1", Text: "x"}}); got != "no_links0" {
		t.Error(got)
	}
	if len(r.jobs(t)) != 0 {
		t.Error("looking made jobs")
	}
}

// Whatever Slack sends of messages, in whatever order and however often, by events and by the
// history: in the end each link of the newest text has one job that was not taken back, and no
// other link has.
func TestEventsInAnyOrderAndNumberLeadToTheSameJobs(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Cooldown = 0 })
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		ts := fmt.Sprintf("18%08d.000100", n)
		texts := rapid.SliceOfN(rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3, rapid.ID[string]), 1, 4).Draw(t, "texts")
		text := func(i int) string {
			words := []string{fmt.Sprint("take ", i)} // so that each edit changes something
			for _, page := range texts[i] {
				words = append(words, fmt.Sprintf("<https://%s%d.example|%s>", page, n, page))
			}
			return strings.Join(words, " ")
		}
		events := []map[string]any{message(ts, text(0))}
		for i := range texts[1:] {
			events = append(events, edit(ts, fmt.Sprintf("19%08d.%06d", n, i), text(i), text(i+1)))
		}
		newest := texts[len(texts)-1]
		if rapid.Bool().Draw(t, "deleted") {
			events = append(events, deletion(ts, fmt.Sprintf("20%08d.000000", n), text(len(texts)-1)))
			newest = nil
		} else if rapid.Bool().Draw(t, "history") { // which shows the newest text
			p := slack.Posted{Message: commentator.Message{Channel: "C1", TS: ts, User: "U1", Text: text(len(texts) - 1), ReceivedAt: start}}
			if len(texts) > 1 {
				p.EditedTS = fmt.Sprintf("19%08d.%06d", n, len(texts)-2)
			}
			if err := r.Posted(context.Background(), p); err != nil {
				t.Fatal(err)
			}
		}
		order := rapid.Permutation(events).Draw(t, "order")
		repeated := rapid.SliceOfN(rapid.SampledFrom(order), 0, 5).Draw(t, "repeated")
		for _, event := range slices.Concat(order, repeated) {
			d := slack.Delivery{Source: slack.SourceSocket, Raw: envelope(event), ReceivedAt: start}
			if err := r.Deliver(context.Background(), d); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{}
		for _, page := range newest {
			want = append(want, fmt.Sprintf("https://%s%d.example", page, n))
		}
		slices.Sort(want)
		got := r.linksOf(t, func(m commentator.Message) bool { return m.TS == ts })
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Fatalf("links with jobs are %v, want %v", got, want)
		}
	})
}

func TestAChannelThatIsNewBeginsNow(t *testing.T) {
	r := newRig(t)
	want := commentator.TS(start)
	r.advance(time.Hour)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, channel := range []string{"C1", "C2"} {
		if seen, err := r.store.Seen(t.Context(), channel); err != nil || seen != want {
			t.Errorf("%s begins at %q, %v, want %s", channel, seen, err, want)
		}
	}
}

// The first that is heard of a channel is an old message's edit: what the message had before is
// left alone.
func TestAChannelThatBeginsWithAnEditCommentsOnNothingOld(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Channels = nil })
	r.deliver(t, edit("1700000000.000100", "1795694465.000000", "htps://a.example https://b.example", "https://b.example and https://c.example"))
	if diff := cmp.Diff([]string{"https://c.example"}, r.links(t)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}
