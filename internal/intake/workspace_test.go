package intake

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/test/slackfake"
)

const workspaceChannel = "C0TECHSHARE"

// process is what serve runs of the intake, on the rig's database.
type process struct {
	kill context.CancelFunc
	all  sync.WaitGroup
}

// serving begins what a start of serve begins. What it takes over HTTP goes to door.
func serving(t *testing.T, r *rig, api string, door *door) *process {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	p := &process{kill: kill}
	log := slog.New(slog.DiscardHandler)
	history := slack.NewHistory(slack.HistoryConfig{Token: "xoxb-fake", APIURL: api})
	catchUp := NewCatchUp(CatchUpConfig{
		Intake: r.Intake, Store: r.store, History: history, Channels: []string{workspaceChannel}, MaxAge: time.Hour, Now: time.Now, Logger: log,
	})
	sockets := slack.NewSockets(slack.SocketsConfig{AppToken: "xapp-fake", APIURL: api, Sink: r.Intake, Reconnected: catchUp.Again, Logger: log})
	p.all.Go(func() { _ = r.Introduce(ctx, history) })
	p.all.Go(func() { catchUp.Run(ctx) })
	p.all.Go(func() {
		if err := sockets.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	door.open(slack.NewEvents(slack.EventsConfig{SigningSecret: "signing-secret", Sink: r.Intake, Logger: log}))
	return p
}

// door is the address that stays while processes come and go.
type door struct {
	mu      sync.Mutex
	handler http.Handler // nil: nobody is there
	inside  sync.WaitGroup
}

func (d *door) open(h http.Handler) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handler = h
}

func (d *door) close() {
	d.open(nil)
	d.inside.Wait()
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	h := d.handler
	if h != nil {
		d.inside.Add(1)
		defer d.inside.Done()
	}
	d.mu.Unlock()
	if h == nil {
		panic(http.ErrAbortHandler)
	}
	h.ServeHTTP(w, r)
}

// A workspace that keeps Slack's rules delivers late, twice, in disorder and over both ways,
// hears few acknowledgements, drops and renews connections, and the process is started anew
// again and again: in the end each link that is still there has one job, and no other link has.
func TestAWorkspaceThatFailsAsSlackDoes(t *testing.T) {
	const messages, restarts = 80, 4
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var lock sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	chance := func(percent int) bool {
		lock.Lock()
		defer lock.Unlock()
		return random.IntN(100) < percent
	}
	upTo := func(d time.Duration) time.Duration {
		lock.Lock()
		defer lock.Unlock()
		return time.Duration(random.Int64N(int64(d)))
	}

	entrance := &door{}
	events := httptest.NewServer(entrance)
	defer events.Close()
	const retry = 200 * time.Millisecond
	workspace := slackfake.New(slackfake.Config{
		Channels: []string{workspaceChannel}, EventsURL: events.URL + slack.EventsPath,
		AckWithin: 2 * time.Second, Redeliver: []time.Duration{0, retry, retry, 2 * retry, 4 * retry, 8 * retry, 16 * retry, 32 * retry},
		Treat: func(slackfake.Event) slackfake.Treatment {
			treat := slackfake.Treatment{Delay: upTo(retry), ByHTTP: chance(50)}
			if chance(20) {
				treat.Unheard = 1
			}
			if chance(20) {
				treat.Again = upTo(2 * retry)
			}
			return treat
		},
	})
	api := httptest.NewServer(workspace)
	defer api.Close()
	defer workspace.Close()

	settings := func(c *Config) {
		c.Channels, c.Cooldown, c.Now = []string{workspaceChannel}, 0, time.Now
	}
	r := newRig(t, settings)
	p := serving(t, r, api.URL+"/api/", entrance)
	for i := range messages {
		text := fmt.Sprintf("<https://a%d.example> and <https://b%d.example|b>", i, i)
		m := workspace.Say(slackfake.Message{Channel: workspaceChannel, User: slackfake.Person, Text: text})
		var err error
		switch {
		case i%5 == 1:
			err = workspace.Edit(workspaceChannel, m.TS, fmt.Sprintf("<https://a%d.example> and <https://c%d.example>", i, i))
		case i%7 == 1:
			err = workspace.Delete(workspaceChannel, m.TS)
		}
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case i%(messages/restarts) == messages/restarts-1: // killed, and started after a while
			p.kill()
			entrance.close()
			p.all.Wait()
			if err := r.store.Close(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(upTo(2 * retry))
			r.open(t, settings)
			p = serving(t, r, api.URL+"/api/", entrance)
		case chance(5):
			workspace.DropSocket()
		case chance(5):
			workspace.RefreshSocket(retry)
		}
		time.Sleep(upTo(40 * time.Millisecond)) // people write when they write
	}
	for end := time.Now().Add(3 * patience); workspace.Deliveries().Underway > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("events are still on their way: %+v", workspace.Deliveries())
		}
	}
	p.kill()
	entrance.close()
	p.all.Wait()

	delivered := workspace.Deliveries()
	t.Logf("%d events, %d attempts, %d failed (%d without a connection), %d unheard, %d given up", delivered.Events, delivered.Attempts, delivered.Failed, delivered.NoSocket, delivered.Unheard, len(delivered.GivenUp))
	if delivered.Failed == 0 || delivered.Unheard == 0 || delivered.Again == 0 {
		t.Error("nothing failed: this test shows nothing")
	}
	want := []string{}
	for _, m := range workspace.Messages(workspaceChannel) {
		if !m.Deleted {
			want = append(want, slack.Links(m.Text, 3)...)
		}
	}
	got := r.links(t)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("%d links with jobs, want %d", len(got), len(want))
		for _, link := range want {
			if !slices.Contains(got, link) {
				t.Errorf("%s has none", link)
			}
		}
		for i, link := range got {
			if !slices.Contains(want, link) {
				t.Errorf("%s has one", link)
			} else if i > 0 && got[i-1] == link {
				t.Errorf("%s has two", link)
			}
		}
	}
}
