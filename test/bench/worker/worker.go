//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/gates"
	"github.com/technoshare/commentator/internal/pipeline"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/render"
	"github.com/technoshare/commentator/internal/retrieval"
	"github.com/technoshare/commentator/internal/slack"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/test/bench/drive"
	"github.com/technoshare/commentator/test/sandbox"
)

type config struct {
	dir, mode, collector string
	pages, model, slack  string
	variants             int
}

// worker is wired as cmd/commentator wires it.
type worker struct {
	cfg       config
	store     *store.Store
	telemetry *telemetry.Provider
	pipeline  *pipeline.Pipeline
	number    int64 // of the last job
}

func openWorker(ctx context.Context, c config) (*worker, error) {
	temperature := 0.2
	loaded := data.Default()
	log := slog.New(redact.New(nil).Handler(slog.NewJSONHandler(io.Discard, nil)))
	retriever, err := retrieval.New(retrieval.Config{AllowHosts: []string{"loopback"}, MaxSnippets: 43})
	if err != nil {
		return nil, err
	}
	analyser, err := analysis.NewOpenAI(analysis.OpenAIConfig{
		APIKey: "any", BaseURL: c.model, ModelStageA: "gpt-4o", ModelStageB: "gpt-4o", Temperature: &temperature, MaxTokens: 4096,
	}, loaded)
	if err != nil {
		return nil, err
	}
	w := &worker{cfg: c}
	path := filepath.Join(c.dir, "db.sqlite")
	if w.store, err = store.Open(ctx, path, store.WithLogger(log)); err != nil {
		return nil, err
	}
	w.telemetry, err = telemetry.New(ctx, telemetry.Config{
		Mode: telemetry.Mode(c.mode), Endpoint: c.collector, Ratio: 1, SamplingFile: path + ".sampling.yaml", CaptureContent: true,
		ServiceName: "technoshare-commentator", Owner: "bench", Executable: "commentator", Version: "bench", Revision: strings.Repeat("0", 40),
		Gates: gates.DefaultLimits, Render: render.Slack, SlackURL: "https://example.slack.com", StoreID: w.store.StoreID(), Logger: log,
	}, w.store)
	if err != nil {
		return nil, errors.Join(err, w.store.Close())
	}
	api := slack.NewAPI(slack.APIConfig{Token: "any", APIURL: c.slack, Transport: telemetry.SlackTransport(nil)})
	w.pipeline = pipeline.New(pipeline.Config{
		Store: w.store, Telemetry: w.telemetry, Retriever: retriever, Analyser: analyser, Render: render.Reply,
		Poster: slack.NewPoster(slack.PosterConfig{API: api, Posts: w.store}),
		Themes: loaded.ThemeNames(), Gates: gates.DefaultLimits, Now: time.Now, Logger: log,
	})
	return w, nil
}

func (w *worker) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = w.telemetry.Shutdown(ctx) // a Collector that is away leaves its messages in the outbox
	return w.store.Close()
}

func (w *worker) answer(ctx context.Context, r drive.Request) (a drive.Answer, err error) {
	if r.Collect {
		runtime.GC()
	}
	cpu := ownCPU()
	if r.Allocations {
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		before := watchAllocations()
		defer func() { a.Telemetry = before() }()
	}
	for range r.Jobs {
		s, err := w.job(ctx, r.Allocations)
		if err != nil {
			return a, err
		}
		a.Jobs = append(a.Jobs, s)
	}
	if r.Drain {
		start := time.Now()
		if err := w.drained(ctx); err != nil {
			return a, err
		}
		a.Drain = micros(time.Since(start))
	}
	a.CPU = micros(ownCPU() - cpu)
	if a.Memory, err = sandbox.Anonymous(os.Getpid()); err != nil {
		return a, err
	}
	if r.Tally {
		row := w.store.Reader().QueryRowContext(ctx, `SELECT count(*), coalesce(sum(length(body)), 0), coalesce(sum(size), 0) FROM outbox`)
		if err := row.Scan(&a.Messages, &a.Stored, &a.Plain); err != nil {
			return a, err
		}
	}
	if r.Job {
		a.Job, err = w.messages(ctx)
	}
	return a, err
}

// job runs one job from its start to its end.
func (w *worker) job(ctx context.Context, allocations bool) (s drive.Sample, err error) {
	w.number++
	link := w.cfg.pages + strconv.FormatInt(w.number%int64(w.cfg.variants), 10)
	m := commentator.Message{
		// Each job has a channel of its own: Slack takes a message a second of one.
		Channel: fmt.Sprintf("C%010d", w.number), TS: fmt.Sprintf("1700000000.%06d", w.number), User: "U0123456789",
		Text: "have a look at <" + link + ">, jane@example.org wrote it", ReceivedAt: time.Now(),
	}
	jobs, _, err := w.store.Ingest(ctx, m, []string{link}, false, func(context.Context, *sql.Tx, int64) error { return nil })
	if err != nil {
		return s, err
	}
	var before, after runtime.MemStats
	if allocations {
		runtime.ReadMemStats(&before)
	}
	drive.Take()
	start := time.Now()
	j, err := w.pipeline.Attempt(ctx, jobs[0].ID, nil)
	end := time.Now()
	if allocations {
		runtime.ReadMemStats(&after)
		s.Allocations = int64(after.Mallocs - before.Mallocs)
	}
	if err == nil && j.Outcome != commentator.OutcomeSuccess {
		err = fmt.Errorf("job %d ended with %s: %s", j.ID, j.Outcome, j.ErrorMessage)
	}
	sums := drive.Take()
	s.Total, s.Call, s.Detail, s.Insert = micros(end.Sub(start)), micros(sums.Call), micros(sums.Detail), micros(sums.Insert)
	s.Checkpoint = drive.Stalled(start, end)
	return s, err
}

// drained waits until the relay has sent everything.
func (w *worker) drained(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		rows, _, _, err := w.store.Depth(ctx)
		if err != nil || rows == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d messages are still unsent after a minute", rows)
		}
	}
}

// messages returns what the last job put into the outbox.
func (w *worker) messages(ctx context.Context) (all [][]byte, err error) {
	rows, err := w.store.Reader().QueryContext(ctx, `SELECT body FROM outbox WHERE job_id = (SELECT max(job_id) FROM outbox) ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		plain, err := s2.Decode(nil, body)
		if err != nil {
			return nil, err
		}
		all = append(all, plain)
	}
	return all, rows.Err()
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
