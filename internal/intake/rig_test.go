package intake

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/test/dbtest"
)

func TestMain(m *testing.M) {
	// slacktest never ends what hands out and takes its messages.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/slack-go/slack/slacktest.handlePendingMessages"),
		goleak.IgnoreAnyFunction("github.com/slack-go/slack/slacktest.(*Server).queueForWebsocket"),
		goleak.IgnoreAnyFunction("github.com/slack-go/slack/slacktest.(*Server).postProcessMessage"))
}

// start is when the tests begin.
var start = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// rig is an intake on a database of its own, with a queue that only counts.
type rig struct {
	*Intake
	store *store.Store
	path  string

	mu       sync.Mutex
	now      time.Time
	enqueued []int64
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{now: start, path: dbtest.New(t)}
	r.open(t, change...)
	t.Cleanup(func() { _ = r.store.Close() })
	return r
}

// open opens the database, as after the start of a process.
func (r *rig) open(t rapid.TB, change ...func(*Config)) {
	t.Helper()
	var err error
	if r.store, err = store.Open(context.Background(), r.path); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Store: r.store, Enqueue: r.enqueue, Channels: []string{"C1", "C2"}, MaxLinks: 3, Cooldown: 24 * time.Hour,
		Now: r.clock, Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	r.Intake = New(cfg)
	if err := r.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// restart closes the database and opens it again.
func (r *rig) restart(t rapid.TB) {
	t.Helper()
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	r.open(t)
}

func (r *rig) enqueue(_ context.Context, _ *sql.Tx, id int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enqueued = append(r.enqueued, id)
	return nil
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// deliver hands an event over and returns what became of it.
func (r *rig) deliver(t rapid.TB, event map[string]any) Outcome {
	t.Helper()
	outcome, err := r.take(context.Background(), slack.Delivery{Source: slack.SourceHTTP, Raw: envelope(event), ReceivedAt: r.clock()})
	if err != nil {
		t.Fatalf("deliver %v: %v", event, err)
	}
	return outcome
}

// envelope wraps an event as Slack does, with an id that is the event's own.
func envelope(event map[string]any) []byte {
	text, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	raw, err := json.Marshal(map[string]any{
		"type": "event_callback", "event_id": fmt.Sprintf("Ev%x", text), "event": json.RawMessage(text),
		"authorizations": []any{map[string]any{"user_id": "U0BOT", "is_bot": true}},
	})
	if err != nil {
		panic(err)
	}
	return raw
}

// message is the event of a new message, with what is changed in it.
func message(ts, text string, more ...map[string]any) map[string]any {
	m := map[string]any{"type": "message", "channel": "C1", "user": "U1", "ts": ts, "event_ts": ts, "text": text}
	for _, fields := range more {
		for k, v := range fields {
			m[k] = v
		}
	}
	return m
}

// edit is the event of a message whose text changed.
func edit(ts, at, before, after string) map[string]any {
	return map[string]any{
		"type": "message", "subtype": "message_changed", "channel": "C1", "ts": at, "event_ts": at, "hidden": true,
		"message":          map[string]any{"type": "message", "user": "U1", "ts": ts, "text": after, "edited": map[string]any{"user": "U1", "ts": at}},
		"previous_message": map[string]any{"type": "message", "user": "U1", "ts": ts, "text": before},
	}
}

// deletion is the event of a message that was deleted.
func deletion(ts, at, before string) map[string]any {
	return map[string]any{
		"type": "message", "subtype": "message_deleted", "channel": "C1", "ts": at, "event_ts": at, "deleted_ts": ts, "hidden": true,
		"previous_message": map[string]any{"type": "message", "user": "U1", "ts": ts, "text": before},
	}
}

// links returns the links of all jobs that were not taken back, in the order of jobs. As
// nobody works on them, those that were are final.
func (r *rig) links(t rapid.TB) []string {
	t.Helper()
	return r.linksOf(t, func(commentator.Message) bool { return true })
}

// linksOf returns those of some messages.
func (r *rig) linksOf(t rapid.TB, of func(commentator.Message) bool) []string {
	t.Helper()
	links := []string{}
	for _, j := range slices.Backward(r.jobs(t)) {
		if j.State == commentator.JobFinal {
			continue
		}
		m, err := r.store.Message(context.Background(), j.MessageID)
		if err != nil {
			t.Fatal(err)
		}
		if of(m) {
			links = append(links, j.URL)
		}
	}
	return links
}

// jobs returns all jobs, the newest first.
func (r *rig) jobs(t rapid.TB) []commentator.Job {
	t.Helper()
	jobs, err := r.store.ListJobs(context.Background(), store.Filter{Limit: -1})
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}
