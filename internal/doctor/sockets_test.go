package doctor

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/test/slackfake"
)

// nowhere takes no event.
type nowhere struct{}

func (nowhere) Deliver(context.Context, slack.Delivery) error              { return nil }
func (nowhere) Refused(context.Context, slack.Source, slack.Refusal, bool) {}

// connect opens connections of Socket Mode as a worker does, until the test ends.
func connect(t *testing.T, apiURL string, connections int) {
	t.Helper()
	s := slack.NewSockets(slack.SocketsConfig{AppToken: "xapp-fake", APIURL: apiURL, Connections: connections, Sink: nowhere{}, Logger: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	for deadline := time.Now().Add(20 * time.Second); s.Open() < connections; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d connections are open", s.Open(), connections)
		}
	}
}

func TestConnectionsOfSocketModeAreCounted(t *testing.T) {
	r := workspace(t, slackfake.Config{})
	apiURL := r.patient(t).Config.SlackAPIURL
	path := r.database(t, nil)
	lock := flock.New(path + ".lock")
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Unlock() }()
	names(t, r.probe(t, "slack-sockets"), Fail, "0 are open, and a worker runs here", "SLACK_APP_TOKEN")
	connect(t, apiURL, 2)
	got := r.probe(t, "slack-sockets")
	names(t, got, OK, "2 are open, and a worker runs here")
	if got.Wrote == "" {
		t.Error("it does not say that it opened a connection")
	}
	connect(t, apiURL, 2) // the old deployment, still running
	names(t, r.probe(t, "slack-sockets"), Warn, "4 are open, and a worker runs here", "the other program")
	connect(t, apiURL, 6)
	names(t, r.probe(t, "slack-sockets"), Fail, "as many connections of Socket Mode as Slack allows")
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
}
