package slackfake

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Who the app is in every workspace of this package.
const (
	TeamID  = "T0FAKETEAM"
	AppID   = "A0FAKEAPP"
	BotUser = "U0FAKEBOT"
	BotID   = "B0FAKEBOT"
	// Person is a member of all channels.
	Person = "U0123456789"
)

// Config is what a Workspace is like. The zero value of a field is its default.
type Config struct {
	// Channels exist, with the app and Person in them. Default: C0TECHSHARE.
	Channels []string
	// BotToken and AppToken are those that are accepted; SigningSecret signs events. Defaults
	// "xoxb-fake", "xapp-fake" and "signing-secret".
	BotToken, AppToken, SigningSecret string
	// Scopes are those of the bot token, as auth.test names them. Default: those of the app's
	// manifest.
	Scopes []string
	// EventsURL is where events are posted to. Empty: they go to sockets only.
	EventsURL string

	// Limits are those of requests.
	Limits Limits
	// UnseenFor is how long a post is not in conversations.replies. Default 2 s; below 0: it is
	// there at once.
	UnseenFor time.Duration
	// AckWithin is how long an event may take to be acknowledged. Default 3 s.
	AckWithin time.Duration
	// Redeliver are the waits before an event is delivered again. Default 0, 1 min, 5 min.
	Redeliver []time.Duration
	// Wait lets the rest of AckWithin pass after an acknowledgement that Slack does not hear, and
	// reports whether it did. Default: it takes that long.
	Wait func(ctx context.Context, d time.Duration) bool

	// Treat chooses what happens to the deliveries of an event. Default: nothing does.
	Treat func(Event) Treatment
	// Happen is called at moments of requests and deliveries, which wait for it. What it cuts
	// off goes no further: a request that is asked is not carried out, one that is carried out
	// is not answered. Default: nothing is cut off.
	Happen func(Moment) (cut bool)
}

func (c Config) withDefaults() Config {
	if len(c.Channels) == 0 {
		c.Channels = []string{"C0TECHSHARE"}
	}
	for field, value := range map[*string]string{&c.BotToken: "xoxb-fake", &c.AppToken: "xapp-fake", &c.SigningSecret: "signing-secret"} {
		if *field == "" {
			*field = value
		}
	}
	if c.Scopes == nil {
		c.Scopes = []string{"channels:history", "groups:history", "reactions:read", "reactions:write", "chat:write"}
	}
	c.Limits = c.Limits.withDefaults()
	if c.UnseenFor == 0 {
		c.UnseenFor = 2 * time.Second
	}
	if c.AckWithin == 0 {
		c.AckWithin = 3 * time.Second
	}
	if c.Redeliver == nil {
		c.Redeliver = []time.Duration{0, time.Minute, 5 * time.Minute}
	}
	if c.Wait == nil {
		c.Wait = sleep
	}
	if c.Treat == nil {
		c.Treat = func(Event) Treatment { return Treatment{} }
	}
	if c.Happen == nil {
		c.Happen = func(Moment) bool { return false }
	}
	return c
}

// Workspace is a Slack workspace. It is an http.Handler that serves /api/METHOD and the
// addresses of sockets. It is safe for concurrent use.
type Workspace struct {
	cfg     Config
	buckets buckets
	sockets sockets
	courier courier

	mu       sync.Mutex
	lastTS   time.Time
	messages map[string][]*Message // by channel, in the order of their timestamps
	events   int
}

var _ http.Handler = (*Workspace)(nil)

// New returns a workspace without messages. Close ends what it does in the background.
func New(cfg Config) *Workspace {
	cfg = cfg.withDefaults()
	w := &Workspace{cfg: cfg, messages: map[string][]*Message{}}
	w.buckets.limits = cfg.Limits
	w.courier.ctx, w.courier.stop = context.WithCancel(context.Background())
	for _, c := range cfg.Channels {
		w.messages[c] = nil
	}
	return w
}

// Close closes all sockets, gives up events that are on their way, and waits for the end of that.
func (w *Workspace) Close() {
	w.courier.stop()
	w.sockets.closeAll()
	w.courier.running.Wait()
}

// Message is a message as the workspace holds it.
type Message struct {
	Channel  string
	TS       string
	ThreadTS string // of the message that it replies to; empty: none
	User     string
	BotID    string // empty: a person wrote it
	Text     string
	Blocks   json.RawMessage // nil: none
	Metadata *Metadata       // nil: none
	EditedTS string          // empty: never edited
	At       time.Time       // when it was accepted
	Deleted  bool
	// Tombstone: it was deleted and its thread goes on.
	Tombstone bool
	Reactions map[string][]string // people by reaction
}

// Metadata is what an app attached to its message.
type Metadata struct {
	EventType    string          `json:"event_type"`
	EventPayload json.RawMessage `json:"event_payload"`
}

// Messages returns all messages of a channel that were ever accepted, deleted ones too.
func (w *Workspace) Messages(channel string) []Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Message
	for _, m := range w.messages[channel] {
		all = append(all, *m)
	}
	return all
}

// find returns a message that is not deleted.
func (w *Workspace) find(channel, ts string) *Message {
	for _, m := range w.messages[channel] {
		if m.TS == ts && !m.Deleted {
			return m
		}
	}
	return nil
}

func (w *Workspace) hasReplies(channel, ts string) bool {
	return slices.ContainsFunc(w.messages[channel], func(m *Message) bool { return m.ThreadTS == ts && m.TS != ts && !m.Deleted })
}

// next is a timestamp that no message has, later than all others.
func (w *Workspace) next() string {
	now := time.Now().Truncate(time.Microsecond)
	if !now.After(w.lastTS) {
		now = w.lastTS.Add(time.Microsecond)
	}
	w.lastTS = now
	return fmt.Sprintf("%d.%06d", now.Unix(), now.Nanosecond()/1000)
}

// add notes a message that was accepted. The caller holds the lock.
func (w *Workspace) add(m Message) *Message {
	m.TS, m.At = w.next(), time.Now()
	w.messages[m.Channel] = append(w.messages[m.Channel], &m)
	return &m
}
