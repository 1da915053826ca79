//go:build e2e

package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/technoshare/commentator/test/sandbox"

	_ "modernc.org/sqlite" // reads the worker's database

	"github.com/technoshare/commentator/internal/wire"
)

// worker is a job database and the worker that works on it, in full detail.
type worker struct {
	dir       string
	program   string
	collector string
	page      string
	fetched   *atomic.Int64 // requests for the page
	settings  []string      // further ones, which win
}

func newWorker(t *testing.T, c *collector) *worker {
	t.Helper()
	article, err := os.ReadFile(filepath.Join(checkout, "data", "demo", "articles", "write-ahead-logging.html"))
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{dir: t.TempDir(), program: program(t, "commentator"), collector: c.grpc, fetched: &atomic.Int64{}}
	site := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		w.fetched.Add(1)
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = rw.Write(article)
	}))
	t.Cleanup(site.Close)
	w.page = site.URL + "/article"
	return w
}

func (w *worker) env() []string {
	return append([]string{
		"DB_PATH=" + w.database(), "RETRIEVAL_ALLOW_HOSTS=loopback",
		"MLFLOW_ENABLE_TRACKING=true", "MLFLOW_ENABLE_TRACING=true", "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + w.collector,
	}, w.settings...)
}

func (w *worker) database() string { return filepath.Join(w.dir, "db.sqlite") }

// run runs a command of the worker to its end.
func (w *worker) run(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.program, args...)
	cmd.Dir, cmd.Env = w.dir, append(sandbox.Environ(), w.env()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("commentator %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (w *worker) open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(w.database())+"?_pragma=busy_timeout(0)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

// insist repeats a statement until the database is free for it.
func insist(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		_, err := db.Exec(statement)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", statement, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// flushed waits until the Collector has taken all messages of the database.
func (w *worker) flushed(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		db := w.open(t)
		var left int
		err := db.QueryRow(`SELECT count(*) FROM outbox WHERE sent_at IS NULL`).Scan(&left)
		_ = db.Close()
		if err == nil && left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages stay in the outbox (%v)", left, err)
		}
		w.run(t, "serve", "--drain") // sends what is left
	}
}

// killPoints are the moments between the work of a stage and its commit, and the one
// between the last stage's commit and the job's end. All but the first come after the
// commit of the stage before.
var killPoints = []struct{ name, on string }{
	{wire.SpanRetrieval, "AFTER INSERT ON stages WHEN NEW.stage = 'retrieval'"},
	{wire.SpanStageA, "AFTER INSERT ON stages WHEN NEW.stage = 'stage_a'"},
	{wire.SpanStageB, "AFTER INSERT ON stages WHEN NEW.stage = 'stage_b'"},
	{wire.SpanQualityGates, "AFTER INSERT ON stages WHEN NEW.stage = 'quality_gates'"},
	{wire.SpanSlackPost, "AFTER INSERT ON stages WHEN NEW.stage = 'slack_post'"},
	{"end", "AFTER UPDATE OF state ON jobs WHEN NEW.state = 'final'"},
}

// TestKilledWorkerGoesOn kills the worker with a signal that it cannot catch at each of
// killPoints, twice in a row, and lets it go on.
func TestKilledWorkerGoesOn(t *testing.T) {
	const experiment = "killed"
	s := sharedServer(t)
	c := startCollector(t, s.url, experiment, t.TempDir())
	workers := map[string]*worker{}
	for i, point := range killPoints {
		w := newWorker(t, c)
		workers[point.name] = w
		w.run(t, "replay", "--enqueue", w.page)
		w.hang(t, point.on)
		for range 2 {
			w.killWhileHanging(t)
		}
		w.release(t)
		w.run(t, "serve", "--drain")
		w.flushed(t)
		w.checkStages(t, i)
	}
	for name, w := range workers {
		w.awaitRun(t, s, c, experiment, name)
	}
	held := s.dump(t, experiment)
	if len(held.Runs) != 6*len(killPoints) || len(held.Traces) != len(killPoints) {
		t.Errorf("%d runs and %d traces; want %d and %d", len(held.Runs), len(held.Traces), 6*len(killPoints), len(killPoints))
	}
	for name, w := range workers {
		for _, wrong := range held.checkSuccess(w.traceID(t)) {
			t.Errorf("killed before the commit of %s: %s", name, wrong)
		}
	}
}

// hang lets the worker's transaction run for ever at a point.
func (w *worker) hang(t *testing.T, on string) {
	t.Helper()
	db := w.open(t)
	defer db.Close()
	insist(t, db, `CREATE TABLE spin (n INTEGER)`)
	insist(t, db, `INSERT INTO spin SELECT value FROM json_each('[`+strings.Repeat("1,", 999)+`1]')`)
	insist(t, db, `CREATE TRIGGER hang `+on+` BEGIN SELECT count(*) FROM spin a, spin b, spin c, spin d, spin e; END`)
}

func (w *worker) release(t *testing.T) {
	t.Helper()
	db := w.open(t)
	defer db.Close()
	insist(t, db, `DROP TRIGGER hang`)
	insist(t, db, `DROP TABLE spin`)
}

// killWhileHanging starts the worker, waits until it hangs inside a transaction, and
// kills it there.
func (w *worker) killWhileHanging(t *testing.T) {
	t.Helper()
	p, err := start(w.dir, "worker", w.env(), w.program, "serve")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	db := w.open(t)
	defer db.Close()
	locked := 0
	err = p.until("the worker to hang", func() bool {
		// No other transaction of the worker lasts for a second.
		if _, err := db.Exec(`BEGIN IMMEDIATE`); err != nil {
			locked++
		} else {
			locked = 0
			insist(t, db, `ROLLBACK`)
		}
		return locked >= 10
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkStages looks at the database after two kills at a point: no finished stage was
// repeated, none is missing.
func (w *worker) checkStages(t *testing.T, point int) {
	t.Helper()
	db := w.open(t)
	defer db.Close()
	rows, err := db.Query(`SELECT stage, attempt, error_type FROM stages ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var stage, code string
		var attempt int
		if err := rows.Scan(&stage, &attempt, &code); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %d%s", stage, attempt, code))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, stage := range wire.StageNames {
		attempt := 1
		if i >= point {
			attempt = 3
		}
		want = append(want, fmt.Sprintf("%s %d", stage, attempt))
	}
	if !slices.Equal(got, want) {
		t.Errorf("killed at %s: stages %v; want %v", killPoints[point].name, got, want)
	}
	fetches := int64(1)
	if point == 0 {
		fetches = 3
	}
	if n := w.fetched.Load(); n != fetches {
		t.Errorf("killed at %s: the page was fetched %d times; want %d", killPoints[point].name, n, fetches)
	}
}

// traceID is the identity of the newest job of the database.
func (w *worker) traceID(t *testing.T) string {
	t.Helper()
	db := w.open(t)
	defer db.Close()
	var store string
	var id, created int64
	if err := db.QueryRow(`SELECT value FROM meta WHERE key = 'store_id'`).Scan(&store); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow(`SELECT id, created_at FROM jobs ORDER BY id DESC`).Scan(&id, &created); err != nil {
		t.Fatal(err)
	}
	trace, _ := wire.JobIdentity(store, id, time.UnixMicro(created))
	return trace.String()
}

// awaitRun waits until MLflow shows the job of a database as ended.
func (w *worker) awaitRun(t *testing.T, s *server, c *collector, experiment, what string) {
	t.Helper()
	id := w.traceID(t)
	err := c.until("the run of "+what+" to end", func() bool {
		found := s.search(t, "tags.`"+wire.TagKey+"` = '"+id+"' and attributes.status != 'RUNNING'", experiment)
		m, err := sandbox.Metrics(c.metrics)
		return len(found) > 0 && err == nil && m["otelcol_exporter_queue_size"] == 0
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkSuccess says what is wrong with the run tree and trace of a successful job.
func (held state) checkSuccess(traceID string) []string {
	var wrong []string
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	jobs := held.runs(traceID)
	if len(jobs) != 1 {
		add("%d job runs; want 1", len(jobs))
		return wrong
	}
	job := jobs[0]
	if job.Status != "FINISHED" || job.Tags["outcome"] != "success" {
		add("job is %s with outcome %s", job.Status, job.Tags["outcome"])
	}
	var stages, files []string
	for _, r := range held.Runs {
		if r.Tags["mlflow.parentRunId"] != job.RunID {
			continue
		}
		stages = append(stages, r.Name)
		if r.Status != "FINISHED" {
			add("stage %s is %s", r.Name, r.Status)
		}
		for name := range r.Artifacts {
			files = append(files, name)
		}
	}
	if slices.Sort(stages); !slices.Equal(stages, slices.Sorted(slices.Values(wire.StageNames))) {
		add("stages %v", stages)
	}
	if len(files) != 6 {
		add("artifacts %v; want 6", files)
	}
	i := slices.IndexFunc(held.Traces, func(t trace) bool { return t.ID == "tr-"+traceID })
	if i < 0 {
		add("the trace is missing")
		return wrong
	}
	tr := held.Traces[i]
	if tr.State != "OK" || tr.SourceRun != job.RunID {
		add("trace is %s of run %s", tr.State, tr.SourceRun)
	}
	ids, names := map[string]bool{}, map[string]int{}
	for _, s := range tr.Spans {
		ids[s.ID] = true
		names[s.Name]++
	}
	for _, s := range tr.Spans {
		if s.Parent != "" && !ids[s.Parent] {
			add("the parent of span %s is missing", s.Name)
		}
	}
	for _, name := range append(wire.StageNames, wire.SpanJob) {
		if names[name] != 1 {
			add("%d spans %s; want 1", names[name], name)
		}
	}
	return wrong
}

// TestCopiesOfDatabasesShareNoRun works on two databases side by side, which number their
// jobs alike, and puts an old copy of one back, whose next job has a number that was used.
func TestCopiesOfDatabasesShareNoRun(t *testing.T) {
	const experiment = "copies"
	s := sharedServer(t)
	c := startCollector(t, s.url, experiment, t.TempDir())
	production, staging := newWorker(t, c), newWorker(t, c)
	var ids []string
	replay := func(w *worker) {
		t.Helper()
		w.run(t, "replay", w.page)
		w.flushed(t)
		ids = append(ids, w.traceID(t))
		w.awaitRun(t, s, c, experiment, fmt.Sprintf("job %d", len(ids)))
	}
	replay(production)
	replay(staging)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(production.dir)); err != nil {
		t.Fatal(err)
	}
	replay(production)
	production.dir = backup
	replay(production)

	if distinct := slices.Compact(slices.Sorted(slices.Values(ids))); len(distinct) != len(ids) {
		t.Errorf("jobs share an identity: %v", ids)
	}
	held := s.dump(t, experiment)
	if len(held.Runs) != 6*len(ids) || len(held.Traces) != len(ids) {
		t.Errorf("%d runs and %d traces; want %d and %d", len(held.Runs), len(held.Traces), 6*len(ids), len(ids))
	}
	for i, id := range ids {
		for _, wrong := range held.checkSuccess(id) {
			t.Errorf("job %d: %s", i+1, wrong)
		}
	}
	numbers := map[string]int{}
	for _, r := range held.Runs {
		if r.Tags["mlflow.parentRunId"] == "" {
			numbers[r.Name]++
		}
	}
	if numbers["job_1"] != 2 || numbers["job_2"] != 2 {
		t.Errorf("job runs %v; want two of job_1 and two of job_2", numbers)
	}
}
