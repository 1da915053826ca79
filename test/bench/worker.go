//go:build linux

package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/technoshare/commentator/test/bench/drive"
	"github.com/technoshare/commentator/test/sandbox"
)

// kind is one way of running the worker.
type kind struct {
	name      string
	program   string // "none": built without telemetry, "plain": as it is, "watched"
	mode      string
	collector string // "", "up", "down", "hanging"
}

// The kinds in the order of their turns. None and off stand beside each other, because what
// is compared of them is small.
var kinds = []kind{
	{"none", "none", "off", ""},
	{"off", "plain", "off", ""},
	{"tracking", "watched", "tracking", "up"},
	{"tracing", "watched", "tracing", "up"},
	{"tracking_down", "watched", "tracking", "down"},
	{"tracing_down", "watched", "tracing", "down"},
	{"tracking_hanging", "watched", "tracking", "hanging"},
	{"tracing_hanging", "watched", "tracing", "hanging"},
}

// jobsOfATurn is how many jobs a worker runs before the next one has its turn: few, so that
// whatever else the machine does meets all of them.
const jobsOfATurn = 20

// The difference of off to none is a fiftieth at most, and the machine changes by more than that
// within a second. It is measured in turns of their own, in which the two run one job each by
// turns: in 30 pairs of 60 jobs the ratios scatter by 3.5 %, where whole turns one after the other
// scatter by 8 %. They begin with a collection, since one more or less is as much in a short turn.
const (
	longTurn      = 60 // jobs of each
	longTurnPairs = 2  // in each round
	long          = "_long"
)

// underLoad is a worker that the benchmark drives.
type underLoad struct {
	kind
	*process
	in  io.WriteCloser
	out *bufio.Reader
}

func startWorker(dir string, k kind, program, collector string, l *load) (*underLoad, error) {
	dir = filepath.Join(dir, k.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	w := &underLoad{kind: k}
	var err error
	w.process, err = launch(dir, "worker", nil, func(cmd *exec.Cmd) (err error) {
		if w.in, err = cmd.StdinPipe(); err != nil {
			return err
		}
		out, err := cmd.StdoutPipe()
		w.out = bufio.NewReader(out)
		return err
	}, program, "-dir", dir, "-mode", k.mode, "-collector", collector,
		"-pages", l.url+"/article/", "-variants", fmt.Sprint(pageCount), "-model", l.url+"/v1", "-slack", l.url+"/slack/")
	if err != nil {
		return nil, err
	}
	if _, err := w.out.ReadString('\n'); err != nil {
		return nil, fmt.Errorf("start worker %s: %w\n%s", k.name, err, w.tail())
	}
	return w, nil
}

func (w *underLoad) ask(r drive.Request) (a drive.Answer, err error) {
	if err := json.NewEncoder(w.in).Encode(r); err != nil {
		return a, fmt.Errorf("ask worker %s: %w\n%s", w.name, err, w.tail())
	}
	line, err := w.out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("wait for worker %s: %w\n%s", w.name, err, w.tail())
	}
	return a, json.Unmarshal(line, &a)
}

// close ends a worker gently: its messages stay where they are.
func (w *underLoad) close() {
	_ = w.in.Close()
	w.stop()
}

// crew is all workers with what they need.
type crew struct {
	load       *load
	collectors map[string]*collector
	workers    []*underLoad
	closers    []func()
}

func (c *crew) close() {
	for _, f := range slices.Backward(c.closers) {
		f()
	}
}

// sinkOverlay exports to a server that takes everything, by way of the same queue on disk. It
// compresses nothing: the processors belong to the worker that is measured.
const sinkOverlay = `exporters:
  otlphttp:
    traces_endpoint: %s/sink/v1/traces
    compression: none
    sending_queue: {enabled: true, storage: file_storage, sizer: bytes, queue_size: 4294967296, num_consumers: 2}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter], exporters: [otlphttp]}
    metrics: {receivers: [otlp], processors: [memory_limiter], exporters: [prometheus]}
`

func openCrew(o options) (c *crew, err error) {
	c = &crew{collectors: map[string]*collector{}}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	programs, err := buildWorkers(o)
	if err != nil {
		return c, err
	}
	if c.load, err = startLoad(o.top); err != nil {
		return c, err
	}
	c.closers = append(c.closers, c.load.close)
	down, err := sandbox.FreeAddress()
	if err != nil {
		return c, err
	}
	addresses := map[string]string{"": "", "down": "http://" + down}
	for _, name := range []string{"up", "hanging"} {
		up, err := startCollector(o.top, o.dir, "collector-"+name, "http://127.0.0.1:1", fmt.Sprintf(sinkOverlay, c.load.url))
		if err != nil {
			return c, err
		}
		c.closers = append(c.closers, up.close)
		c.collectors[name], addresses[name] = up, "http://"+up.conn.Target()
	}
	for _, k := range kinds {
		w, err := startWorker(o.dir, k, programs[k.program], addresses[k.collector], c.load)
		if err != nil {
			return c, err
		}
		c.closers = append(c.closers, w.close)
		c.workers = append(c.workers, w)
	}
	return c, nil
}

// buildWorkers builds the worker in every way.
func buildWorkers(o options) (map[string]string, error) {
	watch, err := withWatch(o.top, o.dir)
	if err != nil {
		return nil, err
	}
	none, err := withoutTelemetry(o.top)
	if err != nil {
		return nil, err
	}
	programs := map[string]string{}
	for name, over := range map[string]overlay{"plain": nil, "watched": watch, "none": none} {
		programs[name] = filepath.Join(o.dir, "worker-"+name)
		if err := buildWorker(o.top, programs[name], over); err != nil {
			return nil, err
		}
	}
	return programs, nil
}

// hang stops the Collector where it is: the system still takes connections and bytes for it,
// and nobody answers.
func (c *crew) hang() error {
	p := c.collectors["hanging"].process
	c.closers = append(c.closers, func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGCONT) })
	return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGSTOP)
}

// foreignCPU measures from now on; the function that it returns gives the share of the
// machine's processor time that other programs had.
func (c *crew) foreignCPU() (share func() float64) {
	ours := func() (sum time.Duration) {
		sum = ownCPU() + c.collectors["up"].cpu() + c.collectors["hanging"].cpu()
		for _, w := range c.workers {
			sum += w.cpu()
		}
		return sum
	}
	start, busy, own := time.Now(), busyCPU(), ours()
	return func() float64 {
		all := time.Since(start) * time.Duration(runtime.NumCPU())
		return max(0, float64(busyCPU()-busy-(ours()-own))/float64(all))
	}
}

func (c *crew) worker(name string) *underLoad {
	i := slices.IndexFunc(c.workers, func(w *underLoad) bool { return w.name == name })
	return c.workers[i]
}

// turn is what one worker did when it had its turn.
type turn struct {
	Kind  string `json:"kind"`
	Round int    `json:"round"`
	drive.Answer
}

// benchWorker runs the workers in turn and writes what their telemetry cost.
func benchWorker(o options) error {
	o.jobs = cmp.Or(o.jobs, 2000)
	c, err := openCrew(o)
	if err != nil {
		return err
	}
	defer c.close()
	fmt.Fprintln(os.Stderr, "warming up …")
	for _, w := range c.workers {
		if _, err := w.ask(drive.Request{Jobs: 2 * pageCount, Drain: w.collector == "up" || w.collector == "hanging"}); err != nil {
			return err
		}
	}
	if err := c.hang(); err != nil {
		return err
	}
	rounds := (o.jobs + jobsOfATurn - 1) / jobsOfATurn
	foreign := c.foreignCPU()
	var turns []turn
	give := func(w *underLoad, kind string, round int, r drive.Request) error {
		a, err := w.ask(r)
		turns = append(turns, turn{kind, round, a})
		return err
	}
	for i := range rounds {
		for _, w := range order(c.workers, i) {
			if err := give(w, w.name, i+1, drive.Request{Jobs: jobsOfATurn, Drain: w.collector == "up"}); err != nil {
				return err
			}
		}
		for k := i * longTurnPairs; k < (i+1)*longTurnPairs; k++ {
			pair, err := byTurns(c.worker("none"), c.worker("off"), k)
			if err != nil {
				return err
			}
			turns = append(turns, pair...)
		}
		if (i+1)%10 == 0 {
			fmt.Fprintf(os.Stderr, "round %d of %d\n", i+1, rounds)
		}
	}
	share := foreign()
	figures, err := c.figures(turns)
	if err != nil {
		return err
	}
	figures.Foreign = share
	job, err := c.worker("tracing").ask(drive.Request{Job: true})
	if err != nil {
		return err
	}
	c.close() // the machine belongs to MLflow's SDK now
	c.closers = nil
	figures.SDK, err = sdkOf(o, job.Job)
	return errors.Join(err, reportWorker(o, figures)) // the workers' figures in any case
}

// byTurns has two workers run one job each by turns, and every other time the second one first.
func byTurns(a, b *underLoad, number int) ([]turn, error) {
	pair := []*underLoad{a, b}
	both := []turn{{Kind: a.name + long, Round: number + 1}, {Kind: b.name + long, Round: number + 1}}
	for i := range longTurn {
		for _, w := range order(pair, i+number) {
			one, err := w.ask(drive.Request{Jobs: 1, Collect: i == 0})
			if err != nil {
				return nil, err
			}
			t := &both[slices.Index(pair, w)]
			t.CPU, t.Memory = t.CPU+one.CPU, one.Memory
			t.Jobs = append(t.Jobs, one.Jobs...)
		}
	}
	return both, nil
}

// order turns the workers round: in every round another one comes first, and in every second
// round each pair of neighbours is exchanged.
func order(workers []*underLoad, round int) []*underLoad {
	out := slices.Clone(workers)
	if round%2 == 1 {
		for i := 0; i+1 < len(out); i += 2 {
			out[i], out[i+1] = out[i+1], out[i]
		}
	}
	first := 2 * (round / 2) % len(out)
	return slices.Concat(out[first:], out[:first])
}
