//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/technoshare/commentator/test/sandbox"
	"github.com/technoshare/commentator/test/slackfake"
)

// What is put into the database before anything is measured, and how fast events come.
const (
	ingestWaiting = 10_000 // jobs, unless -jobs says otherwise
	ingestHistory = 10     // for each of them so many that ended long ago
	ingestRate    = 50     // events a second
	ingestSenders = 16     // at once, when as many come as are taken
)

const ingestChannel = "C0BENCH0001"

// ingestBench measures the way of an event into the database of one backend, and the way of a
// job out of it.
type ingestBench struct {
	o        options
	backend  string // sqlite or postgres
	database string // a path, or an address
	dir      string
	bin      string
	page     []byte

	site    *http.Server
	port    int
	asked   chan time.Time // pages that were asked for; full: nobody looks
	fake    *slackfake.Workspace
	server  *http.Server
	api     string
	events  string       // host:port at which the worker takes events
	byHTTP  atomic.Bool  // how the fake delivers
	links   atomic.Int64 // that were made so far
	planted int          // jobs that did not come as events
	// While pages are counted out, the site answers one for each event that came: as many jobs wait
	// afterwards as before.
	counted atomic.Bool
	pages   chan struct{}
	length  ingestLength
}

// ingestLength is how long the steps take.
type ingestLength struct {
	memory time.Duration // from a start until its memory is looked at
	paced  time.Duration // of events at a rate
	burst  time.Duration // of as many events as are taken
	idle   int           // jobs that come one by one to a queue that is empty
}

var ingestLengths = ingestLength{memory: 10 * time.Second, paced: 20 * time.Second, burst: 10 * time.Second, idle: 300}

// ingestRaw is what was measured with one backend.
type ingestRaw struct {
	Starts  []ingestStart        `json:"starts"`
	Open    []openJobs           `json:"open_jobs"`    // before and after each step
	Acks    map[string][]float64 `json:"ack_ms"`       // at ingestRate, by transport
	Rates   []float64            `json:"events_per_s"` // of each round
	Loaded  []float64            `json:"ack_loaded_ms"`
	Jobs    []float64            `json:"jobs_per_s"` // of each second
	Busy    []float64            `json:"claim_busy_ms"`
	Idle    []float64            `json:"claim_idle_ms"`
	Filling float64              `json:"fill_seconds"`
	Errors  int                  `json:"errors"` // events that were not taken
}

// openJobs is how many jobs wait or run at one time.
type openJobs struct {
	When string `json:"when"`
	Jobs int    `json:"jobs"`
}

// ingestStart is one start of the worker beside the history and the jobs that wait.
type ingestStart struct {
	Events float64 `json:"takes_events_ms"` // from its start
	Job    float64 `json:"first_job_ms"`    // until the first page is asked for
	Memory float64 `json:"anonymous_mb"`    // ten seconds later
}

// benchIngest measures SQLite and, when -store names one, PostgreSQL.
func benchIngest(o options) error {
	o.jobs = cmp.Or(o.jobs, ingestWaiting)
	bin := filepath.Join(o.dir, "commentator")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", bin, "./cmd/commentator")
	build.Dir = o.top
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the worker: %w\n%s", err, out)
	}
	backends := map[string]string{"sqlite": filepath.Join(o.dir, "db.sqlite")}
	if o.store != "" {
		scheme, rest, _ := strings.Cut(o.store, "://") // as scripts/postgres.sh writes it for MLflow
		if !strings.HasPrefix(scheme, "postgres") {
			return fmt.Errorf("-store %s: want the address of a PostgreSQL database", o.store)
		}
		backends["postgres"] = "postgres://" + rest
	}
	raw := map[string]*ingestRaw{}
	start := time.Now()
	for _, name := range slices.Sorted(maps.Keys(backends)) {
		b := &ingestBench{o: o, backend: name, database: backends[name], dir: filepath.Join(o.dir, name), bin: bin, length: ingestLengths}
		r, err := b.measure(context.Background())
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		raw[name] = r
	}
	return reportIngest(o, raw, time.Since(start))
}

func (b *ingestBench) measure(ctx context.Context) (*ingestRaw, error) {
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return nil, err
	}
	if err := b.serve(); err != nil {
		return nil, err
	}
	defer b.close()
	r := &ingestRaw{Acks: map[string][]float64{}}
	for _, step := range []struct {
		name string
		do   func(context.Context, *ingestRaw) error
	}{{"fill", b.fill}, {"start", b.starts}, {"take events", b.take}, {"work off", b.drain}, {"take all that come", b.bursts}} {
		fmt.Fprintf(os.Stderr, "%s: %s …\n", b.backend, step.name)
		if err := errors.Join(b.note(ctx, r, "before: "+step.name), step.do(ctx, r)); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return r, b.note(ctx, r, "at the end")
}

// serve starts the site and the fake Slack.
func (b *ingestBench) serve() (err error) {
	if b.page, err = os.ReadFile(filepath.Join(b.o.top, "data", "demo", "articles", "write-ahead-logging.html")); err != nil {
		return err
	}
	b.asked, b.pages = make(chan time.Time, 1), make(chan struct{}, queueWorkers)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.port = listener.Addr().(*net.TCPAddr).Port
	b.site = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.counted.Load() {
			select {
			case <-b.pages:
			case <-r.Context().Done():
				return
			}
		}
		select {
		case b.asked <- time.Now():
		default:
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.page)
	})}
	go func(l net.Listener) { _ = b.site.Serve(l) }(listener)
	if b.events, err = sandbox.FreeAddress(); err != nil {
		return err
	}
	b.fake = slackfake.New(slackfake.Config{
		Channels: []string{ingestChannel}, EventsURL: b.address(), Limits: slackfake.Limits{PostEvery: -1, ReadEvery: -1},
		Treat: func(e slackfake.Event) slackfake.Treatment { return slackfake.Treatment{ByHTTP: b.byHTTP.Load()} },
	})
	listener, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.api = "http://" + listener.Addr().String() + "/api/"
	b.server = &http.Server{Handler: b.fake}
	go func(l net.Listener) { _ = b.server.Serve(l) }(listener)
	return nil
}

func (b *ingestBench) close() {
	b.fake.Close()
	_ = b.server.Close()
	_ = b.site.Close()
}

func (b *ingestBench) address() string { return "http://" + b.events + "/slack/events" }

// link is a page that nobody shared before.
func (b *ingestBench) link() string {
	return fmt.Sprintf("http://127.0.0.1:%d/page/%d", b.port, b.links.Add(1))
}

// worker starts `commentator serve` and returns when it takes events. It posts nothing: comments
// stay in the database.
func (b *ingestBench) worker(name string) (*process, error) {
	env := []string{
		"RETRIEVAL_ALLOW_HOSTS=loopback", "SLACK_API_URL=" + b.api, "SLACK_APP_TOKEN=xapp-fake",
		"SLACK_SIGNING_SECRET=signing-secret", "SLACK_EVENTS_ADDR=" + b.events, "TECHNOSHARE_CHANNEL_ID=" + ingestChannel, "LOG_LEVEL=WARN",
	}
	if b.backend == "sqlite" {
		env = append(env, "DB_PATH="+b.database)
	} else {
		env = append(env, "DATABASE_URL="+b.database)
	}
	p, err := launch(b.dir, name, env, nil, b.bin, "serve")
	if err != nil {
		return nil, err
	}
	for {
		res, err := http.Post(b.address(), "application/json", strings.NewReader("{}"))
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			return p, nil // it refuses what is not signed
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("the worker ended\n%s", p.tail())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// starts measures what a start takes, and kills the worker each time.
func (b *ingestBench) starts(_ context.Context, r *ingestRaw) error {
	for i := range b.o.rounds {
		select {
		case <-b.asked:
		default:
		}
		began := time.Now()
		p, err := b.worker(fmt.Sprintf("start-%d", i))
		if err != nil {
			return err
		}
		s := ingestStart{Events: ms(time.Since(began))}
		select {
		case first := <-b.asked:
			s.Job = ms(first.Sub(began))
		case <-time.After(time.Minute):
			p.stop()
			return fmt.Errorf("no job starts: %w\n%s", os.ErrDeadlineExceeded, p.tail())
		}
		time.Sleep(b.length.memory)
		s.Memory = float64(p.anonymous()) / 1e6
		r.Starts = append(r.Starts, s)
		p.kill()
	}
	return nil
}

// take lets events come at a rate, while the jobs wait that were put in before.
func (b *ingestBench) take(ctx context.Context, r *ingestRaw) error {
	if err := b.refill(ctx); err != nil {
		return err
	}
	b.counted.Store(true)
	p, err := b.worker("take")
	if err != nil {
		return err
	}
	defer p.stop()
	defer b.release() // before it stops, so that no job fails for want of its page and comes again later
	if err := b.connected(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, p.tail())
	}
	for range b.o.rounds {
		for _, transport := range []string{"http", "socket"} {
			if err := b.waiting(ctx, r, "before events by "+transport); err != nil {
				return err
			}
			b.byHTTP.Store(transport == "http")
			before := len(b.fake.Deliveries().AckMS)
			tick := time.NewTicker(time.Second / ingestRate)
			for range int(b.length.paced.Seconds() * ingestRate) {
				<-tick.C
				b.fake.Say(slackfake.Message{Channel: ingestChannel, User: slackfake.Person, Text: "look <" + b.link() + ">"})
				b.grant()
			}
			tick.Stop()
			d, err := b.settled()
			if err != nil {
				return err
			}
			r.Acks[transport] = append(r.Acks[transport], d.AckMS[before:]...)
			if err := b.waiting(ctx, r, "after events by "+transport); err != nil {
				return err
			}
		}
	}
	d := b.fake.Deliveries()
	r.Errors = d.Failed + len(d.GivenUp)
	return nil
}

func (b *ingestBench) connected(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if open, _ := b.fake.Sockets(); open > 0 {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for a socket: %w", os.ErrDeadlineExceeded)
		}
	}
}

// settled waits until every event is acknowledged.
func (b *ingestBench) settled() (slackfake.Deliveries, error) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		d := b.fake.Deliveries()
		if d.Underway == 0 {
			return d, nil
		}
		if time.Now().After(deadline) {
			return d, fmt.Errorf("%d events are not acknowledged: %w", d.Underway, os.ErrDeadlineExceeded)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
