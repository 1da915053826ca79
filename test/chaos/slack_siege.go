//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/technoshare/commentator/test/sandbox"
	"github.com/technoshare/commentator/test/slackfake"
)

type slackOptions struct {
	options
	messages int
	kills    int
	channels int
}

// Slack delivers again at once, after a minute and after five; here time is shorter by this.
const faster = 60

// slackSiege is one run against the fake Slack.
type slackSiege struct {
	o        slackOptions
	dir      string
	began    time.Time
	bell     *bell
	site     *editions
	fake     *slackfake.Workspace
	server   *http.Server
	worker   *program
	channels []string
	messages []said

	record  record
	changes sync.WaitGroup // of messages, that are to come
	trouble troubles

	mu      sync.Mutex
	random  *rand.Rand // of what is cut off
	log     []slackAct
	stepped int // kills that are done
	deaths  int
	last    time.Time // of a request, a delivery or a kill
	said    int       // messages that are written
}

// slackAct is a kill: a line of the raw log.
type slackAct struct {
	N       int     `json:"n"`
	Seconds float64 `json:"seconds"`
	On      event   `json:"on"`
	After   int     `json:"after"`
	Down    float64 `json:"down_seconds"`
	// Waiting are answers that are due, Underway events that are not acknowledged.
	Waiting  int  `json:"answers_due"`
	Underway int  `json:"events_underway"`
	InPeace  bool `json:"in_peace,omitempty"` // stopped by SIGTERM
}

func newSlackSiege(o slackOptions, dir string) (*slackSiege, error) {
	s := &slackSiege{o: o, dir: dir, began: time.Now(), bell: &bell{}, last: time.Now()}
	s.random = rand.New(rand.NewPCG(o.seed, 1))
	var err error
	if s.site, err = startEditions(o.top, s.bell); err != nil {
		return nil, err
	}
	ports, err := sandbox.FreePorts(3)
	if err != nil {
		return nil, err
	}
	events := addressOf(ports[0])
	for i := range o.channels {
		s.channels = append(s.channels, fmt.Sprintf("C0SOAK%04d", i+1))
	}
	s.fake = slackfake.New(slackfake.Config{
		Channels: s.channels, EventsURL: "http://" + events + "/slack/events",
		Redeliver: []time.Duration{0, time.Minute / faster, 5 * time.Minute / faster},
		Treat:     treatmentOf(o.seed), Happen: s.happen,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.server = &http.Server{Handler: s.fake}
	go func() { _ = s.server.Serve(l) }()
	s.messages = messagesOf(rand.New(rand.NewPCG(o.seed, 2)), o.messages, s.channels)
	home := filepath.Join(dir, string(worker))
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	s.worker = &program{
		name: worker, dir: home, command: []string{filepath.Join(o.bin, "commentator"), "serve"},
		env: []string{
			"DB_PATH=" + s.database(), "RETRIEVAL_ALLOW_HOSTS=loopback",
			"SLACK_API_URL=http://" + l.Addr().String() + "/api/", "SLACK_APP_TOKEN=xapp-fake", "SLACK_BOT_TOKEN=xoxb-fake",
			"SLACK_SIGNING_SECRET=signing-secret", "SLACK_EVENTS_ADDR=" + events,
			"TECHNOSHARE_CHANNEL_ID=" + strings.Join(s.channels, ","),
		},
		died: s.trouble.add,
	}
	return s, nil
}

func (s *slackSiege) database() string { return filepath.Join(s.dir, string(worker), "db.sqlite") }

// happen is called by the fake at each moment.
func (s *slackSiege) happen(m slackfake.Moment) bool {
	s.mu.Lock()
	deaths := s.deaths
	s.last = time.Now()
	cut := s.random.IntN(100) < cuts[m]
	coin := s.random.IntN(2) == 0
	s.mu.Unlock()
	s.bell.ring(event(m), 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaths > deaths { // the request may or may not have come through before its sender died
		return m == slackfake.Asked && coin
	}
	return cut
}

// due is how many answers are due and not there.
func (s *slackSiege) due() (n int) {
	held := s.record.held(s.fake, s.channels)
	for _, m := range s.written() {
		n += len(missing(m, held[threadKey{m.Channel, m.TS}]))
	}
	return n
}

// written are the messages that are in Slack.
func (s *slackSiege) written() []said {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages[:s.said])
}

// run writes the messages and kills the worker meanwhile.
func (s *slackSiege) run(ctx context.Context, plan []slackStep) error {
	if err := s.worker.start(); err != nil {
		return err
	}
	if err := s.connected(ctx); err != nil {
		return err
	}
	fed := make(chan error, 1)
	go func() { fed <- s.feed(ctx, len(plan)) }()
	for i, st := range plan {
		err := s.until(ctx, "messages to be written", s.o.patience, func() bool { return len(s.written()) >= s.allowed(0, len(plan)) })
		if err != nil {
			return err
		}
		if err := s.kill(ctx, st); err != nil {
			return fmt.Errorf("kill %d (%+v): %w", i+1, st, err)
		}
	}
	select {
	case err := <-fed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.o.patience):
		return fmt.Errorf("write the last messages: %w", os.ErrDeadlineExceeded)
	}
}

// connected waits until the worker has a socket.
func (s *slackSiege) connected(ctx context.Context) error {
	return s.until(ctx, "the worker to open a socket", time.Minute, func() bool {
		open, _ := s.fake.Sockets()
		return open > 0
	})
}

// until waits for a condition; when it takes too long, what the worker said last says more.
func (s *slackSiege) until(ctx context.Context, what string, patience time.Duration, met func() bool) error {
	err := s.trouble.until(ctx, what, patience, met)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w\n%s", err, s.worker.tail())
	}
	return err
}

// rareAfter is how long a kill waits for an event that may not come: another one then takes its place.
const rareAfter = 30 * time.Second

// kill does one step of the plan.
func (s *slackSiege) kill(ctx context.Context, st slackStep) error {
	for {
		done := make(chan slackAct, 1)
		cancel := s.bell.set(st.On, st.After, func() { done <- s.strike(st) })
		var a slackAct
		select {
		case <-ctx.Done():
			return ctx.Err()
		case a = <-done:
		case <-time.After(rareAfter):
			if !cancel() {
				a = <-done
				break
			}
			if err := s.trouble.err(); err != nil {
				return err
			}
			if st.On == eventPosted && st.After == 1 {
				return fmt.Errorf("nothing is posted any more, %d answers are due: %w\n%s", s.due(), os.ErrDeadlineExceeded, s.worker.tail())
			}
			st.On, st.After = eventPosted, 1
			s.mu.Lock()
			s.stepped++ // so that more messages come
			s.mu.Unlock()
			continue
		}
		s.note(a)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(st.Down):
		}
		return s.worker.start()
	}
}

// strike kills the worker while the event is held.
func (s *slackSiege) strike(st slackStep) slackAct {
	s.worker.kill()
	s.fake.Forget()
	s.mu.Lock()
	s.deaths++
	s.mu.Unlock()
	return slackAct{
		Seconds: time.Since(s.began).Seconds(), On: st.On, After: st.After, Down: st.Down.Seconds(),
		Waiting: s.due(), Underway: s.fake.Deliveries().Underway,
	}
}

func (s *slackSiege) note(a slackAct) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.N = len(s.log) + 1
	s.log = append(s.log, a)
	s.stepped++
	s.last = time.Now()
	fmt.Fprintf(os.Stderr, "%6.1f s  kill at %d × %s, %.1f s away: %d of %d messages written, %d answers due, %d events under way\n",
		a.Seconds, a.After, a.On, a.Down, s.said, len(s.messages), a.Waiting, a.Underway)
}

// allowed is how many messages may be written before so many more kills are done.
func (s *slackSiege) allowed(more, kills int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages) * min(s.stepped+more, kills+1) / (kills + 1)
}

// feed writes the messages, as many as the kills so far allow. So many answers may be due that
// the limit of every channel is met.
func (s *slackSiege) feed(ctx context.Context, kills int) error {
	random := rand.New(rand.NewPCG(s.o.seed, 3))
	window := 5 * s.o.channels
	for i := range s.messages {
		for {
			limit := window
			if !s.worker.ready() {
				limit *= 2 // people do not know
			}
			if i < s.allowed(1, kills) && s.due() < limit {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
		if err := s.write(ctx, i); err != nil {
			return err
		}
		switch random.IntN(50) {
		case 0:
			s.fake.DropSocket()
		case 1:
			s.fake.RefreshSocket(time.Duration(random.IntN(2000)) * time.Millisecond)
		}
	}
	return nil
}

// write writes message i, and changes it later when its kind asks for it.
func (s *slackSiege) write(ctx context.Context, i int) error {
	m := s.messages[i]
	text := m.text(s.site.link, m.Links)
	switch m.Kind {
	case robot:
		m.TS = s.fake.Say(slackfake.Message{Channel: m.Channel, User: "U0OTHERBOT", BotID: "B0OTHERBOT", Text: text}).TS
	case inReply:
		first := s.fake.Say(slackfake.Message{Channel: m.Channel, User: slackfake.Person, Text: text})
		m.TS = s.fake.Say(slackfake.Message{Channel: m.Channel, User: slackfake.Person, ThreadTS: first.TS, Text: "I would like one."}).TS
	default:
		m.TS = s.fake.Say(slackfake.Message{Channel: m.Channel, User: slackfake.Person, Text: text}).TS
	}
	s.mu.Lock()
	s.messages[i], s.said = m, i+1
	s.mu.Unlock()
	var change func() error
	switch m.Kind {
	case preview:
		change = func() error { return s.fake.Edit(m.Channel, m.TS, "") }
	case edited:
		change = func() error {
			return s.fake.Edit(m.Channel, m.TS, m.text(s.site.link, append(slices.Clone(m.Links), m.Added...)))
		}
	case deleted:
		change = func() error { return s.fake.Delete(m.Channel, m.TS) }
	default:
		return nil
	}
	s.changes.Go(func() {
		select {
		case <-ctx.Done():
		case <-time.After(m.After):
			if err := change(); err != nil {
				s.worker.died(err.Error())
			}
		}
	})
	return nil
}
