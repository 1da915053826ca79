package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/feedback"
	"github.com/technoshare/commentator/internal/gates"
	"github.com/technoshare/commentator/internal/health"
	"github.com/technoshare/commentator/internal/pipeline"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/render"
	"github.com/technoshare/commentator/internal/retrieval"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

// worker holds the parts that work on jobs.
type worker struct {
	app       *app
	store     *store.Store
	queue     *queue.Queue
	telemetry *telemetry.Provider // nil: off
	leftovers *telemetry.Relay    // sends what an earlier run left in the outbox; nil: nothing to send
	feedback  *feedback.Feedback
	pipeline  *pipeline.Pipeline
	slack     slackSide
	health    *health.Server // nil: nobody may ask
	working   atomic.Bool    // the queue is started and not told to stop
	receiver  atomic.Pointer[receiver]

	reporting sync.Mutex
	reported  map[string]int64 // the losses that telemetry has been told of
}

// use is what a command does with a worker.
type use struct {
	backoff []time.Duration
	alone   bool // no other process may work on the queue beside it
	brief   bool // it changes jobs beside the process that works on them: its metrics would pass for that one's
}

// openWorker wires the parts.
func (a *app) openWorker(ctx context.Context, u use) (_ *worker, err error) {
	stamp := data.StampPrompts(a.cfg.DataDir) // before they are read: a change in between is seen
	loaded, err := data.Load(ctx, a.cfg.DataDir)
	if err != nil {
		return nil, usageError{err}
	}
	retriever, err := retrieval.New(retrieval.Config{
		AllowHosts: a.cfg.RetrievalAllow, MaxBytes: a.cfg.RetrievalMaxBytes, Timeout: a.cfg.RetrievalTimeout,
		Rules: loaded.Rules, PDFCacheDir: a.cfg.PDFCachePath(), GithubToken: a.cfg.GithubToken, Logger: a.log,
	})
	if err != nil {
		return nil, usageError{err}
	}
	analyser, err := newAnalyser(a.cfg, loaded)
	if err != nil {
		return nil, usageError{err}
	}
	settings, err := a.telemetryConfig()
	if err != nil {
		return nil, usageError{err}
	}

	w := &worker{app: a}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close(ctx))
		}
	}()
	if w.store, err = a.workStore(ctx); err != nil {
		return nil, err
	}
	settings.Adapter = func(j commentator.Job) string { return retriever.Adapter(j.URL) }
	settings.NoMetrics = u.brief
	settings.Decided = func(rule string) (int64, error) { return w.store.Decided(ctx, rule) }
	settings.NoteRemote = w.store.NoteRemote
	if err := w.startTelemetry(ctx, settings); err != nil {
		return nil, err
	}
	w.feedback = feedback.New(feedback.Config{
		Store: w.store, Telemetry: w.telemetry, Up: a.cfg.FeedbackUp, Down: a.cfg.FeedbackDown, Logger: a.log,
	})
	w.slack.api = newSlackAPI(a.cfg)
	p := pipeline.New(pipeline.Config{
		Store: w.store, Telemetry: w.telemetry,
		Retriever: retriever, Analyser: analyser, Render: render.Reply, Poster: w.poster(),
		Patience: queue.Patience(u.backoff),
		Themes:   loaded.ThemeNames(), Gates: gates.DefaultLimits,
		Now: time.Now, Logger: a.log,
		Analysers: analysers(analyser, a.cfg.DataDir, stamp, a.log),
	})
	w.pipeline = p
	idle := newIdleCollector()
	w.queue, err = queue.New(ctx, queue.Config{
		DB: w.store.DB(), Reader: w.store.Reader(), LockPath: w.store.LockPath(), Address: w.store.Address(), Alone: u.alone,
		Handler: idle.watch(p.Handle), OpenJobs: w.store.OpenJobs, Lost: p.Lost,
		Backoff: u.backoff, Logger: a.log,
	})
	if err != nil {
		return nil, err
	}
	return w, w.telemetry.ObserveQueue(w.queueState)
}

// startTelemetry starts what the mode asks for. When it is off, jobs that an earlier run began to
// record are recorded to their end, so that none of their runs stays RUNNING; without any,
// nothing runs but a relay for messages of that run, until the outbox is empty.
func (w *worker) startTelemetry(ctx context.Context, settings telemetry.Config) (err error) {
	settings.StoreID, settings.PseudonymKey = w.store.StoreID(), w.store.PseudonymKey()
	settings.InstanceID = instanceID(w.app.cfg, w.store)
	if settings.Mode == telemetry.ModeOff && !w.app.cfg.SDKDisabled {
		open, err := w.store.OpenRecorded(ctx)
		if err != nil {
			return err
		}
		if open > 0 {
			w.app.log.InfoContext(ctx, "telemetry is off; jobs that were being recorded are recorded to their end", "jobs", open)
			settings.Mode, settings.Finishing = telemetry.ModeTracking, true
			nameProcess(&settings)
		}
	}
	if w.telemetry, err = telemetry.New(ctx, settings, w.store); err != nil {
		return err
	}
	if settings.Mode != telemetry.ModeOff || w.app.cfg.SDKDisabled {
		return nil
	}
	rows, _, _, err := w.store.Depth(ctx)
	if err != nil || rows == 0 {
		return err
	}
	w.app.log.InfoContext(ctx, "telemetry is off; messages of earlier jobs are still sent", "messages", rows)
	w.leftovers = telemetry.NewRelay(telemetry.RelayConfig{
		Endpoint: settings.Endpoint, Headers: settings.Headers, UntilEmpty: true, Redactor: w.app.redactor, Logger: w.app.log,
	}, w.store)
	return w.leftovers.Start()
}

// close ends all parts, the last that was opened first. It sends what is left in the outbox
// as far as ctx allows; the rest stays there.
func (w *worker) close(ctx context.Context) error {
	var errs []error
	if w.queue != nil {
		errs = append(errs, w.queue.Stop(ctx))
	}
	if w.slack.stop(ctx) != nil {
		w.app.log.WarnContext(ctx, "Slack did not answer in time; what was to be deleted or told there is done after the next start")
	}
	errs = append(errs, w.drained(ctx, w.telemetry.Shutdown(ctx)))
	if w.leftovers != nil {
		errs = append(errs, w.drained(ctx, w.leftovers.Stop(ctx)))
	}
	errs = append(errs, w.health.Stop(ctx)) // last, so that it can be asked while the others end
	if w.store != nil {
		errs = append(errs, w.store.Close())
	}
	return errors.Join(errs...)
}

// drained says that not everything was sent in time, which is no failure: nothing is lost.
func (w *worker) drained(ctx context.Context, err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	left, _, _, depthErr := w.store.Depth(look)
	if depthErr != nil || left == 0 { // the time went by with jobs, not with the Collector
		return depthErr
	}
	w.app.log.WarnContext(ctx, "the Collector did not take everything in time; what waits is sent after the next start", "messages", left)
	return depthErr
}

// queueState is asked once per export of metrics.
func (w *worker) queueState(ctx context.Context) (telemetry.QueueState, error) {
	w.reportLosses()
	d, err := w.queue.Depth(ctx)
	state := telemetry.QueueState{Depth: int64(d.Waiting)}
	if !d.Oldest.IsZero() {
		state.OldestAge = max(0, time.Since(d.Oldest))
	}
	return state, err
}

// reportLosses tells telemetry what the outbox lost since the last time.
func (w *worker) reportLosses() {
	w.reporting.Lock() // the Collector and Prometheus may ask at once
	defer w.reporting.Unlock()
	now := w.store.Stats().Losses()
	for reason, n := range now {
		if n -= w.reported[reason]; n > 0 {
			w.telemetry.OutboxDropped(n, reason)
		}
	}
	w.reported = now
}

// telemetryConfig turns settings into what telemetry wants.
func (a *app) telemetryConfig() (telemetry.Config, error) {
	mode, _ := a.cfg.Mode()
	ratio, remote, err := telemetry.ResolveSampler(a.cfg.TracesSampler, a.cfg.TracesSamplerArg)
	if err != nil {
		return telemetry.Config{}, err
	}
	build := readBuild()
	c := telemetry.Config{
		Mode: mode, Endpoint: a.cfg.OTLPEndpoint, Headers: a.cfg.OTLPHeaders,
		Ratio: ratio, Remote: remote, SamplingFile: a.cfg.SamplingPath(), CaptureContent: a.cfg.ContentAllowed(),
		ServiceName: a.cfg.ServiceName, Experiment: a.cfg.Experiment,
		Environment:        cmp.Or(a.cfg.ResourceAttributes[wire.ResEnvironment], a.cfg.Profile),
		ResourceAttributes: a.cfg.ResourceAttributes,
		Version:            build.Version, Revision: build.Revision,
		Gates: gates.DefaultLimits, Render: render.Slack, SlackURL: a.cfg.SlackURL, Logger: a.log,
		Redactor: a.redactor, Unredacted: a.redactor == nil, Prometheus: a.service && a.cfg.MetricsAddr != "",
	}
	if mode != telemetry.ModeOff {
		nameProcess(&c)
	}
	return c, nil
}

// nameProcess says whose process it is and of which program, for people who look at a run; a
// process without them is no error.
func nameProcess(c *telemetry.Config) {
	if u, err := user.Current(); err == nil {
		c.Owner = u.Username
	}
	if path, err := os.Executable(); err == nil {
		c.Executable = filepath.Base(path)
	}
}

// instanceID tells workers apart that share a PostgreSQL database, whose points would pass for
// repeated ones of each other. A restarted one keeps its id. Empty: the database has one worker.
func instanceID(c config.Config, s *store.Store) string {
	if named := c.ResourceAttributes[wire.ResServiceInstanceID]; named != "" || s.Address() == "" {
		return named
	}
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(s.StoreID()+"\n"+host)).String()
}

func newAnalyser(c config.Config, d *data.Data) (commentator.Analyser, error) {
	if c.OpenAIKey == "" {
		return analysis.NewOffline(d), nil
	}
	return analysis.NewOpenAI(analysis.OpenAIConfig{
		APIKey: c.OpenAIKey, BaseURL: c.OpenAIBaseURL, ModelStageA: c.ModelA, ModelStageB: c.ModelB,
		Temperature: c.ModelTemperature, MaxTokens: c.ModelMaxTokens,
	}, d)
}

// analysers gives each attempt the prompts as their files are then; nil: there are none to give.
func analysers(analyser commentator.Analyser, dir string, stamp data.PromptsStamp, log *slog.Logger) func() commentator.Analyser {
	if o, ok := analyser.(*analysis.OpenAI); ok {
		return analysis.NewReloading(o, dir, stamp, log).Current
	}
	return nil
}

// openStore opens a job database that must exist, for commands that change something of it.
func (a *app) openStore(ctx context.Context) (*store.Store, error) {
	s, err := a.store(ctx, store.Existing())
	return s, a.noDatabase(err)
}

// look opens a job database that must exist, for commands that only show something: they wait for nobody who
// writes, and need not be able to write. One of an older release is upgraded before.
func (a *app) look(ctx context.Context) (*store.ReadOnly, error) {
	r, err := a.readOnly(ctx)
	if !errors.Is(err, store.ErrOlderSchema) {
		return r, err
	}
	s, err := a.openStore(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return a.readOnly(ctx)
}

func (a *app) readOnly(ctx context.Context) (*store.ReadOnly, error) {
	r, err := store.Glance(ctx, a.cfg.Database())
	if err != nil {
		return nil, a.noDatabase(openFailure{err})
	}
	if err := r.Current(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// noDatabase says what to do when there is none.
func (a *app) noDatabase(err error) error {
	if errors.Is(err, store.ErrNoDatabase) {
		return usageError{fmt.Errorf("there is no job database %s yet; run `commentator replay URL` first, or set DB_PATH or DATABASE_URL", a.cfg.DatabaseName())}
	}
	return err
}

// openFailure is an error of opening the job database, which names the file and says what to do.
type openFailure struct{ error }

func (e openFailure) Unwrap() error { return e.error }

// damage says of which file a statement found that it is damaged, and what to do. What was found while
// the file was opened is said already.
func (a *app) damage(err error) error {
	if a.cfg.DatabaseURL != "" || !store.Damaged(err) || errors.As(err, new(openFailure)) {
		return err
	}
	return fmt.Errorf("the job database %s is damaged: %w; stop the worker, keep the file with its -wal and -shm, and put a backup in its place (`mlflowctl doctor` says what is damaged)", a.cfg.DBPath, err)
}

// workStore opens the job database for a process that works on it.
func (a *app) workStore(ctx context.Context) (*store.Store, error) {
	if a.service {
		backfill := a.cfg.BackfillMaxAge
		if a.cfg.SlackBotToken == "" {
			backfill = 0
		}
		return a.store(ctx, store.WithHistory(a.cfg.HistoryKeep, backfill))
	}
	return a.store(ctx)
}

func (a *app) store(ctx context.Context, opts ...store.Option) (*store.Store, error) {
	s, err := store.Open(ctx, a.cfg.Database(), append(opts, store.WithLogger(a.log),
		store.WithOutboxLimit(a.cfg.OutboxMaxBytes), store.WithMaxAge(a.cfg.OutboxMaxAge), store.WithKeepSent(a.cfg.OutboxKeepSent))...)
	if err != nil {
		return nil, openFailure{err}
	}
	return s, nil
}

// database is a job database, open for writing or for reading.
type database interface {
	LockPath() string // empty for PostgreSQL
	Reader() *sql.DB
}

// working reports whether a process works on a job database.
func working(ctx context.Context, s database) (bool, error) {
	if path := s.LockPath(); path != "" {
		return queue.Busy(path)
	}
	n, err := queue.Workers(ctx, s.Reader())
	return n > 0, err
}
