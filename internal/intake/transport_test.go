package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack/slacktest"

	"github.com/technoshare/commentator/internal/slack"
)

const (
	secret   = "8f742231b10e8888abcd99yyyzzz85a5"
	patience = 20 * time.Second
)

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

// post signs a body, posts it and returns the status.
func post(t *testing.T, address string, body []byte, signedAt time.Time, with string, header map[string]string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = slack.Sign(with, signedAt, body)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func newServer(t *testing.T, r *rig) string {
	t.Helper()
	server := httptest.NewServer(slack.NewEvents(slack.EventsConfig{
		SigningSecret: secret, Sink: r, Now: r.clock, Logger: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return server.URL + slack.EventsPath
}

// Wrong requests get the status that they deserve, a count, and neither a job nor a panic.
func TestBadRequestsMakeNoJobs(t *testing.T) {
	r := newRig(t)
	address := newServer(t, r)
	good := envelope(message(ts, "https://a.example"))
	large := append([]byte(`{"x":"`), bytes.Repeat([]byte("x"), 2<<20)...)
	now := time.Now()
	for _, tt := range []struct {
		name   string
		body   []byte
		at     time.Time
		secret string
		status int
		count  Outcome
	}{
		{"wrong signature", good, now, "other", 401, "bad_signature"},
		{"old timestamp", good, now.Add(-10 * time.Minute), secret, 401, "old_timestamp"},
		{"oversized", large, now, secret, 413, "too_large"},
		{"malformed", []byte(`{"type":"event_callback","event":{"type":"message"}}`), now, secret, 400, Malformed},
		{"unknown event", envelope(map[string]any{"type": "moon_landed"}), now, secret, 200, Unknown},
	} {
		if status := post(t, address, tt.body, tt.at, tt.secret, nil); status != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, status, tt.status)
		}
		if n := r.Counts()[Tally{slack.SourceHTTP, tt.count, false}]; n != 1 {
			t.Errorf("%s: counted %d times", tt.name, n)
		}
	}
	if jobs := r.jobs(t); len(jobs) != 0 {
		t.Errorf("jobs %+v", jobs)
	}
	if status := post(t, address, good, now, secret, nil); status != 200 || len(r.jobs(t)) != 1 {
		t.Errorf("a good one: status %d, %d jobs", status, len(r.jobs(t)))
	}
}

// Slack may deliver one event over several ways at a time.
func TestParallelDeliveriesMakeOneJob(t *testing.T) {
	r := newRig(t)
	address := newServer(t, r)
	body := envelope(message(ts, "https://a.example"))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if status := post(t, address, body, time.Now(), secret, map[string]string{"X-Slack-Retry-Num": fmt.Sprint(i)}); status != 200 {
				t.Errorf("status %d", status)
			}
		})
		all.Go(func() {
			if err := r.Deliver(t.Context(), slack.Delivery{Source: slack.SourceSocket, Raw: body, ReceivedAt: start}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if jobs := r.jobs(t); len(jobs) != 1 {
		t.Errorf("%d jobs", len(jobs))
	}
	accepted := int64(0)
	for tally, n := range r.Counts() {
		if tally.Outcome == Accepted {
			accepted += n
		}
	}
	if accepted != 1 {
		t.Errorf("accepted %d times", accepted)
	}
}

// dying commits a delivery and then ends the process, so to speak, before Slack is told.
type dying struct {
	*rig
	die  func()
	died chan error
}

func (d dying) Deliver(ctx context.Context, delivery slack.Delivery) error {
	err := d.rig.Deliver(ctx, delivery)
	d.die()
	d.died <- err
	return errors.New("killed")
}

func TestACrashBetweenCommitAndAcknowledgementMakesNoSecondJob(t *testing.T) {
	r := newRig(t)
	server := slacktest.NewTestServer()
	server.Start()
	defer server.Stop()
	acks := make(chan string, 10)
	go func() {
		for {
			select {
			case m := <-server.SeenFeed:
				var ack struct {
					EnvelopeID string `json:"envelope_id"`
				}
				if json.Unmarshal([]byte(m), &ack) == nil && ack.EnvelopeID != "" {
					acks <- ack.EnvelopeID
				}
			case <-t.Context().Done():
				return
			}
		}
	}()
	send := func(id string, retry int) {
		server.SendToWebsocket(fmt.Sprintf(`{"type":"events_api","envelope_id":%q,"retry_attempt":%d,"payload":%s}`, id, retry, envelope(message(ts, "https://a.example"))))
	}
	run := func(ctx context.Context, s slack.Sink) <-chan error {
		ended := make(chan error, 1)
		sockets := slack.NewSockets(slack.SocketsConfig{
			AppToken: "xapp-1", APIURL: server.GetAPIURL(), Connections: 1, Sink: s, Logger: slog.New(slog.DiscardHandler),
		})
		go func() { ended <- sockets.Run(ctx) }()
		return ended
	}

	first, kill := context.WithCancel(t.Context())
	died := make(chan error, 1)
	ended := run(first, dying{r, kill, died})
	send("e1", 0)
	if err := within(t, died); err != nil {
		t.Fatal(err)
	}
	within(t, ended)
	if len(acks) != 0 {
		t.Fatal("it was acknowledged before the crash")
	}

	r.restart(t)
	second, stop := context.WithCancel(t.Context())
	ended = run(second, r)
	// slacktest may hand it to the dead connection: it is sent until it comes, as Slack would.
	acknowledged := func() bool {
		select {
		case <-acks:
			return true
		case <-time.After(200 * time.Millisecond):
			return false
		}
	}
	for i := 1; !acknowledged(); i++ {
		send(fmt.Sprintf("e1-%d", i), i)
	}
	stop()
	within(t, ended)
	if n := r.Counts()[Tally{slack.SourceSocket, Duplicate, true}]; n == 0 {
		t.Errorf("counts %v", r.Counts())
	}
	if jobs := r.jobs(t); len(jobs) != 1 {
		t.Errorf("%d jobs", len(jobs))
	}
}
