//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/technoshare/commentator/test/sandbox"
)

// experiment is where the jobs of the worker go.
const experiment = "chaos"

// siege is one run: the programs, what happens to them, and what came of it.
type siege struct {
	o     options
	dir   string
	began time.Time

	bell     *bell
	site     *site
	intake   *intake
	gate     *gate
	observer *observer
	moments  *moments
	programs map[victim]*program
	inputs   []input

	fedUp   chan struct{} // closed when all inputs are put in, or feedErr says why not
	feedErr error

	trouble troubles

	mu      sync.Mutex
	log     []act
	stepped int // steps that are done
	struck  time.Time
	// startWrites are those to the Collector's disk while it started last; writesBefore those
	// before it was started.
	startWrites, writesBefore int
}

// sinceStruck is the time since something was done to a program.
func (s *siege) sinceStruck() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.struck)
}

func newSiege(o options, dir string) (*siege, error) {
	s := &siege{
		o: o, dir: dir, began: time.Now(), struck: time.Now(),
		bell: &bell{}, programs: map[victim]*program{}, fedUp: make(chan struct{}),
	}
	for _, v := range []victim{worker, collector, mlflow} {
		if err := os.MkdirAll(filepath.Join(dir, string(v)), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(s.queue(), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, string(worker), "sampling.yaml"), []byte(samplingRules), 0o600); err != nil {
		return nil, err
	}
	var err error
	if s.moments, err = newMoments(s.database()); err != nil {
		return nil, err
	}
	if s.site, err = startSite(o.top, s.bell); err != nil {
		return nil, err
	}
	free, err := sandbox.FreePorts(10)
	if err != nil {
		return nil, err
	}
	var ports []string // with their host
	for _, port := range free {
		ports = append(ports, addressOf(port))
	}
	s.intake = &intake{bell: s.bell, address: ports[9], target: ports[2]}
	s.gate = newGate(s.bell, ports[1], ports[0])
	s.add(mlflow, "http://"+ports[0]+"/health", s.openGate, []string{
		"MLFLOW_PORT=" + portOf(ports[0]),
	}, filepath.Join(o.top, "scripts", "start_mlflow.sh"), "--", "--workers", extentOf(o.jobs).workers)
	s.add(collector, "http://"+ports[3], s.openIntake, []string{
		"MLFLOW_TRACKING_URI=http://" + ports[1], "MLFLOW_EXPERIMENT_NAME=" + experiment, "OTELCOL_DATA_DIR=" + s.queue(),
		"OTELCOL_GRPC_ENDPOINT=" + ports[2], "OTELCOL_HEALTH_ENDPOINT=" + ports[3], "OTELCOL_HTTP_ENDPOINT=" + ports[4],
		"OTELCOL_METRICS_PORT=" + portOf(ports[5]), "OTELCOL_PROMETHEUS_ENDPOINT=" + ports[6], "OTELCOL_REPLAY_ENDPOINT=" + ports[7],
		"OTELCOL_STATUS_ENDPOINT=" + ports[8],
	}, filepath.Join(o.bin, "otelcol-mlflow"))
	s.add(worker, "", nil, []string{
		"DB_PATH=" + s.database(), "RETRIEVAL_ALLOW_HOSTS=loopback", "SAMPLING_FILE=sampling.yaml",
		"MLFLOW_ENABLE_TRACKING=true", "MLFLOW_ENABLE_TRACING=true", "OTEL_TRACES_SAMPLER=traceidratio", fmt.Sprintf("OTEL_TRACES_SAMPLER_ARG=%g", fullShare),
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + ports[9], "SLACK_WORKSPACE_URL=https://chaos.slack.com",
		"OPENAI_API_KEY=chaos", fmt.Sprintf("OPENAI_BASE_URL=http://127.0.0.1:%d/v1", s.site.port), "MODEL_STAGE_A=gpt-4o-mini", "MODEL_STAGE_B=gpt-4o",
	}, filepath.Join(o.bin, "commentator"), "serve")
	return s, nil
}

// watchDisks rings for writes of the worker and of the Collector. Being watched costs a program
// time: a soak that compares two of them does without it.
func (s *siege) watchDisks() error {
	return errors.Join(
		watchWrites(s.bell, filepath.Dir(s.database()), func(name string) []event {
			if name == filepath.Base(s.database())+"-wal" {
				s.moments.wrote()
				return []event{eventJournal}
			}
			return nil
		}),
		watchWrites(s.bell, s.queue(), func(name string) []event {
			if name == "exporter_mlflow__traces" { // as file_storage names it
				return []event{eventQueue, eventWrite}
			}
			return []event{eventWrite}
		}),
	)
}

func addressOf(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (s *siege) add(name victim, health string, started func(), env []string, command ...string) {
	s.programs[name] = &program{
		name: name, dir: filepath.Join(s.dir, string(name)), env: env, command: command, health: health, started: started,
		died: s.trouble.add,
	}
}

func (s *siege) queue() string    { return filepath.Join(s.dir, string(collector), "data") }
func (s *siege) database() string { return filepath.Join(s.dir, string(worker), "db.sqlite") }
func (s *siege) mlflow() string   { return filepath.Join(s.dir, string(mlflow)) }

func (s *siege) openGate() {
	if err := s.gate.open(); err != nil {
		s.programs[mlflow].died("open the way to MLflow: " + err.Error())
	}
}

// openIntake lets the worker to a Collector that has started, and notes how many writes to its
// disk that took.
func (s *siege) openIntake() {
	if err := s.intake.open(); err != nil {
		s.programs[collector].died("open the way to the Collector: " + err.Error())
	}
	writes := s.bell.total()[eventWrite]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startWrites = writes - s.writesBefore
}

// start starts all programs and waits until they answer.
func (s *siege) start(ctx context.Context) error {
	if err := s.watchDisks(); err != nil {
		return err
	}
	for _, v := range []victim{mlflow, collector, worker} {
		if err := s.programs[v].start(); err != nil {
			return err
		}
		if err := s.trouble.until(ctx, string(v)+" to start", startPatience, s.programs[v].ready); err != nil {
			return err
		}
	}
	err := s.trouble.until(ctx, "the job database", startPatience, func() bool {
		_, err := os.Stat(s.database())
		return err == nil
	})
	if err != nil {
		return err
	}
	s.observer, err = newObserver(s.bell, s.database(), filepath.Join(s.mlflow(), "mlflow.db"))
	if err == nil {
		go s.observer.run(ctx)
		go s.moments.run(ctx)
	}
	return err
}

const startPatience = 5 * time.Minute

// stop ends all programs in peace, the first of the chain first.
func (s *siege) stop() {
	for _, v := range []victim{worker, collector} {
		s.programs[v].stop()
	}
	s.intake.close()
	s.gate.close()
	s.programs[mlflow].stop()
	_ = s.site.server.Close()
	_ = s.moments.db.Close()
	if s.observer != nil {
		s.observer.close()
	}
}

// feed puts the inputs in, as many as the steps so far allow, and never so many that more
// than window jobs are under way.
func (s *siege) feed(ctx context.Context, steps int) {
	defer close(s.fedUp)
	fed, window := 0, windowOf(s.o.jobs)
	for _, in := range s.inputs {
		for {
			p := s.observer.progress()
			waiting := fed - p.inMLflow - p.finalOff
			s.mu.Lock()
			allowed := s.o.jobs * (s.stepped + 1) / (steps + 1)
			if s.stepped >= steps {
				allowed = s.o.jobs
			}
			s.mu.Unlock()
			if waiting < window && (fed < allowed || waiting <= 0) || s.away() && fed < allowed+window {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
		if err := enqueue(ctx, s.programs[worker], in); err != nil {
			s.feedErr = err
			return
		}
		fed += in.jobs()
	}
}

// windowOf is how many jobs are put in before the first of them is in MLflow.
func windowOf(jobs int) int { return min(max(jobs/8, 3), 16) }

// away reports whether MLflow is down.
func (s *siege) away() bool { return !s.programs[mlflow].ready() }

// delivered waits until all jobs are final and in MLflow and nothing is on its way.
func (s *siege) delivered(ctx context.Context) error {
	total := 0
	for _, in := range s.inputs {
		total += in.jobs()
	}
	quiet := 0
	var last map[event]int
	return s.trouble.until(ctx, "all jobs to be delivered", s.o.patience-s.sinceStruck(), func() bool {
		time.Sleep(500 * time.Millisecond)
		p, now := s.observer.look(), s.bell.total()
		still := p.jobs == total && p.final == total && p.unsent == 0 && p.inMLflow >= total-p.finalOff && now[eventRequest] == last[eventRequest]
		if quiet++; !still {
			quiet = 0
		}
		last = now
		return quiet >= 6
	})
}

// deliverPatience is the time from the last kill in which everything has to be there.
const deliverPatience = 10 * time.Minute
