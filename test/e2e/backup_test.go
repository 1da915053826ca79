//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/technoshare/commentator/internal/backup"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/test/sandbox"
)

// home is a deployment in one folder, as the README makes one.
type home struct {
	dir  string
	port string // of its MLflow
}

func (h home) path(name string) string { return filepath.Join(h.dir, filepath.FromSlash(name)) }

// command runs a program in the folder to its end and returns what it printed.
func (h home) command(t *testing.T, path string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = h.dir, append(sandbox.Environ(), "MLFLOW_PORT="+h.port), &stderr
	// The programs that are tested, in place of those of bin/.
	cmd.Env = append(cmd.Env, "MLFLOWCTL="+program(t, "mlflowctl"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(path), strings.Join(args, " "), err, out, &stderr)
	}
	t.Logf("%s %s\n%s%s", filepath.Base(path), strings.Join(args, " "), out, &stderr)
	return string(out)
}

func script(name string) string { return filepath.Join(checkout, "scripts", name) }

// background starts the MLflow of the folder as people do, and reads it through MLflow's client.
func (h home) background(t *testing.T) *server {
	t.Helper()
	p, err := start(h.dir, "background", []string{"MLFLOW_PORT=" + h.port}, script("start_mlflow.sh"), "--background")
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	s := &server{process: p, url: "http://127.0.0.1:" + h.port, dir: h.dir}
	t.Cleanup(func() { h.command(t, script("start_mlflow.sh"), "--stop") })
	if err := s.startReader(); err != nil {
		t.Fatalf("%v\n%s", err, p.text())
	}
	t.Cleanup(s.quiet)
	return s
}

// quiet ends the reader.
func (s *server) quiet() {
	if s.reader != nil {
		_ = s.in.Close()
		_ = s.reader.Wait()
		s.reader = nil
	}
}

func (h home) worker(t *testing.T, c *collector) *worker {
	t.Helper()
	w := newWorker(t, c)
	w.dir = h.dir
	return w
}

// TestABackupUnderLoadIsRestoredElsewhere copies a deployment while jobs are worked on and
// written to MLflow, deletes it, restores the copy in another place and compares what MLflow's
// Python client says there with what it said of the original. Then MLflow is taken out
// of the copy, and put back.
func TestABackupUnderLoadIsRestoredElsewhere(t *testing.T) {
	const experiment, old = "kept", "old"
	original := home{dir: t.TempDir()}
	s, err := startServer(original.dir)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	original.port = u.Port()
	stopped := false
	defer func() {
		if !stopped {
			s.stop()
		}
	}()
	settings := "DB_PATH=" + original.path("db.sqlite") + "\nMLFLOW_TRACKING_URI=" + s.url + "\nMLFLOW_ENABLE_TRACKING=true\nMLFLOW_ENABLE_TRACING=true\n"
	if err := os.WriteFile(original.path(".env"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	createExperiment(t, s, old, original.path("mlartifacts/old"))
	c := startCollector(t, s.url, experiment, t.TempDir())
	w := original.worker(t, c)
	w.run(t, "replay", w.page)

	// What is final before the backup begins has to be equal afterwards.
	kept, experiments := recordings(t, experiment)
	experiments = append(experiments, experiment, old)
	aside := startCollector(t, s.url, old, t.TempDir())
	more, _ := recordings(t, old)
	aside.send(t, pick(t, more, "success").requests...)
	aside.delivered(t)
	aside.stop()
	for _, r := range kept {
		c.send(t, r.requests...)
	}
	w.flushed(t)
	before := settled(t, s, c, experiments)

	load := startLoad(t, c, w)
	defer load.quit()
	var made struct {
		Dir     string
		StoreID string `json:"store_id"`
		Counts  backup.Counts
	}
	during := 0.0
	for tries := 0; during == 0 && tries < 5; tries++ { // all of the load may have waited for its turn
		load.more(t) // it runs
		from := requestsOf(t, c)
		if err := json.Unmarshal([]byte(original.command(t, program(t, "mlflowctl"), "backup", "create", "--json")), &made); err != nil {
			t.Fatal(err)
		}
		during = requestsOf(t, c) - from
	}
	load.more(t)
	load.end(t)
	t.Logf("MLflow answered %.0f requests while the backup was made: %+v", during, made.Counts)
	if during == 0 {
		t.Error("nothing was written meanwhile: this test shows nothing")
	}

	// Everything is deleted, but for the backup. What waits in the Collector's queue would go on
	// into the copy.
	c.stop()
	s.stop()
	stopped = true
	kind := filepath.Join(t.TempDir(), "backup")
	if err := os.Rename(made.Dir, kind); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"db.sqlite", "db.sqlite-wal", "db.sqlite-shm", "mlflow.db", "mlartifacts", ".env", "backups"} {
		if err := os.RemoveAll(original.path(name)); err != nil {
			t.Fatal(err)
		}
	}

	copied := home{dir: filepath.Join(t.TempDir(), "restored"), port: original.port}
	original.command(t, program(t, "mlflowctl"), "restore", kind, "--into", copied.dir)
	again := copied.background(t)
	held := again.dump(t, allExperiments(t, again.url)...)
	if int64(len(held.Runs)) != made.Counts.Runs || int64(len(held.Traces)) != made.Counts.Traces {
		t.Errorf("MLflow's client finds %d runs and %d traces, the manifest says %d and %d", len(held.Runs), len(held.Traces), made.Counts.Runs, made.Counts.Traces)
	}
	compareStates(t, before, held, original, copied)
	if got := storeIDOf(t, copied.path("db.sqlite")); got != made.StoreID || got == "" {
		t.Errorf("the store id is %s, it was %s", got, made.StoreID)
	}

	// A Collector that knows nothing finds the runs that are there already.
	fresh := startCollector(t, again.url, experiment, t.TempDir())
	repeated := pick(t, kept, "success")
	fresh.send(t, repeated.requests...)
	fresh.delivered(t)
	if n := len(again.dump(t, allExperiments(t, again.url)...).Runs); n != len(held.Runs) {
		t.Errorf("%d runs after a message was sent again, %d before", n, len(held.Runs))
	}
	fresh.stop()

	again.quiet()
	rolledBack(t, copied)
}

// createExperiment makes an experiment whose artifacts are in a folder, as those of the old
// start script are.
func createExperiment(t *testing.T, s *server, name, location string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"name": name, "artifact_location": location})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(s.url+"/api/2.0/mlflow/experiments/create", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("create experiment: %s", answer.Status)
	}
}

// allExperiments are the names of those that a server has.
func allExperiments(t *testing.T, address string) []string {
	t.Helper()
	client, err := mlflow.New(mlflow.Config{Endpoint: address})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	all, err := client.SearchExperiments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name)
	}
	return names
}

// settled is what MLflow holds when all that was sent has arrived.
func settled(t *testing.T, s *server, c *collector, experiments []string) state {
	t.Helper()
	c.delivered(t)
	return s.dump(t, experiments...)
}

// load writes to the job database and to MLflow until it is ended.
type load struct {
	mu   sync.Mutex
	done amount
	err  error
	stop chan struct{}
	once sync.Once
	all  sync.WaitGroup
}

type amount struct{ sent, jobs int }

func (l *load) count() amount {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

func startLoad(t *testing.T, c *collector, w *worker) *load {
	l := &load{stop: make(chan struct{})}
	repeat := func(round func(i int) error, count func(*amount)) {
		l.all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.stop:
					return
				default:
				}
				err := round(i)
				l.mu.Lock()
				l.err = errors.Join(l.err, err)
				count(&l.done)
				l.mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	short := func() error { // or jobs would be made faster than MLflow takes them
		return c.until("the queue to be short", func() bool { // in bytes
			m, err := sandbox.Metrics(c.metrics)
			return err == nil && m["otelcol_exporter_queue_size"] < 1<<20
		})
	}
	repeat(func(i int) error {
		all, _ := recordings(t, "load")
		for _, td := range pick(t, all, "success").requests {
			for _, rs := range td.ResourceSpans().All() {
				for _, s := range rs.ScopeSpans().At(0).Spans().All() {
					s.SetTraceID(resalt(s.TraceID(), fmt.Sprint(i)))
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			_, err := c.client.Export(ctx, ptraceotlp.NewExportRequestFromTraces(td))
			cancel()
			if err != nil {
				return fmt.Errorf("send spans: %w", err)
			}
		}
		return short()
	}, func(a *amount) { a.sent++ })
	repeat(func(int) error {
		cmd := exec.Command(w.program, "replay", w.page)
		cmd.Dir, cmd.Env = w.dir, append(sandbox.Environ(), w.env()...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("commentator replay: %w\n%s", err, out)
		}
		return short()
	}, func(a *amount) { a.jobs++ })
	return l
}

// more waits for another recording and another job.
func (l *load) more(t *testing.T) {
	t.Helper()
	from, deadline := l.count(), time.Now().Add(patience)
	for now := from; now.sent == from.sent || now.jobs == from.jobs; now = l.count() {
		l.mu.Lock()
		err := l.err
		l.mu.Unlock()
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the load does not go on: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// requestsOf is how many requests to MLflow the Collector has had answered.
func requestsOf(t *testing.T, c *collector) float64 {
	t.Helper()
	m, err := sandbox.Metrics(c.metrics)
	if err != nil {
		t.Fatal(err)
	}
	return m["otelcol_exporter_mlflow_request_duration_count"]
}

// quit stops the load, also when the test fails.
func (l *load) quit() {
	l.once.Do(func() { close(l.stop) })
	l.all.Wait()
}

func (l *load) end(t *testing.T) {
	t.Helper()
	l.quit()
	if l.err != nil {
		t.Fatal(l.err)
	}
}

// compareStates compares every run and every trace that was final before the backup, with its
// artifacts; twenty drawn ones are named in the log.
func compareStates(t *testing.T, before, after state, original, copied home) {
	t.Helper()
	runs := map[string]run{}
	for _, r := range after.Runs {
		runs[r.RunID] = r
	}
	artifacts, moved, equal := 0, 0, []string{}
	for _, want := range before.Runs {
		got, ok := runs[want.RunID]
		if !ok {
			t.Errorf("run %s (%s) is missing", want.RunID, want.Name)
			continue
		}
		if rest, local := strings.CutPrefix(want.ArtifactURI, original.dir); local {
			moved++
			want.ArtifactURI = copied.dir + rest
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("run %s (%s) differs:\n%s", want.RunID, want.Name, diff)
			continue
		}
		artifacts += len(want.Artifacts)
		equal = append(equal, want.Name+" "+want.RunID)
	}
	traces := map[string]trace{}
	for _, tr := range after.Traces {
		traces[tr.ID] = tr
	}
	same := []string{}
	for _, want := range before.Traces {
		got := traces[want.ID]
		// The one tag that holds a place.
		place, ok := strings.CutPrefix(want.Tags["mlflow.artifactLocation"], original.dir)
		if ok {
			want.Tags["mlflow.artifactLocation"] = copied.dir + place
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("trace %s differs:\n%s", want.ID, diff)
			continue
		}
		same = append(same, want.Name+" "+want.ID)
	}
	for id, linked := range before.Linked {
		slices.Sort(linked)
		got := after.Linked[id]
		slices.Sort(got)
		if !slices.Equal(linked, got) {
			t.Errorf("run %s has the traces %q; it had %q", id, got, linked)
		}
	}
	t.Logf("%d runs with %d artifacts and %d traces are equal, of them\n%s\n%s", len(equal), artifacts, len(same),
		strings.Join(draw(equal, 20), "\n"), strings.Join(draw(same, 20), "\n"))
	if len(equal) < 20 || artifacts < 20 || len(same) < 20 {
		t.Errorf("only %d runs, %d artifacts and %d traces were compared", len(equal), artifacts, len(same))
	}
	if moved == 0 {
		t.Error("no run had its artifacts in a path: this test does not show that they are found in the new place")
	}
}

func draw(from []string, n int) []string {
	rand.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
	return from[:min(n, len(from))]
}

func storeIDOf(t *testing.T, path string) string {
	t.Helper()
	db := (&worker{dir: filepath.Dir(path)}).open(t)
	defer db.Close()
	var id string
	if err := db.QueryRow(`SELECT value FROM meta WHERE key = 'store_id'`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// rolledBack takes MLflow out of a deployment by scripts/rollback.sh, and puts it back.
func rolledBack(t *testing.T, h home) {
	t.Helper()
	removed := []string{"mlflow.db", "mlartifacts", ".mlflow"}
	there := func(want bool) {
		t.Helper()
		for _, name := range removed {
			if _, err := os.Stat(h.path(name)); (err == nil) != want {
				t.Errorf("%s: %v; there: want %t", name, err, want)
			}
		}
	}
	before, err := os.ReadFile(h.path(".env"))
	if err != nil {
		t.Fatal(err)
	}
	h.command(t, script("rollback.sh"), "--dry-run")
	there(true)
	h.command(t, script("rollback.sh"), "--yes")
	there(false)
	if _, err := http.Get("http://127.0.0.1:" + h.port + "/health"); err == nil {
		t.Error("MLflow answers still")
	}
	after, err := os.ReadFile(h.path(".env"))
	if err != nil || strings.Contains(string(after), "\nMLFLOW_") || !strings.Contains(string(after), "DB_PATH=") {
		t.Errorf(".env: %v\n%s", err, after)
	}
	backups, err := backup.List(h.path("backups"))
	if err != nil || len(backups) != 1 || backups[0].Manifest.Counts.Runs == 0 {
		t.Fatalf("backups %+v, %v", backups, err)
	}

	// Forward again.
	copies, err := filepath.Glob(h.path(".env.bak.*"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies of .env: %q, %v", copies, err)
	}
	if err := os.Rename(copies[0], h.path(".env")); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(h.path(".env")); err != nil || !bytes.Equal(text, before) || !strings.Contains(string(text), "MLFLOW_ENABLE_TRACING=true") {
		t.Errorf(".env: %v\n%s", err, text)
	}
	s := h.background(t)
	c := startCollector(t, s.url, "forward", t.TempDir())
	all, _ := recordings(t, "forward")
	c.send(t, pick(t, all, "success").requests...)
	c.delivered(t)
	if n := len(s.dump(t, "forward").Runs); n == 0 {
		t.Error("nothing is recorded after going forward again")
	}
}
