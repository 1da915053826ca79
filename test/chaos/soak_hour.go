//go:build linux

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/gates"
	"github.com/technoshare/commentator/internal/pipeline"
	"github.com/technoshare/commentator/internal/render"
	"github.com/technoshare/commentator/internal/retrieval"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

// memories is how often the heap is looked at in a phase: what the relay tries to send at that moment is
// part of it one time in three.
const memories = 480

// hourResult is what became of jobs while nobody listened for an hour of the injected clock.
type hourResult struct {
	OutageSeconds float64 `json:"outage_seconds"` // by the injected clock
	Speed         float64 `json:"speed"`          // of that clock
	Jobs          int     `json:"jobs"`           // in all phases
	MostWaiting   int     `json:"most_waiting"`   // messages
	MostBytes     int64   `json:"most_waiting_bytes"`
	Tries         int64   `json:"tries"`           // of the relay, meanwhile
	OldestSeconds float64 `json:"oldest_seconds"`  // of what waited, at the end of the outage, by that clock
	Spans         int     `json:"spans"`           // that were recorded
	Lost          int     `json:"lost"`            // of them, at the end
	Unwanted      int     `json:"unwanted"`        // spans that arrived and were not recorded
	SentAgain     int     `json:"spans_sent_more"` // with the same ids, which doubles nothing
	GivenUp       int64   `json:"given_up"`
	Said          int     `json:"said"` // warnings and errors

	times
	Control times    `json:"control"`
	Goals   []goal   `json:"goals"`
	Memory  []memory `json:"memory"` // live heap, that of the control included
}

// fastClock runs faster than the clock on the wall.
type fastClock struct {
	began time.Time
	speed float64
}

func (c fastClock) now() time.Time {
	return c.began.Add(time.Duration(float64(time.Since(c.began)) * c.speed))
}

func (c fastClock) after(d time.Duration) <-chan time.Time {
	return time.After(time.Duration(float64(d) / c.speed))
}

// soakHour takes jobs through the real pipeline, outbox and relay in this process, on a clock
// that lets o.hour pass within o.within, while the sink that stands for the Collector is gone.
// Each job is done once more by a second worker, whose sink stays.
func soakHour(ctx context.Context, o soakOptions, dir string) (_ *hourResult, err error) {
	web, err := startSite(o.top, &bell{})
	if err != nil {
		return nil, err
	}
	defer web.server.Close()
	there := &sink{}
	if err := there.listen(); err != nil {
		return nil, err
	}
	defer there.stop()
	beside := &hour{site: web, clock: fastClock{time.Now(), o.hour.Seconds() / o.within.Seconds()}}
	h := &hour{sink: &sink{spans: map[string]int{}}, site: web, clock: beside.clock, beside: beside}
	if err := h.sink.listen(); err != nil {
		return nil, err
	}
	defer h.sink.stop()
	for w, of := range map[*hour]struct{ name, sink string }{h: {"db.sqlite", h.sink.address}, beside: {"control.sqlite", there.address}} {
		if err := w.open(ctx, filepath.Join(dir, of.name), of.sink); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, w.close()) }()
		// What is measured must not grow with the measurements.
		w.samples = make([]took, 0, 2*o.jobs+100)
	}

	r := &hourResult{Speed: h.clock.speed}
	around := max(o.jobs/10, 20)
	pace := o.within / time.Duration(o.jobs)
	if err := h.work(ctx, "", around, pace); err != nil { // warms up
		return nil, err
	}
	if err := h.work(ctx, before, around, pace); err != nil {
		return nil, err
	}
	quiet := h.log.warnings()
	h.sink.stop()
	tries, began := h.box.rounds.Load(), h.clock.now()
	if err := h.work(ctx, away, o.jobs, pace); err != nil {
		return nil, err
	}
	for h.clock.now().Sub(began) < o.hour { // the last of it, when the jobs went fast
		time.Sleep(time.Millisecond)
	}
	r.Tries, r.OutageSeconds = h.box.rounds.Load()-tries, h.clock.now().Sub(began).Seconds()
	_, _, oldest, err := h.box.Depth(ctx)
	if err != nil {
		return nil, err
	}
	r.OldestSeconds = h.clock.now().Sub(oldest).Seconds()
	r.Said = h.log.warnings() - quiet
	if err := h.sink.listen(); err != nil {
		return nil, err
	}
	if err := h.empty(ctx); err != nil {
		return nil, err
	}
	if err := h.work(ctx, after, around, pace); err != nil {
		return nil, err
	}
	if err := h.empty(ctx); err != nil {
		return nil, err
	}
	return r, r.judge(ctx, h)
}

// hour is a worker in this process.
type hour struct {
	sink     *sink // that is looked at
	beside   *hour // the control, which does each job too and has neither of both
	site     *site
	clock    fastClock
	log      *countingLog
	box      *countingBox
	provider *telemetry.Provider
	pipeline *pipeline.Pipeline
	path     string

	jobs    int
	memory  []memory
	samples []took
}

func (h *hour) open(ctx context.Context, database, sink string) error {
	h.log = &countingLog{}
	logger := slog.New(slog.NewJSONHandler(h.log, nil))
	h.path = database
	s, err := store.Open(ctx, h.path, store.WithClock(h.clock.now), store.WithLogger(logger))
	if err != nil {
		return err
	}
	h.box = &countingBox{Store: s}
	h.provider, err = telemetry.New(ctx, telemetry.Config{
		Mode: telemetry.ModeTracing, Endpoint: "http://" + sink, Ratio: 1, CaptureContent: true,
		StoreID: s.StoreID(), PseudonymKey: s.PseudonymKey(),
		Gates: gates.DefaultLimits, Render: render.Slack, Logger: logger,
		Now: h.clock.now, Relay: telemetry.RelayConfig{After: h.clock.after},
	}, h.box)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	retriever, err := retrieval.New(retrieval.Config{AllowHosts: []string{"loopback"}})
	if err != nil {
		return errors.Join(err, h.close())
	}
	loaded := data.Default()
	h.pipeline = pipeline.New(pipeline.Config{
		Store: s, Telemetry: h.provider, Retriever: retriever, Analyser: analysis.NewOffline(loaded),
		Render: render.Reply, Poster: slack.Keeper(slack.DeliveryStore), Themes: loaded.ThemeNames(), Gates: gates.DefaultLimits,
		Now: h.clock.now, Logger: slog.New(slog.DiscardHandler),
	})
	return nil
}

func (h *hour) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(h.provider.Shutdown(ctx), h.box.Close())
}

// work takes so many jobs from start to end, one each pace, by both workers in turn, now the one
// first and now the other: each has half the pace to itself, so that what its relay does after a
// job does not meet the other's.
func (h *hour) work(ctx context.Context, p phase, jobs int, pace time.Duration) error {
	tick := time.NewTicker(pace / 2)
	defer tick.Stop()
	every := max(1, jobs/memories)
	turn := []*hour{h, h.beside}
	for i := range jobs {
		if i%every == 0 {
			if err := h.sample(ctx, p); err != nil {
				return err
			}
		}
		for _, w := range turn {
			if err := w.job(ctx, p); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
		slices.Reverse(turn)
	}
	return nil
}

// job takes a job from start to end.
func (h *hour) job(ctx context.Context, p phase) error {
	link, at := h.site.link("article", h.jobs%20), time.Now() // the site remembers what it was asked for
	h.jobs++
	m := commentator.Message{Channel: "C0SOAK", TS: fmt.Sprintf("1795000000.%06d", h.jobs), User: "U0123456789", Text: "Look", ReceivedAt: h.clock.now()}
	made, _, err := h.box.Ingest(ctx, m, []string{link}, false, func(context.Context, *sql.Tx, int64) error { return nil })
	if err != nil {
		return err
	}
	j, err := h.pipeline.Attempt(ctx, made[0].ID, nil)
	if err != nil || j.State != commentator.JobFinal {
		return fmt.Errorf("job %d is %s: %w", j.ID, j.State, err)
	}
	if p != "" {
		h.samples = append(h.samples, took{p, at.Sub(h.clock.began).Seconds(), float64(time.Since(at).Microseconds()) / 1000})
	}
	return nil
}

func (h *hour) sample(ctx context.Context, p phase) error {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	m := memory{Phase: p, Seconds: time.Since(h.clock.began).Seconds(), MB: float64(stats.HeapAlloc) / 1e6}
	var err error
	m.Waiting, m.Bytes, _, err = h.box.Depth(ctx)
	h.memory = append(h.memory, m)
	return err
}

// empty waits until nothing waits.
func (h *hour) empty(ctx context.Context) error {
	for deadline := time.Now().Add(deliverPatience); ; time.Sleep(10 * time.Millisecond) {
		n, _, _, err := h.box.Depth(ctx)
		if err != nil || n == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d messages still wait", n)
		}
	}
}

func (r *hourResult) judge(ctx context.Context, h *hour) error {
	db, err := openReadOnly(h.path)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `SELECT body FROM outbox`)
	if err != nil {
		return fmt.Errorf("read outbox: %w", err)
	}
	defer rows.Close()
	recorded := map[string]bool{}
	for rows.Next() {
		var packed []byte
		if err := rows.Scan(&packed); err != nil {
			return fmt.Errorf("read outbox: %w", err)
		}
		body, err := s2.Decode(nil, packed)
		if err != nil {
			return fmt.Errorf("read outbox: %w", err)
		}
		var request coltrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			return fmt.Errorf("read outbox: %w", err)
		}
		eachSpan(&request, func(id string) { recorded[id] = true })
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read outbox: %w", err)
	}
	r.Jobs, r.Spans = h.jobs, len(recorded)
	got := h.sink.taken()
	for id := range recorded {
		if n := got[id]; n > 0 {
			r.SentAgain += n - 1
		} else {
			r.Lost++
		}
		delete(got, id)
	}
	r.Unwanted = len(got)
	// Seven messages a job, each of one span or more: a shorter list would compare nothing.
	if r.Spans < 7*r.Jobs {
		r.Lost += 7*r.Jobs - r.Spans
	}
	for _, n := range h.box.Stats().Losses() {
		r.GivenUp += n
	}
	r.GivenUp += h.box.Stats().OutboxRefused
	r.Memory = h.memory
	for _, m := range h.memory {
		r.MostWaiting, r.MostBytes = max(r.MostWaiting, m.Waiting), max(r.MostBytes, m.Bytes)
	}
	length := max(0.2, r.OutageSeconds/r.Speed/60)
	r.times, r.Control = timesOf(h.samples, length), timesOf(h.beside.samples, length)
	r.Goals = append([]goal{
		atMost("hour: spans lost", exactly(float64(r.Lost)), 0),
		atMost("hour: spans that were not recorded", exactly(float64(r.Unwanted)), 0),
		atMost("hour: messages given up", exactly(float64(r.GivenUp)), 0),
		atMost("hour: live heap, last quarter of the outage / first", growth(r.Memory), 1.1),
		atMost("hour: warnings meanwhile", exactly(float64(r.Said)), 1),
	}, lasting("hour: ", r.Control.Windows, r.Windows)...)
	return nil
}

// countingBox counts how often the relay begins to read.
type countingBox struct {
	*store.Store
	rounds atomic.Int64
}

// Claim implements telemetry.Outbox.
func (b *countingBox) Claim(ctx context.Context, afterID int64, maxBytes int) (telemetry.Claim, error) {
	if afterID == 0 {
		b.rounds.Add(1)
	}
	return b.Store.Claim(ctx, afterID, maxBytes)
}

// countingLog keeps the lines that ask for attention.
type countingLog struct {
	mu    sync.Mutex
	lines []string
}

// Write takes one line, as slog writes them.
func (l *countingLog) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(`"level":"WARN"`)) || bytes.Contains(line, []byte(`"level":"ERROR"`)) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, string(line))
	}
	return len(line), nil
}

func (l *countingLog) warnings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}
