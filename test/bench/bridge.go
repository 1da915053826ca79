//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// way is one of the ways to bring jobs into MLflow.
type way struct {
	name string
	// write brings n jobs in and says how long it took.
	write func(n int) (time.Duration, error)
	// cpu is the processor time of the writer so far.
	cpu    func() time.Duration
	memory func() int64 // of the writer, in bytes; nil: not measured
	// share of the jobs of a round; 0 means all of them.
	share int
}

// round is what one way took in one round.
type round struct {
	Way         string  `json:"way"`
	Round       int     `json:"round"`
	Jobs        int     `json:"jobs"`
	MS          float64 `json:"ms_per_job"`
	CPU         float64 `json:"cpu_ms_per_job"`        // of the writer
	ServerCPU   float64 `json:"server_cpu_ms_per_job"` // of all processes of MLflow
	Busiest     float64 `json:"server_cpu_busiest"`    // share of that which one process had
	Disk        float64 `json:"mlflow_disk_bytes_per_job"`
	AnonymousMB float64 `json:"anonymous_mb,omitempty"` // of the writer, afterwards
}

// site is a server with everything that writes to it.
type site struct {
	o       options
	work    *workload
	server  *server
	job     string // the job as a file
	next    int    // number of the next job
	closers []func()
}

func (s *site) close() {
	for _, c := range slices.Backward(s.closers) {
		c()
	}
}

func openSite(o options) (s *site, err error) {
	s = &site{o: o, next: 1}
	if s.work, err = loadWorkload(filepath.Join(o.top, "test", "bench", "testdata", "workload.yaml")); err != nil {
		return nil, err
	}
	if s.job, err = s.work.file(o.dir); err != nil {
		return nil, err
	}
	if s.server, err = startServer(o.top, o.dir, o.store); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, s.server.stop)
	return s, nil
}

func benchBridge(o options) error {
	o.jobs = cmp.Or(o.jobs, 24)
	s, err := openSite(o)
	if err != nil {
		return err
	}
	defer s.close()
	ways, err := s.ways()
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "warming up …")
	for _, w := range ways { // MLflow's first requests take seconds: it loads code, and looks for prices of models
		if _, err := w.write(3); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	var rounds []round
	for i := range o.rounds {
		for k := range ways {
			w := ways[(i+k)%len(ways)] // none always comes first
			r, err := s.round(w, i+1)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d  %-14s %8.1f ms per job, %3.0f %% of MLflow's CPU in one process\n", i+1, w.name, r.MS, 100*r.Busiest)
			rounds = append(rounds, r)
		}
	}
	took, err := s.operations()
	if err != nil {
		return err
	}
	wires, err := s.wires()
	if err != nil {
		return err
	}
	return report(o, s.work, rounds, wires, took)
}

// ways starts all writers.
func (s *site) ways() ([]way, error) {
	worker, err := startSDK(s.o.top, s.o.dir, s.server.url, s.job, "sdk")
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, worker.stop)
	ways := []way{{name: "sdk", write: worker.record, cpu: worker.cpu, memory: worker.anonymous, share: 4}}

	f, err := s.floorOf("floor", overlayWith(true), s.server.url)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, f.close)
	ways = append(ways, way{name: "floor", write: func(n int) (time.Duration, error) { return s.writeFloor(f, n) }, cpu: ownCPU})

	bridge, err := s.bridge("bridge", overlayWith(false), s.server.url)
	if err != nil {
		return nil, err
	}
	one := func(n int) (time.Duration, error) { return s.oneByOne(bridge, n, stagesAndJob) }
	all := func(n int) (time.Duration, error) { return s.backlog(bridge, n, stagesAndJob) }
	flat, err := s.bridge("flat", overlayWith(false, layoutFlat), s.server.url)
	if err != nil {
		return nil, err
	}
	return append(ways,
		way{name: "bridge", write: one, cpu: bridge.cpu, memory: bridge.anonymous},
		way{name: "bridge_backlog", write: all, cpu: bridge.cpu, memory: bridge.anonymous},
		way{name: "flat", write: func(n int) (time.Duration, error) { return s.oneByOne(flat, n, 1) }, cpu: flat.cpu, memory: flat.anonymous},
		way{name: "flat_backlog", write: func(n int) (time.Duration, error) { return s.backlog(flat, n, 1) }, cpu: flat.cpu, memory: flat.anonymous}), nil
}

// layoutFlat makes one run of a job.
const layoutFlat = "layout: flat"

// stagesAndJob is how many runs are ended in a job of the nested layout.
const stagesAndJob = 6

func (s *site) bridge(name, overlay, mlflow string) (*collector, error) {
	c, err := startCollector(s.o.top, s.o.dir, name, mlflow, overlay)
	if err == nil {
		s.closers = append(s.closers, c.close)
	}
	return c, err
}

func (s *site) number() int { s.next++; return s.next }

// oneByOne sends a job when MLflow has the one before.
func (s *site) oneByOne(c *collector, n, runs int) (time.Duration, error) {
	start := time.Now()
	for range n {
		want := c.last.Ended + runs
		if err := c.send(s.work.whole(s.number(), time.Now())); err != nil {
			return 0, err
		}
		if _, err := c.until(want); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// backlog sends all jobs and waits until MLflow has them.
func (s *site) backlog(c *collector, n, runs int) (time.Duration, error) {
	start, want := time.Now(), c.last.Ended+n*runs
	for range n {
		if err := c.send(s.work.whole(s.number(), time.Now())); err != nil {
			return 0, err
		}
	}
	_, err := c.until(want)
	return time.Since(start), err
}

// floorOf makes a floor of what the bridge asks of MLflow for one job.
func (s *site) floorOf(name, overlay, mlflow string) (*floor, error) {
	c, err := startCollector(s.o.top, s.o.dir, name, mlflow, overlay)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if _, err := s.oneByOne(c, 1, stagesAndJob); err != nil { // asks for version and experiment too
		return nil, err
	}
	n := s.number()
	want := c.last.Ended + stagesAndJob
	if err := c.send(s.work.whole(n, time.Now())); err != nil {
		return nil, err
	}
	job, err := c.until(want)
	if err != nil {
		return nil, err
	}
	return newFloor(mlflow, job, traceID(n))
}

func (s *site) writeFloor(f *floor, n int) (time.Duration, error) {
	jobs := make([]*prepared, n)
	for i := range jobs {
		var err error
		if jobs[i], err = f.prepare(traceID(s.number())); err != nil {
			return 0, err
		}
	}
	if err := f.dial(); err != nil {
		return 0, err
	}
	start := time.Now()
	for _, j := range jobs {
		if err := f.write(j); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// round gives a way its turn.
func (s *site) round(w way, number int) (round, error) {
	jobs := s.o.jobs
	if w.share > 0 {
		jobs = max(1, jobs/w.share)
	}
	disk, err := diskUse(s.server.dir)
	if err != nil {
		return round{}, err
	}
	cpu, server := w.cpu(), s.server.cpus()
	took, err := w.write(jobs)
	if err != nil {
		return round{}, err
	}
	perJob := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(jobs) }
	r := round{Way: w.name, Round: number, Jobs: jobs, MS: perJob(took), CPU: perJob(w.cpu() - cpu)}
	var all, busiest time.Duration
	for pid, now := range s.server.cpus() {
		all += now - server[pid]
		busiest = max(busiest, now-server[pid])
	}
	r.ServerCPU, r.Busiest = perJob(all), busiest.Seconds()/all.Seconds()
	if w.memory != nil {
		r.AnonymousMB = float64(w.memory()) / 1e6
	}
	after, err := diskUse(s.server.dir)
	r.Disk = float64(after-disk) / float64(jobs)
	return r, err
}

// wires counts requests and bytes, apart from the timed rounds.
func (s *site) wires() (map[string]passed, error) {
	const few, many = 4, 24
	m, err := startMeter(s.server.url)
	if err != nil {
		return nil, err
	}
	defer m.listener.Close()
	out := map[string]passed{}
	count := func(name string, jobs int, write func(n int) error) error {
		if err := write(1); err != nil {
			return fmt.Errorf("count requests of %s: %w", name, err)
		}
		before := m.read()
		if err := write(jobs); err != nil {
			return fmt.Errorf("count requests of %s: %w", name, err)
		}
		out[name] = m.perJob(before, jobs)
		return nil
	}
	worker, err := startSDK(s.o.top, s.o.dir, m.url, s.job, "sdk counted")
	if err != nil {
		return nil, err
	}
	defer worker.stop()
	f, err := s.floorOf("floor_counted", overlayWith(true), m.url)
	if err != nil {
		return nil, err
	}
	defer f.close()
	err = errors.Join( // before there are bridges, which ask for MLflow's version when they start
		count("sdk", few, func(n int) error { _, err := worker.record(n); return err }),
		count("floor", few, func(n int) error { _, err := s.writeFloor(f, n); return err }))
	if err != nil {
		return nil, err
	}
	c, err := s.bridge("bridge_counted", overlayWith(false), m.url)
	if err != nil {
		return nil, err
	}
	flat, err := s.bridge("flat_counted", overlayWith(false, layoutFlat), m.url)
	if err != nil {
		return nil, err
	}
	return out, errors.Join(
		count("bridge", few, func(n int) error { _, err := s.oneByOne(c, n, stagesAndJob); return err }),
		count("bridge_backlog", many, func(n int) error { _, err := s.backlog(c, n, stagesAndJob); return err }),
		count("flat", few, func(n int) error { _, err := s.oneByOne(flat, n, 1); return err }),
		count("flat_backlog", many, func(n int) error { _, err := s.backlog(flat, n, 1); return err }),
		count("bridge_live", few, func(n int) error { return s.live(c, n) }),
	)
}

// live sends a job stage by stage, each when MLflow has the one before, as a worker does
// that takes its time.
func (s *site) live(c *collector, n int) error {
	for range n {
		messages := s.work.live(s.number(), time.Now())
		for i, m := range messages {
			want := c.last.Ended + 1
			if err := c.send(m); err != nil {
				return err
			}
			if i == 0 { // "job started": nothing ends
				time.Sleep(200 * time.Millisecond)
				continue
			}
			if _, err := c.until(want); err != nil {
				return err
			}
		}
	}
	return nil
}

// operations says how long MLflow takes for each request of a job, in ms.
func (s *site) operations() (map[string]float64, error) {
	c, err := s.bridge("operations", overlayWith(false), s.server.url)
	if err != nil {
		return nil, err
	}
	if _, err := s.oneByOne(c, 2, stagesAndJob); err != nil {
		return nil, err
	}
	before := c.last
	if _, err := s.oneByOne(c, s.o.jobs, stagesAndJob); err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for name, n := range c.last.Count {
		if n -= before.Count[name]; n > 0 {
			out[name] = float64((c.last.Took[name] - before.Took[name]).Microseconds()) / 1000 / float64(n)
		}
	}
	return out, nil
}
