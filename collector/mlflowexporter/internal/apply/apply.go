// Package apply makes MLflow hold what a Plan says, with the fewest requests, however
// often and in whatever order plans arrive.
//
// What was done is remembered in the ledger per run and step, so that a plan that comes
// again costs no request, and one that failed half way goes on where it stopped. Runs are
// created before the runs below them and finished after them, and a job's own run is
// finished last of all: when it says FINISHED, everything of the job is there.
package apply

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/deadletter"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
)

// Config is what an Applier needs.
type Config struct {
	Client *mlflow.Client // required
	Ledger *ledger.Ledger // required
	// DefaultExperiment is the name of the experiment of runs and traces that name none.
	// Required.
	DefaultExperiment string
	// MaxExperiments bounds the experiments that are created, as the ledger counts them; 0
	// means no limit.
	MaxExperiments int
	// UIURL is the address of the MLflow UI, without trailing slash; empty means the
	// client's endpoint.
	UIURL string
	// DeadLetterDir takes what MLflow refuses for good, one file per job and plan; empty
	// means that it is only counted and logged.
	DeadLetterDir string
	// Shared says that other bridges write the same jobs: runs are searched for before they
	// are created, and claimed when they are.
	Shared bool
	// Parallel bounds the requests on their way at one time, and the jobs of one plan that
	// are worked on at one time; 0 means 2. More do not help MLflow on SQLite.
	Parallel int
	// Count is told what could not be kept or was left out, by one of the Event constants;
	// nil means that nobody wants to know. It is called concurrently.
	Count func(event string, n int64)
	// Finished is told the status of each run that was brought to its final state just now,
	// and Delivered of each job that MLflow holds whole for the first time, how long after
	// its end that was; nil means that nobody wants to know. They are called concurrently.
	Finished  func(status string)
	Delivered func(lag time.Duration)
	// Changed is called after State has changed between away and not; nil means that nobody
	// wants to know. Calls may overlap: what State says then is newer than the call.
	Changed func()
	Logger  *zap.Logger      // nil means none
	Now     func() time.Time // nil means time.Now
}

// Events that Config.Count is told of.
const (
	EventDeletedRun       = "deleted_run"       // writes to a run that a user deleted
	EventDeletedTrace     = "deleted_trace"     // messages of a trace that a user deleted
	EventParamConflict    = "param_conflict"    // params that MLflow holds with another value
	EventUndelivered      = "undelivered"       // artifacts that MLflow could not take
	EventDeadLetter       = "dead_letter"       // items that MLflow refused for good
	EventDeadLetterFailed = "dead_letter_error" // of these, what could not be written to the directory
	EventForeignTrace     = "foreign_trace"     // traces that live in another experiment
	EventTracesOff        = "traces_off"        // traces for a server without /v1/traces
	EventNaN              = "nan_metric"        // NaN points left out because the server has them
	EventDuplicateRun     = "duplicate_run"     // runs found that share a key with an older one
	EventRefusedMetric    = "refused_metric"    // points of service runs that MLflow cannot take
	EventStaleRun         = "stale_run"         // runs ended because there was no news of them
	EventLoneScore        = "lone_score"        // verdicts on jobs of which nothing came for long
)

// Applier applies plans. It is safe for concurrent use: one trace is worked on by one
// Apply at a time.
type Applier struct {
	cfg    Config
	client *mlflow.Client
	ledger *ledger.Ledger
	log    *zap.Logger
	slots  slots
	locks  locks
	server server
	failed failures
	local  localDirs

	waiting   waitingFiles
	prompts   prompts
	listings  listings
	features  features
	breaker   breaker
	strangers strangers
	// troubled is set while the last plan, or some of it, has to be tried again.
	troubled atomic.Bool
	// kept are traces with verdicts that GiveUp could not give up in this round through all of them,
	// unended those with runs that Reap could not end.
	kept, unended map[string]bool
}

// New makes an Applier; it sends nothing.
func New(cfg Config) *Applier {
	if cfg.Parallel <= 0 {
		cfg.Parallel = 2
	}
	if cfg.UIURL == "" {
		cfg.UIURL = cfg.Client.Endpoint()
	}
	cfg.UIURL = strings.TrimRight(cfg.UIURL, "/")
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Count == nil {
		cfg.Count = func(string, int64) {}
	}
	if cfg.Finished == nil {
		cfg.Finished = func(string) {}
	}
	if cfg.Delivered == nil {
		cfg.Delivered = func(time.Duration) {}
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	a := &Applier{cfg: cfg, client: cfg.Client, ledger: cfg.Ledger, log: cfg.Logger, slots: slots{free: cfg.Parallel}, kept: map[string]bool{}, unended: map[string]bool{}}
	a.breaker.now, a.breaker.changed = cfg.Now, cfg.Changed
	return a
}

// job is everything that a plan says about one trace, while it is being applied.
type job struct {
	traceID string
	runs    []*run
	traces  []*trace
	scores  []reduce.Score
	asked   string // of a repair message, a value of wire.ResRepair; else ""
	last    bool   // nothing more is waited for
	entry   *ledger.Entry
	found   found

	mu      sync.Mutex // for what follows, and intents of entry
	errs    []*ItemError
	refused []deadletter.Refusal
	counts  map[string]int64 // by event, what the ledger does not note and the next attempt meets again
}

// fail notes an error and reports whether the job may go on. Permanent errors don't stop
// it: one bad item never costs another.
func (j *job) fail(err error) bool {
	if err == nil {
		return true
	}
	item := &ItemError{TraceID: j.traceID, Permanent: permanent(err), Err: err}
	j.mu.Lock()
	defer j.mu.Unlock()
	var unsent *awayError
	if errors.As(err, &unsent) && slices.ContainsFunc(j.errs, func(e *ItemError) bool { return !e.Permanent }) {
		return false // no news
	}
	j.errs = append(j.errs, item)
	return item.Permanent
}

// stopped reports whether something of the job has to be tried again.
func (j *job) stopped() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.errs, func(e *ItemError) bool { return !e.Permanent })
}

// whole reports whether nothing of the job went wrong.
func (j *job) whole() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.errs) == 0
}

// Apply makes MLflow hold what p says. What went wrong comes back as joined *ItemError,
// see Errors. Traces with an error that is not permanent are to be given to Apply again,
// whole; permanent ones have been counted and put into the dead-letter directory.
func (a *Applier) Apply(ctx context.Context, p reduce.Plan) error {
	return a.ApplyFrom(ctx, p, nil)
}

// Source gives the spans of a trace, by its id in hex, as they came with a plan.
type Source func(traceID string) ptrace.Traces

// ApplyFrom is Apply for a plan whose spans can be kept as dead letters.
func (a *Applier) ApplyFrom(ctx context.Context, p reduce.Plan, source Source) error {
	err := a.apply(ctx, group(p), source)
	if err != nil {
		a.doubt(ctx)
	}
	troubled := false
	for _, item := range Errors(err) {
		if !item.Permanent {
			troubled = true
			a.ledger.Seen(item.TraceID) // its run is not stale for want of this
		}
	}
	a.troubled.Store(troubled)
	return err
}

func (a *Applier) apply(ctx context.Context, jobs []*job, source Source) error {
	ids := make([]string, len(jobs))
	for i, j := range jobs {
		ids[i] = j.traceID
	}
	defer a.locks.lock(ids)()

	all := jobs
	jobs, claims, errs := a.reachable(ctx, jobs)
	entries, err := a.ledger.Begin(ctx, claims)
	if err == nil {
		err = a.rename(ctx, jobs, entries, claims)
	}
	if err != nil {
		for _, j := range jobs {
			j.fail(err)
		}
		a.writeLetters(all, source)
		a.tellCounts(all)
		return report(append(errs, errsOf(jobs)...))
	}
	for i, j := range jobs {
		j.entry = entries[i]
	}
	jobs, unsettled := a.settled(ctx, jobs)
	errs = append(errs, unsettled...)
	for _, j := range jobs {
		j.repair()
		for _, r := range j.runs {
			r.rec = j.entry.Job.Run(r.Key)
		}
	}
	// Runs and traces are written beside each other. A trace's info waits for its run, and so
	// do all traces while it is not known whether the server is there: one request finds out.
	var traces sync.WaitGroup
	traces.Go(func() {
		if state := a.State(); len(jobs) > 0 && (!state.Known || state.Away != "") {
			for _, r := range jobs[0].tops() {
				<-r.known
			}
		}
		a.applyTraces(ctx, jobs)
	})
	a.each(jobs, func(j *job) { a.applyRuns(ctx, j) })
	traces.Wait()
	a.each(jobs, func(j *job) { a.complete(ctx, j) })

	a.writeLetters(all, source)
	// What was done is noted even when the Collector is shutting down.
	if err := a.ledger.End(context.WithoutCancel(ctx), entries); err != nil {
		for _, j := range jobs {
			j.fail(err)
		}
	}
	a.tellCounts(all)
	a.listUsed(ctx, jobs)
	return report(append(errs, errsOf(jobs)...))
}

// reachable keeps the jobs whose experiments are known, so that nothing is noted about
// the others while MLflow is away.
func (a *Applier) reachable(ctx context.Context, jobs []*job) (ready []*job, claims []ledger.Claim, errs []*ItemError) {
	for _, j := range jobs {
		claim := ledger.Claim{TraceID: j.traceID}
		var err error
		for _, r := range j.runs {
			exp, e := a.experiment(ctx, r.Experiment)
			if err = e; err != nil {
				break
			}
			claim.Runs = append(claim.Runs, ledger.RunClaim{Key: r.Key, Experiment: exp.ref, Again: j.asked != ""})
		}
		for _, t := range j.traces {
			if err == nil {
				t.exp, err = a.experiment(ctx, t.Experiment)
			}
		}
		if err == nil {
			ready, claims = append(ready, j), append(claims, claim)
			continue
		}
		if j.fail(err) {
			j.buryAll(err)
		}
		j.giveUp()
		errs = append(errs, j.errs...)
	}
	return ready, claims, errs
}

// group sorts a plan into jobs, in the order in which they appear.
func group(p reduce.Plan) []*job {
	var jobs []*job
	byID := map[string]*job{}
	of := func(id string) *job {
		j := byID[id]
		if j == nil {
			j = &job{traceID: id, asked: p.Repair[id]}
			byID[id] = j
			jobs = append(jobs, j)
		}
		return j
	}
	for _, r := range p.Runs {
		j := of(r.TraceID)
		j.runs = append(j.runs, &run{Run: r, job: j, known: make(chan struct{})})
	}
	for _, t := range p.Traces {
		j := of(t.TraceID)
		j.traces = append(j.traces, &trace{Trace: t, job: j})
	}
	for _, s := range p.Scores {
		j := of(s.TraceID)
		j.scores = append(j.scores, s)
	}
	for _, j := range jobs {
		j.linkRuns()
	}
	linkOwners(jobs)
	return jobs
}

// each works on some jobs at a time, so that the first is complete long before the last
// begins.
func (a *Applier) each(jobs []*job, work func(*job)) {
	var wg sync.WaitGroup
	free := make(chan struct{}, a.cfg.Parallel)
	for _, j := range jobs {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			work(j)
		})
	}
	wg.Wait()
}

// readRun reads what MLflow has of a run.
func (a *Applier) readRun(ctx context.Context, id string) (now mlflow.Run, err error) {
	err = a.call(ctx, func() (err error) { now, err = a.client.GetRun(ctx, id); return err })
	return now, err
}

// readTrace reads what MLflow has of a trace, whose id is that of OpenTelemetry.
func (a *Applier) readTrace(ctx context.Context, id string) (info mlflow.TraceInfo, err error) {
	err = a.call(ctx, func() (err error) { info, err = a.client.GetTraceInfo(ctx, "tr-"+id); return err })
	return info, err
}

// call runs one request when a slot is free.
func (a *Applier) call(ctx context.Context, request func() error) error {
	return a.inSlot(ctx, false, request)
}

// callAhead is call, ahead of those that wait for a slot.
func (a *Applier) callAhead(ctx context.Context, request func() error) error {
	return a.inSlot(ctx, true, request)
}

func (a *Applier) inSlot(ctx context.Context, ahead bool, request func() error) error {
	if err := a.slots.take(ctx, ahead); err != nil {
		return err
	}
	defer a.slots.giveBack()
	return a.guard(ctx, request)
}

func (j *job) open(key string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.entry.Open(key)
}

func (j *job) setOpen(key string, open bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entry.SetOpen(key, open)
}

func errsOf(jobs []*job) []*ItemError {
	var all []*ItemError
	for _, j := range jobs {
		all = append(all, j.errs...)
	}
	return all
}

// report joins all errors; logging them is the caller's part.
func report(items []*ItemError) error {
	errs := make([]error, len(items))
	for i, item := range items {
		errs[i] = item
	}
	return errors.Join(errs...)
}

// linkOwners finds, for the traces that belong to the run of another trace, that run.
func linkOwners(jobs []*job) {
	runs := map[string]*run{}
	for _, j := range jobs {
		for _, r := range j.runs {
			if r.ParentKey == "" {
				runs[r.Key] = r
			}
		}
	}
	for _, j := range jobs {
		for _, t := range j.traces {
			if r := runs[t.RunKey]; r != nil && r.job != j {
				t.owner = r
			}
		}
	}
}
