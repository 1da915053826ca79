//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/wire"
)

// outageResult is what became of jobs while no Collector listened.
type outageResult struct {
	OutageSeconds  float64 `json:"outage_seconds"`
	Rate           int     `json:"jobs_a_second"`
	Jobs           int     `json:"jobs"`
	MostWaiting    int     `json:"most_waiting"` // messages
	MostBytes      int64   `json:"most_waiting_bytes"`
	CatchUpSeconds float64 `json:"catch_up_seconds"` // from the Collector's answer until the outbox is empty
	DeliverSeconds float64 `json:"deliver_seconds"`  // from then until all that waited is in MLflow
	Lost           int     `json:"lost"`             // runs of jobs and stages that are not there, or not finished
	Doubled        int     `json:"doubled"`          // runs beside another one of their key, however they are
	Unwanted       int     `json:"unwanted"`         // runs of jobs and stages that the database does not have
	Runs           int     `json:"runs"`
	GivenUp        int     `json:"given_up"` // messages that were set aside or lost
	Said           int     `json:"said"`     // warnings and errors of the worker while the Collector was away

	times
	Control times    `json:"control"`
	Goals   []goal   `json:"goals"`
	Memory  []memory `json:"memory"` // of the worker, each second
}

// soakOutage lets jobs flow at a rate before, while and after the Collector is away. The
// worker and the Collector are the real ones; MLflow is the one in memory, since the real one
// would take three times as long as the outage to write what waited. A second worker has the
// same jobs at the same time and a Collector that stays.
func soakOutage(ctx context.Context, o soakOptions, dir string) (*outageResult, error) {
	s, err := newSiege(o.options, dir)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	fake := mlflowtest.Start()
	defer fake.Close()
	c, w := s.programs[collector], s.programs[worker]
	c.env = append(c.env, "MLFLOW_TRACKING_URI="+fake.URL)
	// Without a model that takes its time, what telemetry adds to a job is seen best.
	w.env = slices.DeleteFunc(w.env, func(e string) bool { return strings.HasPrefix(e, "OPENAI_") || strings.HasPrefix(e, "MODEL_") })
	w.env = append(w.env, "OTEL_TRACES_SAMPLER_ARG=1", "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+s.intake.target) // nothing between
	there := &sink{}
	if err := there.listen(); err != nil {
		return nil, err
	}
	defer there.stop()
	second, database, err := s.newControl(w, there.address)
	if err != nil {
		return nil, err
	}
	defer second.stop()
	for _, p := range []*program{c, w, second} {
		if err := p.start(); err != nil {
			return nil, err
		}
		if err := s.trouble.until(ctx, string(p.name)+" to start", startPatience, p.ready); err != nil {
			return nil, err
		}
	}
	f, err := s.newFlow(ctx, w, s.database(), o.rate)
	if err != nil {
		return nil, err
	}
	defer f.close()
	beside, err := s.newFlow(ctx, second, database, o.rate)
	if err != nil {
		return nil, err
	}
	defer beside.close()
	beside.began, beside.late = f.began, true
	r := &outageResult{Rate: o.rate}

	around := max(o.outage/10, 3*time.Second)
	both := func(p phase, length time.Duration) {
		var done sync.WaitGroup
		done.Go(func() { beside.during(ctx, p, length) })
		f.during(ctx, p, length)
		done.Wait()
	}
	both("", min(around, 15*time.Second)) // warms up
	both(before, around)
	quiet := warnings(w)
	c.kill()
	began := time.Now()
	both(away, o.outage)
	r.Said = warnings(w) - quiet
	r.OutageSeconds = time.Since(began).Seconds()
	if err := c.start(); err != nil {
		return nil, err
	}
	if err := s.trouble.until(ctx, "the Collector to start", startPatience, c.ready); err != nil {
		return nil, err
	}
	began = time.Now()
	for f.waiting() > o.rate*7 && f.err == nil {
		f.during(ctx, catchUp, time.Second)
		if time.Since(began) > deliverPatience {
			return nil, fmt.Errorf("%d messages still wait after %v", f.waiting(), deliverPatience)
		}
	}
	r.CatchUpSeconds = time.Since(began).Seconds()
	// The Collector still writes what waited, on the processors of the jobs: those after it have
	// to wait until it is as idle as before.
	written := func() error {
		return errors.Join(f.settled(ctx), s.trouble.until(ctx, "all spans to be in MLflow", deliverPatience, arrived(ctx, fake, f.look)))
	}
	began = time.Now()
	if err := errors.Join(f.err, written()); err != nil {
		return nil, err
	}
	r.DeliverSeconds = time.Since(began).Seconds()
	both(after, around)
	if err := errors.Join(f.err, written(), beside.err, beside.settled(ctx)); err != nil {
		return nil, err
	}
	if err := r.judge(ctx, f, beside, fake); err != nil {
		return nil, err
	}
	return r, nil
}

// newControl is a worker like the first with a database of its own and another Collector.
func (s *siege) newControl(first *program, collector string) (p *program, database string, err error) {
	dir := filepath.Join(s.dir, "control")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, "", err
	}
	database = filepath.Join(dir, filepath.Base(s.database()))
	env := append(slices.Clone(first.env), "DB_PATH="+database, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+collector)
	return &program{name: "control", dir: dir, env: env, command: first.command, died: first.died}, database,
		os.WriteFile(filepath.Join(dir, "sampling.yaml"), []byte(samplingRules), 0o600)
}

// Of each second a worker has one half for its jobs, the first one second, the second the next: who
// always came first might have it better.
const (
	half      = 500 * time.Millisecond
	lookAfter = 300 * time.Millisecond // of the jobs, when they are done
)

// flow puts jobs into a worker's queue and looks at the worker.
type flow struct {
	s      *siege
	worker *program
	store  *store.Store
	queue  *queue.Queue
	look   *sql.DB
	rate   int
	began  time.Time
	late   bool // its first jobs come in the second half of their second

	put      int
	unphased int // jobs that started in no phase
	parts    []part
	memory   []memory
	err      error // the first; everything ends with it
}

// part is when a phase was.
type part struct {
	phase     phase
	from, end time.Time
}

func (s *siege) newFlow(ctx context.Context, worker *program, database string, rate int) (*flow, error) {
	f := &flow{s: s, worker: worker, rate: rate, began: time.Now()}
	var err error
	if f.store, err = store.Open(ctx, database); err != nil {
		return nil, err
	}
	f.queue, err = queue.New(ctx, queue.Config{DB: f.store.DB(), Reader: f.store.Reader(), LockPath: f.store.LockPath()})
	if err == nil {
		f.look, err = openReadOnly(database)
	}
	if err != nil {
		return nil, errors.Join(err, f.store.Close())
	}
	return f, nil
}

func (f *flow) close() { _ = errors.Join(f.look.Close(), f.store.Close()) }

// during lets jobs come for some time: each second a message with as many links as the rate. It
// looks at the worker only when those are done: counting what waits takes the longer the more there
// is, on the processors of the jobs.
func (f *flow) during(ctx context.Context, p phase, length time.Duration) {
	now := time.Now()
	f.parts = append(f.parts, part{p, now, now.Add(length)})
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	late := f.late
	for end := now.Add(length); f.err == nil && time.Now().Before(end); late = !late {
		if late {
			time.Sleep(half)
		}
		if f.err = f.ingest(ctx); f.err == nil {
			time.Sleep(lookAfter)
			f.err = f.sample(p)
		}
		select {
		case <-ctx.Done():
			f.err = ctx.Err()
		case <-tick.C:
		}
	}
}

func (f *flow) ingest(ctx context.Context) error {
	var links []string
	for range f.rate {
		links = append(links, f.s.site.link("article", f.put))
		f.put++
	}
	now := time.Now()
	m := commentator.Message{Channel: "C0SOAK", TS: fmt.Sprintf("%d.%06d", now.Unix(), now.Nanosecond()/1000), User: "U0123456789", Text: "Look", ReceivedAt: now}
	_, _, err := f.store.Ingest(ctx, m, links, false, f.queue.Enqueue)
	return err
}

func (f *flow) sample(p phase) error {
	mb, err := f.worker.anonymous()
	if err != nil {
		return err
	}
	m := memory{Phase: p, Seconds: time.Since(f.began).Seconds(), MB: mb}
	m.Waiting, m.Bytes, _, err = f.store.Depth(context.Background())
	f.memory = append(f.memory, m)
	return err
}

// waiting is the number of messages in the outbox.
func (f *flow) waiting() int {
	n, _, _, err := f.store.Depth(context.Background())
	if err != nil && f.err == nil {
		f.err = err
	}
	return n
}

// settled waits until all jobs are final and their messages sent.
func (f *flow) settled(ctx context.Context) error {
	return f.s.trouble.until(ctx, "all messages to be sent", deliverPatience, func() bool {
		st, err := f.store.Status(ctx)
		return err == nil && st.Final == f.put && st.Unsent.Messages == 0
	})
}

// samples are the jobs by the phase in which they started; those of no phase are left out.
func (f *flow) samples(ctx context.Context) ([]took, error) {
	rows, err := f.look.QueryContext(ctx, `SELECT started_at, finished_at FROM jobs WHERE state = 'final' ORDER BY started_at`)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	defer rows.Close()
	var all []took
	for rows.Next() {
		var started, finished int64
		if err := rows.Scan(&started, &finished); err != nil {
			return nil, fmt.Errorf("read jobs: %w", err)
		}
		at := time.UnixMicro(started)
		i := slices.IndexFunc(f.parts, func(p part) bool { return !at.Before(p.from) && at.Before(p.end) })
		if i < 0 || f.parts[i].phase == "" {
			f.unphased++
			continue
		}
		all = append(all, took{f.parts[i].phase, at.Sub(f.began).Seconds(), float64(finished-started) / 1000})
	}
	return all, rows.Err()
}

// keys are those of the runs that MLflow must hold: of each job and of each stage.
func (f *flow) keys(ctx context.Context) (keys []string, err error) {
	rows, err := f.look.QueryContext(ctx, `SELECT j.id, j.created_at, coalesce(s.span_id, '') FROM jobs j LEFT JOIN stages s ON s.job_id = j.id`)
	if err != nil {
		return nil, fmt.Errorf("read stages: %w", err)
	}
	defer rows.Close()
	known := map[int64]bool{}
	for rows.Next() {
		var id, created int64
		var span string
		if err := rows.Scan(&id, &created, &span); err != nil {
			return nil, fmt.Errorf("read stages: %w", err)
		}
		trace, _ := wire.JobIdentity(f.store.StoreID(), id, time.UnixMicro(created))
		if !known[id] {
			known[id] = true
			keys = append(keys, trace.String())
		}
		if span != "" {
			keys = append(keys, trace.String()+"-"+span)
		}
	}
	return keys, rows.Err()
}

// judge compares the job database with what MLflow holds.
func (r *outageResult) judge(ctx context.Context, f, beside *flow, fake *mlflowtest.Server) (err error) {
	own, err := f.samples(ctx)
	if err != nil {
		return err
	}
	others, err := beside.samples(ctx)
	if err != nil {
		return err
	}
	length := min(5, max(1, r.OutageSeconds/20))
	r.times, r.Control, r.Memory = timesOf(own, length), timesOf(others, length), f.memory
	for _, m := range f.memory {
		r.MostWaiting, r.MostBytes = max(r.MostWaiting, m.Waiting), max(r.MostBytes, m.Bytes)
	}
	keys, err := f.keys(ctx)
	if err != nil {
		return err
	}
	r.Jobs, r.Runs = len(r.Samples)+f.unphased, len(keys)
	r.countRuns(keys, fake)
	r.Lost += max(0, f.put*(1+len(commentator.Stages))-len(keys)) // that the database does not have
	st, err := f.store.Status(ctx)
	if err != nil {
		return err
	}
	r.GivenUp = st.Refused.Messages
	for _, n := range st.Losses {
		r.GivenUp += int(n)
	}
	r.Goals = append([]goal{
		atMost("runs lost", exactly(float64(r.Lost)), 0),
		atMost("runs doubled", exactly(float64(r.Doubled)), 0),
		atMost("runs of no job or stage", exactly(float64(r.Unwanted)), 0),
		atMost("messages given up", exactly(float64(r.GivenUp)), 0),
		atMost("worker's memory, last quarter of the outage / first", growth(r.Memory), 1.1),
		atMost("warnings of the worker meanwhile", exactly(float64(r.Said)), 1),
	}, lasting("", r.Control.Windows, r.Windows)...)
	return nil
}

// countRuns compares the runs with the keys that there must be. The double of a run is mostly one that
// nobody ends, so each that is there counts; only what ended well is not lost.
func (r *outageResult) countRuns(keys []string, fake *mlflowtest.Server) {
	held, finished := fake.Active(experiment, wire.TagKey), fake.Finished(wire.TagKey)
	for _, key := range keys {
		if finished[key] == 0 {
			r.Lost++
		}
		r.Doubled += max(0, held[key]-1)
		delete(held, key)
	}
	for _, n := range held {
		r.Unwanted += n
	}
}

// arrived reports whether as many runs have ended in MLflow as the database has jobs and stages.
func arrived(ctx context.Context, fake *mlflowtest.Server, jobs *sql.DB) func() bool {
	return func() bool {
		time.Sleep(time.Second) // counting is no small thing
		var wanted int
		err := jobs.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM stages)`).Scan(&wanted)
		return err == nil && len(fake.Finished(wire.TagKey)) >= wanted
	}
}

// warnings counts the lines of a program's log that ask for attention.
func warnings(p *program) (n int) {
	text, _ := os.ReadFile(p.log()) // without a log there are none
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) {
			n++
		}
	}
	return n
}
