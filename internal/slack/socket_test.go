package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack/slacktest"

	"github.com/technoshare/commentator/internal/commentator"
)

// patience bounds what a test waits for.
const patience = 20 * time.Second

// socketServer is slacktest's Socket Mode server. What the client sends back is in acks.
type socketServer struct {
	*slacktest.Server
	acks chan string
}

func newSocketServer(t *testing.T, custom ...slacktest.Binder) *socketServer {
	t.Helper()
	s := &socketServer{Server: slacktest.NewTestServer(custom...), acks: make(chan string, 1000)}
	s.Start()
	t.Cleanup(s.Stop)
	go func() { // slacktest blocks on what nobody takes
		for m := range s.SeenFeed {
			var ack struct {
				EnvelopeID string `json:"envelope_id"`
			}
			if json.Unmarshal([]byte(m), &ack) == nil && ack.EnvelopeID != "" {
				s.acks <- ack.EnvelopeID
			}
		}
	}()
	return s
}

func (s *socketServer) send(id, event string, retry int) {
	s.SendToWebsocket(fmt.Sprintf(`{"type":"events_api","envelope_id":%q,"accepts_response_payload":false,"retry_attempt":%d,"payload":%s}`, id, retry, envelope(event)))
}

// run runs sockets until the test ends.
func run(t *testing.T, s *Sockets) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := within(t, ended); err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
}

func within[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came in time")
		panic("unreachable")
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); {
		if time.Now().After(end) {
			t.Fatalf("no %s in time", what)
		}
		time.Sleep(5 * time.Millisecond) // another goroutine's counter is polled
	}
}

const aMessage = `{"type":"message","channel":"C1","ts":"1.0","user":"U1","text":"x"}`

func TestSocketsDeliverAndThenAcknowledge(t *testing.T) {
	server := newSocketServer(t)
	s := &sink{took: make(chan Delivery, 10)}
	sockets := NewSockets(SocketsConfig{AppToken: "xapp-1", APIURL: server.GetAPIURL(), Sink: s, Logger: quiet()})
	run(t, sockets)
	await(t, "second connection", func() bool { return sockets.Open() == 2 })
	server.send("e1", aMessage, 0)
	if d := within(t, s.took); d.Source != SourceSocket || d.Retry {
		t.Errorf("delivery %+v", d)
	}
	if ack := within(t, server.acks); ack != "e1" {
		t.Errorf("acknowledged %s", ack)
	}
	server.send("e2", aMessage, 1)
	if d := within(t, s.took); !d.Retry {
		t.Error("it is not said that Slack repeats it")
	}
	within(t, server.acks)
}

// slack-go refuses some of these; they would come for ever if nobody acknowledged them.
func TestSocketsAcknowledgeWhatCannotBeRead(t *testing.T) {
	server := newSocketServer(t)
	s := &sink{}
	run(t, NewSockets(SocketsConfig{AppToken: "xapp-1", APIURL: server.GetAPIURL(), Sink: s, Connections: 1, Logger: quiet()}))
	server.send("unknown", `{"type":"moon_landed"}`, 0)
	server.send("blocks", `{"type":"message","channel":"C1","ts":"1.0","text":"x","blocks":{"type":7}}`, 0)
	server.send("malformed", `{"type":"message"}`, 0)
	server.SendToWebsocket(`{"type":"slash_commands","envelope_id":"slash","payload":{"command":"/x"}}`)
	server.SendToWebsocket(`{"type":"telepathy","envelope_id":"telepathy","payload":{}}`)
	server.SendToWebsocket(`{"type":"telepathy"}`)
	var got []string
	for range 5 {
		got = append(got, within(t, server.acks))
	}
	slices.Sort(got)
	if want := []string{"blocks", "malformed", "slash", "telepathy", "unknown"}; !slices.Equal(got, want) {
		t.Errorf("acknowledged %v, want %v", got, want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.deliveries) != 3 || len(s.refusals) != 2 {
		t.Errorf("%d deliveries, refusals %v", len(s.deliveries), s.refusals)
	}
}

func TestWhatCannotBeWrittenIsNotAcknowledged(t *testing.T) {
	server := newSocketServer(t)
	s := &sink{err: errors.New("disk full"), took: make(chan Delivery, 10)}
	run(t, NewSockets(SocketsConfig{AppToken: "xapp-1", APIURL: server.GetAPIURL(), Sink: s, Connections: 1, Logger: quiet()}))
	server.send("e1", aMessage, 0)
	within(t, s.took)
	s.mu.Lock()
	s.err = nil
	s.mu.Unlock()
	server.send("e2", aMessage, 1)
	if ack := within(t, server.acks); ack != "e2" {
		t.Errorf("acknowledged %s, which was not written", ack)
	}
}

// A database that never answers does not hold up for ever what comes over a connection.
func TestADeliveryOverASocketHasATime(t *testing.T) {
	server := newSocketServer(t)
	limited := make(chan bool, 1)
	deliver := sinkFunc(func(ctx context.Context) error {
		_, has := ctx.Deadline()
		limited <- has
		return nil
	})
	run(t, NewSockets(SocketsConfig{AppToken: "xapp-1", APIURL: server.GetAPIURL(), Sink: deliver, Connections: 1, Logger: quiet()}))
	server.send("e1", aMessage, 0)
	if !within(t, limited) {
		t.Error("it has no deadline")
	}
	within(t, server.acks)
}

// Slack announces that it closes a connection; the other one takes over until it is open again.
func TestARefreshLeavesNoGap(t *testing.T) {
	hold, third := make(chan struct{}), make(chan struct{})
	var n atomic.Int32
	server := newSocketServer(t, func(c slacktest.Customize) {
		c.Handle("/apps.connections.open", func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 3 { // the refreshed one takes its time
				close(third)
				select {
				case <-hold:
				case <-r.Context().Done():
				}
			}
			fmt.Fprintf(w, `{"ok":true,"url":"ws://%s/ws"}`, r.Host)
		})
	})
	s := &sink{took: make(chan Delivery, 10)}
	again := make(chan struct{}, 10)
	sockets := NewSockets(SocketsConfig{
		AppToken: "xapp-1", APIURL: server.GetAPIURL(), Sink: s, Logger: quiet(), Reconnected: func() { again <- struct{}{} },
	})
	run(t, sockets)
	await(t, "second connection", func() bool { return sockets.Open() == 2 })
	server.SendToWebsocket(`{"type":"disconnect","reason":"warning","debug_info":{"host":"x"}}`)
	await(t, "refresh", func() bool { return sockets.Open() == 1 })
	within(t, third)
	// slacktest hands a message to either socket, also to the one that is closed: it is sent
	// until it comes, as Slack would.
	for i := 0; len(s.took) == 0; i++ {
		server.send(fmt.Sprintf("e%d", i), aMessage, i)
		time.Sleep(20 * time.Millisecond)
	}
	if sockets.Open() != 1 {
		t.Errorf("%d connections are open", sockets.Open())
	}
	close(hold)
	await(t, "second connection", func() bool { return sockets.Open() == 2 })
	if len(again) != 0 {
		t.Error("it is said that no connection was open")
	}
}

func TestWhenNoConnectionWasOpenItIsSaid(t *testing.T) {
	server := newSocketServer(t)
	again := make(chan struct{}, 10)
	sockets := NewSockets(SocketsConfig{
		AppToken: "xapp-1", APIURL: server.GetAPIURL(), Sink: &sink{}, Connections: 1, Logger: quiet(),
		Reconnected: func() { again <- struct{}{} },
	})
	run(t, sockets)
	await(t, "connection", func() bool { return sockets.Open() == 1 })
	if len(again) != 0 {
		t.Error("the first connection counts as one again")
	}
	server.SendToWebsocket(`{"type":"disconnect","reason":"refresh_requested"}`)
	within(t, again)
}

// What doctor says of a token: an error that passes is not the token's.
func TestACountOfSocketsTellsARefusedToken(t *testing.T) {
	for _, c := range []struct {
		status  int
		answer  string
		refused bool
	}{
		{200, "invalid_auth", true}, {200, "missing_scope", true}, {404, "", true}, {200, "internal_error", false}, {503, "", false},
	} {
		server := newSocketServer(t, func(s slacktest.Customize) {
			s.Handle("/apps.connections.open", func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				fmt.Fprintf(w, `{"ok":false,"error":%q}`, c.answer)
			})
		})
		_, err := OtherSockets(t.Context(), SocketsConfig{AppToken: "xapp-hush", APIURL: server.GetAPIURL()})
		if refused := commentator.ErrorCode(err) == "slack_app_token"; err == nil || refused != c.refused || strings.Contains(err.Error(), "hush") {
			t.Errorf("%d %s: %v", c.status, c.answer, err)
		}
	}
}

func TestARefusedAppTokenEndsIt(t *testing.T) {
	for _, answer := range []string{"invalid_auth", "not_allowed_token_type", "missing_scope"} {
		server := newSocketServer(t, func(c slacktest.Customize) {
			c.Handle("/apps.connections.open", func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"ok":false,"error":%q}`, answer)
			})
		})
		err := NewSockets(SocketsConfig{AppToken: "xapp-hush", APIURL: server.GetAPIURL(), Sink: &sink{}, Logger: quiet()}).Run(t.Context())
		if commentator.ErrorCode(err) != "slack_app_token" || !strings.Contains(err.Error(), answer) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", answer, err)
		}
	}
}
