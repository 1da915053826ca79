package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
)

// history is a channel's messages, given as Slack does: the newest first, in pages.
type history struct {
	channel  string // of what is written; "": C1
	messages []slack.Posted
	page     int
	unread   int       // messages of each page that nobody can read
	at       time.Time // Slack's clock; zero: it does not say
	asked    []slack.Range
	fail     func(n int) error // asked before the n-th request
}

func (h *history) Page(_ context.Context, r slack.Range) (slack.Page, error) {
	h.asked = append(h.asked, r)
	if h.fail != nil {
		if err := h.fail(len(h.asked)); err != nil {
			return slack.Page{}, err
		}
	}
	var in []slack.Posted
	for _, m := range h.messages {
		if m.Channel == r.Channel && m.TS >= r.Oldest && m.TS <= r.Latest {
			in = append(in, m)
		}
	}
	slices.SortFunc(in, func(a, b slack.Posted) int { return cmp.Compare(b.TS, a.TS) })
	from, _ := strconv.Atoi(r.Cursor)
	to := min(from+h.page, len(in))
	p := slack.Page{Messages: slices.Clone(in[from:to]), At: h.at, Unread: h.unread}
	slices.Reverse(p.Messages)
	if to < len(in) {
		p.Next = strconv.Itoa(to)
	}
	return p, nil
}

// wrote adds a message with a link to a page of its own.
func (h *history) wrote(at time.Time, n int) string {
	link := fmt.Sprintf("https://page%d.example", n)
	h.messages = append(h.messages, slack.Posted{Message: commentator.Message{
		Channel: cmp.Or(h.channel, "C1"), TS: commentator.TS(at), User: "U1", Text: "<" + link + ">", ReceivedAt: start,
	}})
	return link
}

func newCatchUp(r *rig, h History) *CatchUp {
	return NewCatchUp(CatchUpConfig{
		Intake: r.Intake, Store: r.store, History: h, Channels: []string{"C1"}, MaxAge: 24 * time.Hour,
		Now: r.clock, Logger: slog.New(slog.DiscardHandler),
	})
}

func (r *rig) seen(t rapid.TB) string {
	t.Helper()
	seen, err := r.store.Seen(context.Background(), "C1")
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func TestMissedMessagesAreFetchedInTheirOrder(t *testing.T) {
	r := newRig(t)
	h := &history{page: 2}
	h.wrote(start.Add(-time.Hour), 0) // before our time
	var want []string
	for i := range 7 {
		want = append(want, h.wrote(start.Add(time.Duration(i+1)*25*time.Minute), i+1))
	}
	r.advance(4 * time.Hour)
	if err := newCatchUp(r, h).round(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := r.links(t)
	slices.Sort(got)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if want := commentator.TS(start.Add(4*time.Hour - settled)); r.seen(t) != want {
		t.Errorf("the cursor is at %s, want %s", r.seen(t), want)
	}
	if n := r.Counts()[Tally{slack.SourceHistory, Accepted, false}]; n != 7 {
		t.Errorf("%d are counted", n)
	}
	// The next look is a short one.
	asked := len(h.asked)
	r.advance(10 * time.Minute)
	if err := newCatchUp(r, h).round(t.Context()); err != nil || len(h.asked) != asked+1 {
		t.Errorf("%d requests, %v", len(h.asked)-asked, err)
	}
}

func TestAFirstStartCommentsOnNothingOld(t *testing.T) {
	r := newRig(t)
	h := &history{page: 10}
	h.wrote(start.Add(-time.Minute), 1)
	if err := newCatchUp(r, h).round(t.Context()); err != nil || len(r.jobs(t)) != 0 || len(h.asked) != 0 {
		t.Errorf("%d jobs, %d requests, %v", len(r.jobs(t)), len(h.asked), err)
	}
}

// Nobody introduced the channel to the database: what was written before is left.
func TestTheHistoryOfANewChannelIsLeft(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Channels = nil })
	h := &history{page: 10, channel: "C9"}
	h.wrote(start.Add(time.Minute), 1)
	r.advance(10 * time.Minute)
	c := newCatchUp(r, h)
	c.cfg.Channels = []string{"C9"}
	if err := c.round(t.Context()); err != nil || len(r.jobs(t)) != 0 || len(h.asked) != 0 {
		t.Errorf("%d jobs, %d requests, %v", len(r.jobs(t)), len(h.asked), err)
	}
	want := h.wrote(start.Add(20*time.Minute), 2)
	r.advance(20 * time.Minute)
	if err := c.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{want}, r.links(t)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

func TestWithoutChannelsThoseOfTheDatabaseAreRead(t *testing.T) {
	r := newRig(t)
	h := &history{page: 10}
	h.wrote(start.Add(time.Minute), 1)
	r.advance(10 * time.Minute)
	c := newCatchUp(r, h)
	c.cfg.Channels = nil
	if err := c.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, a := range h.asked {
		asked = append(asked, a.Channel)
	}
	slices.Sort(asked)
	if diff := gocmp.Diff([]string{"C1", "C2"}, asked); diff != "" || len(r.jobs(t)) != 1 {
		t.Errorf("%d jobs; channels (-want +got):\n%s", len(r.jobs(t)), diff)
	}
}

func TestMessagesOfTheHistoryThatNobodyCanReadAreCounted(t *testing.T) {
	r := newRig(t)
	h := &history{page: 10, unread: 2}
	h.wrote(start.Add(time.Minute), 1)
	r.advance(10 * time.Minute)
	if err := newCatchUp(r, h).round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := r.Counts()[Tally{slack.SourceHistory, Malformed, false}]; n != 2 || len(r.jobs(t)) != 1 {
		t.Errorf("%d are counted, %d jobs", n, len(r.jobs(t)))
	}
}

func TestVeryOldMessagesAreNotFetched(t *testing.T) {
	r := newRig(t)
	h := &history{page: 10}
	h.wrote(start.Add(time.Hour), 1)
	want := h.wrote(start.Add(73*time.Hour), 2)
	r.advance(96 * time.Hour)
	if err := newCatchUp(r, h).round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{want}, r.links(t)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

// With a clock that is ahead, what Slack writes next would be older than the cursor.
func TestTheCursorKeepsToSlacksClock(t *testing.T) {
	r := newRig(t)
	h := &history{page: 10, at: start.Add(10 * time.Minute)}
	r.advance(20 * time.Minute)
	if err := newCatchUp(r, h).round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := commentator.TS(start.Add(10*time.Minute - settled)); r.seen(t) != want {
		t.Errorf("the cursor is at %s, want %s", r.seen(t), want)
	}
	h.at = start.Add(20 * time.Minute)
	want := h.wrote(start.Add(12*time.Minute), 1)
	r.advance(10 * time.Minute)
	if err := newCatchUp(r, h).round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{want}, r.links(t)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

func TestFetchingGoesOnWhereItEnded(t *testing.T) {
	r := newRig(t)
	h := &history{page: 10, fail: func(n int) error {
		if n == 3 {
			return errors.New("killed")
		}
		return nil
	}}
	var want []string
	for i := range 4 {
		want = append(want, h.wrote(start.Add(time.Duration(i)*time.Hour+30*time.Minute), i))
	}
	r.advance(4 * time.Hour)
	if err := newCatchUp(r, h).round(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if at := commentator.TS(start.Add(2 * time.Hour)); r.seen(t) != at {
		t.Errorf("the cursor is at %s, want %s", r.seen(t), at)
	}
	r.restart(t)
	if err := newCatchUp(r, h).round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, r.links(t)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if from := h.asked[3].Oldest; from != commentator.TS(start.Add(2*time.Hour)) {
		t.Errorf("it went on at %s", from)
	}
}

// What comes by itself while the history is read, also what is newer than all that was
// missed, hides nothing of it.
func TestLiveEventsNeverMoveTheCursor(t *testing.T) {
	r := newRig(t)
	h := &history{page: 10}
	missed := h.wrote(start.Add(10*time.Minute), 1)
	live := h.wrote(start.Add(50*time.Minute), 2)
	r.advance(time.Hour)
	before := r.seen(t)
	if got := r.deliver(t, message(commentator.TS(start.Add(50*time.Minute)), "<"+live+">")); got != Accepted || r.seen(t) != before {
		t.Errorf("outcome %s, the cursor went from %s to %s", got, before, r.seen(t))
	}
	if err := newCatchUp(r, h).round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{live, missed}, r.links(t)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if n := r.Counts()[Tally{slack.SourceHistory, Duplicate, false}]; n != 1 {
		t.Errorf("%d are known", n)
	}
}

func TestMissedEditsAndDeletionsAreSeenInTheHistory(t *testing.T) {
	r := newRig(t)
	h := &history{page: 10}
	edited, deleted := start.Add(time.Minute), start.Add(2*time.Minute)
	r.deliver(t, message(commentator.TS(edited), "<https://old.example>"))
	r.deliver(t, message(commentator.TS(deleted), "<https://gone.example>"))
	h.messages = []slack.Posted{
		{Message: commentator.Message{Channel: "C1", TS: commentator.TS(edited), User: "U1", Text: "<https://new.example>", ReceivedAt: start}, EditedTS: commentator.TS(edited.Add(time.Second))},
		{Message: commentator.Message{Channel: "C1", TS: commentator.TS(deleted), User: "USLACKBOT", Text: "This message was deleted.", ReceivedAt: start}, SubType: "tombstone", Bot: true},
	}
	r.advance(10 * time.Minute)
	if err := newCatchUp(r, h).round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"https://new.example"}, r.links(t)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

func TestSlacksLimitIsWaitedFor(t *testing.T) {
	r := newRig(t)
	h := &history{page: 10, fail: func(n int) error {
		if n < 3 {
			return fmt.Errorf("limited: %w", &slack.RateLimited{After: time.Duration(n) * 10 * time.Millisecond})
		}
		return nil
	}}
	h.wrote(start.Add(time.Minute), 1)
	r.advance(10 * time.Minute)
	began := time.Now()
	if err := newCatchUp(r, h).round(t.Context()); err != nil || len(r.jobs(t)) != 1 || time.Since(began) < 30*time.Millisecond {
		t.Errorf("%d jobs after %s, %v", len(r.jobs(t)), time.Since(began), err)
	}
	h.asked = nil
	h.fail = func(int) error { return &slack.RateLimited{After: time.Hour} }
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	r.advance(time.Hour)
	if err := newCatchUp(r, h).round(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stop is not heard while it waits: %v", err)
	}
}

func TestOneChannelKeepsNoOtherFromBeingRead(t *testing.T) {
	r := newRig(t)
	h := &history{page: 10}
	refused := errors.New("not_in_channel")
	h.fail = func(int) error {
		if h.asked[len(h.asked)-1].Channel == "C2" {
			return refused
		}
		return nil
	}
	h.wrote(start.Add(time.Minute), 1)
	r.advance(10 * time.Minute)
	c := newCatchUp(r, h)
	c.cfg.Channels = []string{"C2", "C1"}
	if err := c.round(t.Context()); !errors.Is(err, refused) || len(r.jobs(t)) != 1 {
		t.Errorf("%d jobs, %v", len(r.jobs(t)), err)
	}
}

func TestCatchingUpCanBeAskedFor(t *testing.T) {
	r := newRig(t)
	h := &history{page: 10}
	c := newCatchUp(r, h)
	rounds := make(chan struct{}, 10)
	c.caughtUp = func() { rounds <- struct{}{} }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { c.Run(ctx); close(ended) }()
	within(t, rounds)
	h.wrote(start.Add(time.Minute), 1)
	r.advance(10 * time.Minute)
	c.Again()
	within(t, rounds)
	cancel()
	within(t, ended)
	if len(r.jobs(t)) != 1 {
		t.Errorf("%d jobs", len(r.jobs(t)))
	}
}

// Whatever fails and whenever it is started again: in the end nothing was missed, nothing is
// there twice, and the cursor is behind everything.
func TestNothingIsMissedWhateverFails(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Channels = nil })
	r.advance(301 * time.Minute)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++ // each time in a channel of its own
		h := &history{channel: fmt.Sprintf("C%d", n), page: rapid.IntRange(1, 5).Draw(rt, "page")}
		if err := r.startChannel(context.Background(), h.channel, commentator.TS(start)); err != nil {
			rt.Fatal(err)
		}
		want := map[string]bool{}
		for i, minute := range rapid.SliceOfNDistinct(rapid.IntRange(1, 300), 0, 20, rapid.ID[int]).Draw(rt, "minutes") {
			at := start.Add(time.Duration(minute) * time.Minute)
			link := h.wrote(at, i)
			want[link] = true
			if rapid.Bool().Draw(rt, "live") { // Slack delivered it by itself
				r.deliver(rt, message(commentator.TS(at), "<"+link+">", map[string]any{"channel": h.channel}))
			}
		}
		failures := rapid.SliceOfN(rapid.Bool(), 0, 10).Draw(rt, "failures")
		h.fail = func(int) error {
			if len(failures) == 0 {
				return nil
			}
			fails := failures[0]
			failures = failures[1:]
			if fails {
				return errors.New("killed")
			}
			return nil
		}
		c := newCatchUp(r, h)
		c.cfg.Channels = []string{h.channel}
		for tries := 0; c.round(context.Background()) != nil; tries++ {
			if tries > 20 {
				rt.Fatal("it never ends")
			}
		}
		links := r.linksOf(rt, func(m commentator.Message) bool { return m.Channel == h.channel })
		if len(links) != len(want) {
			rt.Fatalf("%d jobs for %d links", len(links), len(want))
		}
		for _, link := range links {
			if !want[link] {
				rt.Fatalf("%s was not shared, or is there twice", link)
			}
			delete(want, link)
		}
		seen, err := r.store.Seen(context.Background(), h.channel)
		if want := commentator.TS(start.Add(300 * time.Minute)); err != nil || seen != want {
			rt.Fatalf("the cursor is at %s, %v, want %s", seen, err, want)
		}
	})
}

// Nobody read the history while a message and its job grew old and were removed. Once somebody does,
// further back than that, only what nobody ever received is new.
func TestWhatWasRemovedDoesNotComeAgain(t *testing.T) {
	for _, edited := range []bool{false, true} {
		t.Run(fmt.Sprintf("edited %v", edited), func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Channels = nil })
			ctx := t.Context()
			began := time.Now().Add(-75 * time.Hour) // what removes goes by the real clock
			if err := r.startChannel(ctx, "C9", commentator.TS(began)); err != nil {
				t.Fatal(err)
			}
			h := &history{channel: "C9", page: 10}
			received := began.Add(time.Hour)
			link := h.wrote(received, 1)
			if edited {
				h.messages[0].EditedTS = commentator.TS(received.Add(time.Minute))
			}
			missed := h.wrote(began.Add(2*time.Hour), 2)
			r.now = received
			if got := r.deliver(t, message(commentator.TS(received), "<"+link+">", map[string]any{"channel": "C9"})); got != Accepted {
				t.Fatal(got)
			}
			if _, err := r.store.DB().ExecContext(ctx, fmt.Sprintf(
				`UPDATE jobs SET state = 'final', outcome = 'success', finished_at = %d`, received.UnixMicro())); err != nil {
				t.Fatal(err)
			}
			if err := r.store.Close(); err != nil {
				t.Fatal(err)
			}
			r.sweep(t, 48*time.Hour, 24*time.Hour)
			r.open(t, func(c *Config) { c.Channels = nil })
			r.now = time.Now()
			c := newCatchUp(r, h)
			c.cfg.Channels, c.cfg.MaxAge = []string{"C9"}, 30*24*time.Hour
			if err := c.round(ctx); err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff([]string{missed}, r.links(t)); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
		})
	}
}

// sweep lets the store remove all messages there are.
func (r *rig) sweep(t *testing.T, keep, backfill time.Duration) {
	t.Helper()
	s, err := store.Open(t.Context(), r.path, store.WithHistory(keep, backfill))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var n int
		if err := s.Reader().QueryRowContext(t.Context(), `SELECT count(*) FROM messages`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is removed")
		}
	}
}
