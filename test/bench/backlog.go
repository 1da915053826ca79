//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/technoshare/commentator/test/sandbox"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// backlogResult is what backlog.json holds.
type backlogResult struct {
	Time     time.Time `json:"time"`
	Revision string    `json:"revision"`
	Machine  string    `json:"machine"`
	Server   string    `json:"server"`
	Jobs     int       `json:"jobs"`

	QueueMS   float64 `json:"queue_ms_per_job"`
	WriteMS   float64 `json:"write_ms_per_job"`
	Queued    float64 `json:"anonymous_mb_queued"`  // most, while MLflow was away
	Written   float64 `json:"anonymous_mb_written"` // most, while the backlog was written
	DiskFull  int64   `json:"disk_bytes_queued"`
	DiskLeft  int64   `json:"disk_bytes_left"`
	Lost      int     `json:"lost"`    // jobs without a finished run of their own and of each stage, or without a finished trace
	Doubled   int     `json:"doubled"` // runs with a key that another one has
	Goals     []goal  `json:"goals"`
	Collector string  `json:"collector"`
}

// benchBacklog queues jobs while nothing listens where MLflow should be, then starts it.
func benchBacklog(o options) error {
	o.jobs = cmp.Or(o.jobs, 10_000)
	work, err := loadWorkload(filepath.Join(o.top, "test", "bench", "testdata", "workload.yaml"))
	if err != nil {
		return err
	}
	ports, err := sandbox.FreePorts(1)
	if err != nil {
		return err
	}
	place := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	c, err := startCollector(o.top, o.dir, "backlog", place, "{}")
	if err != nil {
		return err
	}
	defer c.close()
	res := backlogResult{
		Time: time.Now().UTC(), Revision: revision(), Machine: sandbox.Machine(), Jobs: o.jobs,
		Server: "MLflow on " + backend(o.store), Collector: "configuration of the distribution",
	}
	data := filepath.Join(o.dir, "backlog", "data")

	queued, start := sample(c.process), time.Now()
	for n := range o.jobs {
		td := work.whole(n, time.Now())
		for _, rs := range td.ResourceSpans().All() {
			rs.Resource().Attributes().PutStr(wire.ResExperiment, experimentOf(n))
		}
		if err := c.send(td); err != nil {
			return err
		}
	}
	res.QueueMS = float64(time.Since(start).Microseconds()) / 1000 / float64(o.jobs)
	res.Queued = queued()
	if res.DiskFull, err = diskUse(data); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d jobs are queued: %d MB on disk, %.0f MB in memory\n", o.jobs, res.DiskFull>>20, res.Queued)

	written := sample(c.process)
	if o.fake {
		res.Server = "MLflow in memory"
		fake := mlflowtest.Start()
		defer fake.Close()
		if err := lend(place, fake.URL); err != nil {
			return err
		}
	} else {
		s, err := startServerAt(o.top, o.dir, o.store, ports[0])
		if err != nil {
			return err
		}
		defer s.stop()
	}
	start = time.Now()
	if err := c.drained(func(m map[string]float64) bool {
		return int(m["otelcol_exporter_sent_spans"]) >= o.jobs*work.spans() && m["otelcol_exporter_queue_size"] == 0
	}); err != nil {
		return err
	}
	res.WriteMS = float64(time.Since(start).Microseconds()) / 1000 / float64(o.jobs)
	res.Written = written()
	if res.Lost, res.Doubled, err = countJobs(place, o.jobs); err != nil {
		return err
	}
	time.Sleep(15 * time.Second) // the storage looks every 5 s whether it can give disk back
	if res.DiskLeft, err = diskUse(data); err != nil {
		return err
	}
	exact := func(v float64) spread { return spread{v, v, v} }
	res.Goals = []goal{
		{Name: "anonymous MB, queued", Figure: exact(res.Queued), Bound: 200, AtMost: true},
		{Name: "anonymous MB, while written", Figure: exact(res.Written), Bound: 200, AtMost: true},
		{Name: "lost", Figure: exact(float64(res.Lost)), AtMost: true},
		{Name: "doubled", Figure: exact(float64(res.Doubled)), AtMost: true},
		// The storage gives disk back when it has taken more than 100 MiB; the ledger stays.
		{Name: "MB of disk left", Figure: exact(float64(res.DiskLeft) / 1e6), Bound: 128, AtMost: true},
	}
	for i := range res.Goals {
		res.Goals[i] = res.Goals[i].judge()
	}
	path := filepath.Join(o.out, "backlog.json")
	if err := save(path, res); err != nil {
		return err
	}
	fmt.Printf("%s, %s, %d jobs: %.1f ms per job to queue, %.1f ms to write, %d MB of disk queued, %d MB left\n\n",
		res.Machine, res.Server, res.Jobs, res.QueueMS, res.WriteMS, res.DiskFull>>20, res.DiskLeft>>20)
	printGoals(res.Goals)
	fmt.Println("\nraw:", path)
	return res.complete()
}

// complete is an error unless every job is there, once.
func (r backlogResult) complete() error {
	if r.Lost+r.Doubled > 0 {
		return fmt.Errorf("%d of %d jobs are lost, %d runs are doubled", r.Lost, r.Jobs, r.Doubled)
	}
	return nil
}

// jobsPerExperiment keeps an answer that lists the runs of an experiment in bounds. It is as many traces
// as MLflow lists at once.
const jobsPerExperiment = 500

func experimentOf(n int) string { return fmt.Sprintf("backlog %d", n/jobsPerExperiment) }

// sample watches the anonymous memory of a program; the function gives the most, in MB.
func sample(p *process) (most func() float64) {
	stop, result := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			most = max(most, p.anonymous())
			select {
			case <-stop:
				result <- most
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() float64 { close(stop); return float64(<-result) / 1e6 }
}

// lend lets an address answer as another one does.
func lend(place, target string) error {
	to, err := url.Parse(target)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", strings.TrimPrefix(place, "http://"))
	if err != nil {
		return err
	}
	go func() {
		_ = http.Serve(l, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }})
	}()
	return nil
}

// drained waits until a condition on the Collector's own metrics holds.
func (c *collector) drained(met func(map[string]float64) bool) error {
	for {
		m, err := sandbox.Metrics(c.metrics)
		if err == nil && met(m) {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("the Collector ended\n%s", c.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// spans is how many spans a job has, messages included.
func (w *workload) spans() (n int) {
	for _, m := range w.messages {
		n += m.SpanCount()
	}
	return n
}

// countJobs reads the keys of all runs, and the traces: how many jobs are not there with all their runs
// and their trace finished, and how many runs there are too many. Artifacts and spans are not looked at.
func countJobs(endpoint string, jobs int) (lost, doubled int, err error) {
	client, err := mlflow.New(mlflow.Config{Endpoint: endpoint})
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	ctx := context.Background()
	keys, finished := map[string]int{}, map[string]map[string]bool{} // runs by key, finished keys by job
	traced := map[string]bool{}
	for n := 0; n < jobs; n += jobsPerExperiment {
		experiment, err := client.GetExperimentByName(ctx, experimentOf(n))
		if err != nil {
			return 0, 0, err
		}
		runs, _, err := client.SearchRuns(ctx, mlflow.SearchRuns{ExperimentIDs: []string{experiment.ID}, MaxResults: 50_000})
		if err != nil {
			return 0, 0, err
		}
		for _, r := range runs {
			key := r.Tag(wire.TagKey)
			if keys[key]++; keys[key] > 1 {
				doubled++ // whether it ended or not
			}
			if job, _, _ := strings.Cut(key, "-"); r.Info.Status == mlflow.StatusFinished {
				if finished[job] == nil {
					finished[job] = map[string]bool{}
				}
				finished[job][key] = true
			}
		}
		for in, next := (mlflow.SearchTraces{ExperimentIDs: []string{experiment.ID}, MaxResults: jobsPerExperiment}), "first"; next != ""; in.PageToken = next {
			var traces []mlflow.TraceInfo
			if traces, next, err = client.SearchTraces(ctx, in); err != nil {
				return 0, 0, err
			}
			for _, t := range traces {
				traced[t.TraceID] = t.State == "OK"
			}
		}
	}
	if len(keys) == 0 {
		return 0, 0, errors.New("count runs: there is none with a key")
	}
	for n := range jobs {
		if id := traceID(n).String(); len(finished[id]) < stagesAndJob || !traced["tr-"+id] {
			lost++
		}
	}
	return lost, doubled, nil
}
