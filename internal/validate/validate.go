package validate

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/reconcile"
)

// Config is what a validation needs.
type Config struct {
	Worker *Worker // started
	Client *mlflow.Client
	// Database is that of the deployment; nothing but its jobs is read.
	Database string
	// Mode is off, tracking or tracing, by the settings, and Because says why.
	Mode, Because string
	// Experiment is where test jobs are recorded, Deployed where those of people are; empty: the
	// Collector decides.
	Experiment, Deployed string
	Jobs                 int
	Bound                float64       // of the ratio of latencies
	Wait                 time.Duration // for what is on its way to MLflow
	BaselineFile         string
	Prometheus           string // address of one that reads the Collector; empty: nobody knows of a longer time
	Version              string
	Now                  func() time.Time
	Sleep                func(context.Context, time.Duration) error
}

// rounds is in how many parts the test jobs run. Between two parts as many jobs run with
// telemetry off: what else happens on the machine meets both.
const rounds = 4

// Record runs test jobs with telemetry off and makes a baseline of how long they take.
func Record(ctx context.Context, cfg Config) (Baseline, error) {
	jobs, _, err := cfg.run(ctx, true)
	return NewBaseline(jobs, cfg.Now(), cfg.Version), err
}

// run runs the test jobs, and as many with telemetry off, or only the latter.
func (cfg Config) run(ctx context.Context, onlyOff bool) (off, on []Job, err error) {
	for i := range min(rounds, cfg.Jobs) {
		n := cfg.Jobs*(i+1)/rounds - cfg.Jobs*i/rounds
		if cfg.Jobs < rounds {
			n = 1
		}
		for _, side := range []struct {
			off  bool
			jobs *[]Job
		}{{true, &off}, {false, &on}} {
			if !side.off && onlyOff {
				continue
			}
			some, err := cfg.Worker.Run(ctx, n, side.off)
			if err != nil {
				return off, on, err
			}
			*side.jobs = append(*side.jobs, some...)
		}
	}
	return off, on, nil
}

// evidence is all that the checks and criteria are judged by.
type evidence struct {
	cfg        Config
	version    string // of MLflow
	down       error  // why MLflow cannot be read
	probes     probes
	off, on    []Job
	held       reconcile.Result // test jobs in MLflow
	baseline   Baseline
	noBaseline error
	deployment Deployment
	day        *reconcile.Result // jobs of people of the last day; nil: not compared
	prompts    promptUse
	uptime     *float64  // of MLflow in the last week; nil: nobody was asked
	evaluated  time.Time // when the last evaluation began that MLflow knows of; zero: none
}

// Run validates. An error means that it could not be done; what is wrong with the deployment is
// in the report.
func Run(ctx context.Context, cfg Config) (Report, error) {
	e := evidence{cfg: cfg}
	stop := e.probes.start(ctx, cfg.Client)
	err := e.gather(ctx)
	stop()
	if err != nil {
		return Report{}, err
	}
	r := Report{
		Time: cfg.Now().UTC().Truncate(time.Second), Version: cfg.Version, MLflow: cfg.Client.Endpoint(), Mode: cfg.Mode,
		Phase: map[string]int{"tracking": 1, "tracing": 2}[cfg.Mode], Jobs: cfg.Jobs, Channel: Channel, Experiment: cfg.Experiment,
	}
	r.Latency = e.latency()
	r.Checks = e.checks(r.Latency)
	r.Criteria = e.criteria()
	r.judge()
	return r, nil
}

func (e *evidence) gather(ctx context.Context) (err error) {
	cfg := e.cfg
	if e.baseline, e.noBaseline = ReadBaseline(cfg.BaselineFile); e.noBaseline != nil && !errors.Is(e.noBaseline, ErrNoBaseline) {
		return e.noBaseline
	}
	if e.deployment, err = ReadDeployment(ctx, cfg.Database, cfg.Now()); err != nil {
		return err
	}
	if e.off, e.on, err = cfg.run(ctx, false); err != nil {
		return err
	}
	if cfg.Prometheus != "" {
		share, err := Uptime(ctx, cfg.Prometheus)
		if err != nil {
			return err
		}
		e.uptime = &share
	}
	e.version, e.down = cfg.Client.Version(ctx)
	if e.down == nil {
		e.evaluated, e.down = lastEvaluation(ctx, cfg.Client)
	}
	if e.down == nil && cfg.Mode != "off" {
		if e.held, err = e.compare(ctx, cfg.Worker.Database(), cfg.Experiment, time.Time{}, nil); err == nil && e.deployment.Known {
			var day reconcile.Result
			day, err = e.compare(ctx, cfg.Database, cfg.Deployed, cfg.Now().Add(-24*time.Hour), &e.prompts)
			e.day = &day
		}
		var answer *mlflow.Error
		if errors.As(err, &answer) {
			e.down, err = err, nil
		}
	}
	return err
}

// evalSuite is the name of the run of an evaluation.
const evalSuite = "eval_suite"

// lastEvaluation is when the last evaluation began, by the runs that evaluations have.
func lastEvaluation(ctx context.Context, client *mlflow.Client) (time.Time, error) {
	experiments, err := client.SearchExperiments(ctx)
	if err != nil {
		return time.Time{}, err
	}
	in := mlflow.SearchRuns{Filter: "attributes.run_name = '" + evalSuite + "'", MaxResults: 1, OrderBy: []string{"attributes.start_time DESC"}}
	for _, e := range experiments {
		in.ExperimentIDs = append(in.ExperimentIDs, e.ID)
	}
	runs, _, err := client.SearchRuns(ctx, in)
	if err != nil || len(runs) == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(runs[0].Info.StartTime), nil
}

func (e *evidence) compare(ctx context.Context, database, experiment string, since time.Time, prompts *promptUse) (reconcile.Result, error) {
	records, err := reconcile.OpenRecords(ctx, database)
	if err != nil {
		return reconcile.Result{}, err
	}
	server, err := reconcile.NewServer(ctx, e.cfg.Client)
	if err != nil {
		return reconcile.Result{}, errors.Join(err, records.Close())
	}
	c := reconcile.Comparison{Records: records, Server: server, Experiment: experiment, Settle: e.cfg.Wait, Now: e.cfg.Now, Sleep: e.cfg.Sleep}
	if prompts != nil {
		c.Seen = prompts.look
	}
	found, err := c.Since(ctx, since)
	return found, errors.Join(err, records.Close())
}

// promptUse counts jobs whose runs name prompts, and those whose prompts MLflow's registry has.
type promptUse struct{ named, linked map[string]bool }

func (p *promptUse) look(r reconcile.Run) {
	if r.Params["stage_a_prompt"] == "" && r.Params["stage_b_prompt"] == "" {
		return
	}
	if p.named == nil {
		p.named, p.linked = map[string]bool{}, map[string]bool{}
	}
	p.named[r.ID] = true
	p.linked[r.ID] = r.Tags["mlflow.linkedPrompts"] != ""
}

func (p promptUse) count() (named, linked int) {
	for id := range p.named {
		if p.linked[id] {
			linked++
		}
	}
	return len(p.named), linked
}

// probeEvery is how often MLflow is asked whether it is there.
const probeEvery = 500 * time.Millisecond

// probes ask MLflow, while jobs run, whether it is there.
type probes struct {
	mu              sync.Mutex
	asked, answered int
	last            error
}

func (p *probes) start(ctx context.Context, client *mlflow.Client) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(probeEvery)
		defer tick.Stop()
		for {
			_, err := client.Version(ctx)
			if ctx.Err() != nil {
				return
			}
			p.note(err)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

func (p *probes) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if err != nil {
		p.last = err
		return
	}
	p.answered++
}

func (e *evidence) latency() *Latency {
	l := &Latency{Bound: e.cfg.Bound, Median: median(seconds(e.on)), Off: median(seconds(e.off))}
	l.ToOff = NewRatio(seconds(e.on), seconds(e.off))
	if e.noBaseline == nil {
		ratio := NewRatio(seconds(e.on), e.baseline.Seconds)
		l.Baseline, l.ToBaseline = e.baseline.Median, &ratio
	}
	return l
}
