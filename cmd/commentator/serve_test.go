package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/test/sandbox"
)

// patience bounds every wait.
const patience = 30 * time.Second

// lines is a log that is read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits until a text fits a pattern and returns its first group, or all.
func await(t *testing.T, what string, read func() string) string {
	t.Helper()
	pattern := regexp.MustCompile(what)
	for deadline := time.Now().Add(patience); ; {
		if m := pattern.FindStringSubmatch(read()); m != nil {
			return m[len(m)-1]
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s in\n%s", what, read())
		}
		time.Sleep(10 * time.Millisecond) // what another goroutine writes is polled
	}
}

// serving is `commentator serve` in this process.
type serving struct {
	environ []string
	log     *lines
	stop    context.CancelFunc // as a signal does
	code    chan int
}

func startServe(t *testing.T, environ []string, args ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &serving{environ: environ, log: &lines{}, stop: cancel, code: make(chan int, 1)}
	go func() {
		s.code <- run(ctx, append([]string{"serve"}, args...), environ, strings.NewReader(""), io.Discard, s.log)
	}()
	t.Cleanup(cancel)
	return s
}

func (s *serving) ended(t *testing.T) {
	t.Helper()
	select {
	case code := <-s.code:
		if code != exitOK {
			t.Fatalf("exit code %d\n%s", code, s.log)
		}
	case <-time.After(patience):
		t.Fatalf("it does not end\n%s", s.log)
	}
}

// runCommand runs a command to its end.
func runCommand(t *testing.T, environ []string, args ...string) {
	t.Helper()
	log := &lines{}
	if code := run(t.Context(), args, environ, strings.NewReader(""), io.Discard, log); code != exitOK {
		t.Fatalf("%v: exit code %d\n%s", args, code, log)
	}
}

func readJob(t *testing.T, path string, id int64) commentator.Job {
	t.Helper()
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j, err := s.Job(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// get returns the status and the body of an answer, or why there is none.
func get(address string) string {
	r, err := http.Get(address)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return r.Status + "\n" + string(body)
}

// slowSite serves an article, each request when release is closed or sent to, and says on
// asked that one has come.
func slowSite(t *testing.T) (page string, asked <-chan struct{}, release chan struct{}) {
	t.Helper()
	article, err := os.ReadFile(filepath.Join("testdata", "article.html"))
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan struct{}, 10)
	release = make(chan struct{})
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		select {
		case <-release:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write(article)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(site.Close)
	return site.URL + "/article", came, release
}

func TestAWorkerThatIsToldToStopFinishesItsJobs(t *testing.T) {
	page, asked, release := slowSite(t)
	path := filepath.Join(t.TempDir(), "db.sqlite")
	environ := []string{"DB_PATH=" + path, "RETRIEVAL_ALLOW_HOSTS=loopback"}
	runCommand(t, environ, "replay", "--enqueue", page)
	s := startServe(t, environ)
	<-asked
	s.stop()
	await(t, `"msg":"stopping"`, s.log.String)
	close(release)
	s.ended(t)
	if j := readJob(t, path, 1); j.Outcome != commentator.OutcomeSuccess || j.Attempt != 1 {
		t.Errorf("job %+v\n%s", j, s.log)
	}
}

func TestAWorkerThatMayNotWaitHandsItsJobsBack(t *testing.T) {
	page, asked, release := slowSite(t)
	path := filepath.Join(t.TempDir(), "db.sqlite")
	environ := []string{"DB_PATH=" + path, "RETRIEVAL_ALLOW_HOSTS=loopback"}
	runCommand(t, environ, "replay", "--enqueue", page)
	s := startServe(t, environ, "--grace", "50ms")
	<-asked
	s.stop()
	s.ended(t)
	if log := s.log.String(); !strings.Contains(log, "handed back") || !strings.Contains(log, `"jobs":1,"ids":[1]`) {
		t.Errorf("it does not say what it hands back:\n%s", log)
	}
	if j := readJob(t, path, 1); j.State != commentator.JobRunning || j.Kills+j.Failures != 0 {
		t.Errorf("job %+v\n%s", j, s.log)
	}
	close(release)
	startServe(t, environ, "--drain").ended(t)
	if j := readJob(t, path, 1); j.Outcome != commentator.OutcomeSuccess || j.Attempt != 2 || j.Kills+j.Failures != 0 {
		t.Errorf("job %+v", j)
	}
}

func TestAWorkerIsWatchedByHealthReadinessAndMetrics(t *testing.T) {
	page, _, release := slowSite(t)
	close(release)
	environ := []string{"DB_PATH=" + filepath.Join(t.TempDir(), "db.sqlite"), "RETRIEVAL_ALLOW_HOSTS=loopback", "METRICS_ADDR=127.0.0.1:0"}
	runCommand(t, environ, "replay", "--enqueue", page)
	s := startServe(t, environ)
	base := "http://" + await(t, `"msg":"health and metrics are answered","address":"([^"]+)"`, s.log.String)
	get := func(path string) string { return get(base + path) }
	await(t, `^200 OK\n\{"status":"ok"`, func() string { return get("/readyz") })
	await(t, `^200 OK\n\{"status":"ok"`, func() string { return get("/healthz") })
	await(t, `(?m)^job_duration_seconds_count\{job_outcome="success"\} 1$`, func() string { return get("/metrics") })
	for _, want := range []string{`job_queue_depth 0`, `telemetry_outbox_depth 0`, `go_goroutines \d+`, `process_resident_memory_bytes`} {
		await(t, `(?m)^`+want, func() string { return get("/metrics") })
	}
	s.stop()
	s.ended(t)
	if got := get("/healthz"); !strings.Contains(got, "refused") {
		t.Errorf("it still answers: %s", got)
	}
}

// A worker that cannot reach Slack is alive and not ready.
func TestAWorkerWithoutSlackIsNotReady(t *testing.T) {
	s := startServe(t, []string{
		"DB_PATH=" + filepath.Join(t.TempDir(), "db.sqlite"), "METRICS_ADDR=127.0.0.1:0",
		"SLACK_APP_TOKEN=xapp-1", "SLACK_API_URL=http://127.0.0.1:1/api/",
	})
	base := "http://" + await(t, `"msg":"health and metrics are answered","address":"([^"]+)"`, s.log.String)
	await(t, `"msg":"serving"`, s.log.String)
	await(t, `^503 .*\n\{"status":"failing","failed":\["slack"\]\}`, func() string { return get(base + "/readyz") })
	await(t, `^200 `, func() string { return get(base + "/healthz") })
	s.stop()
	s.ended(t)
}

// A worker that receives nothing from Slack says so, and louder when it is to post there.
func TestAWorkerThatReceivesNothingSaysSo(t *testing.T) {
	for environ, want := range map[string]string{
		"SLACK_BOT_TOKEN=":            `"level":"INFO","msg":"serve receives nothing from Slack without SLACK_APP_TOKEN`,
		"SLACK_BOT_TOKEN=xoxb-1":      `"level":"WARN","msg":"serve receives nothing from Slack without SLACK_APP_TOKEN`,
		"SLACK_SIGNING_SECRET=secret": `"msg":"taking events over HTTP"`,
	} {
		s := startServe(t, []string{
			"DB_PATH=" + filepath.Join(t.TempDir(), "db.sqlite"), "SLACK_API_URL=http://127.0.0.1:1/api/", "SLACK_EVENTS_ADDR=127.0.0.1:0", environ,
		})
		await(t, want, s.log.String)
		if strings.Count(s.log.String(), "receives nothing") != strings.Count(want, "receives nothing") {
			t.Errorf("%s:\n%s", environ, s.log)
		}
		s.stop()
		s.ended(t)
	}
}

// The log is moved away while the worker runs; told by SIGHUP it goes on in a new file, and
// no line is missing.
func TestTheLogIsOpenedAnewOnHangUp(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "worker.log")
	s := startServe(t, []string{"DB_PATH=" + filepath.Join(dir, "db.sqlite"), "LOG_FILE=" + path})
	read := func(path string) func() string {
		return func() string {
			text, err := os.ReadFile(path)
			if err != nil {
				return err.Error()
			}
			return string(text)
		}
	}
	await(t, `"msg":"serving"`, read(path))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, `^($|\{)`, read(path))
	s.stop()
	s.ended(t)
	await(t, `"msg":"stopping"`, read(path))
	if old := read(path + ".1")(); strings.Contains(old, "stopping") || s.log.String() != "" {
		t.Errorf("old file:\n%s\nstandard error:\n%s", old, s.log)
	}
	for line := range strings.Lines(read(path+".1")() + read(path)()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("line %q", line)
		}
	}
}

// What is logged about a job that is recorded names its trace, in either form.
func TestLogLinesOfAJobNameItsTrace(t *testing.T) {
	page, _, release := slowSite(t)
	close(release)
	for format, want := range map[string]string{
		"json": `"msg":"job ended","job":1,[^\n]*"trace_id":"([0-9a-f]{32})"`,
		"text": `msg="job ended" job=1 [^\n]*trace_id=([0-9a-f]{32})`,
	} {
		path := filepath.Join(t.TempDir(), "db.sqlite")
		environ := []string{
			"DB_PATH=" + path, "RETRIEVAL_ALLOW_HOSTS=loopback", "LOG_FORMAT=" + format,
			"MLFLOW_ENABLE_TRACKING=true", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1",
		}
		runCommand(t, environ, "replay", "--enqueue", page)
		s := startServe(t, environ, "--drain", "--grace", "100ms")
		s.ended(t)
		id := await(t, want, s.log.String)
		var shown bytes.Buffer
		if code := run(t.Context(), []string{"jobs", "show", "1", "--json"}, environ, strings.NewReader(""), &shown, io.Discard); code != exitOK {
			t.Fatalf("exit code %d", code)
		}
		if !strings.Contains(shown.String(), `"trace_id":"`+id+`"`) {
			t.Errorf("the log names trace %s, the job %s", id, &shown)
		}
	}
}

// serve forgets what is older than HISTORY_KEEP; other commands and 0 leave everything.
func TestServeForgetsOldJobs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite")
	environ := []string{"DB_PATH=" + path, "RETRIEVAL_ALLOW_HOSTS=loopback"}
	page, _, release := slowSite(t)
	close(release)
	runCommand(t, environ, "replay", page)
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-91 * 24 * time.Hour).UnixMicro()
	_, err = s.DB().Exec(`UPDATE jobs SET created_at = ?, started_at = ?, finished_at = ?`, old, old, old)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	list := func() string {
		var out bytes.Buffer
		if code := run(t.Context(), []string{"jobs", "list", "--json"}, environ, strings.NewReader(""), &out, io.Discard); code != exitOK {
			t.Fatalf("exit code %d", code)
		}
		return out.String()
	}
	runCommand(t, environ, "replay", page+"?2")
	forEver := startServe(t, append(environ, "HISTORY_KEEP=0s"))
	await(t, `"msg":"serving"`, forEver.log.String)
	forEver.stop()
	forEver.ended(t)
	if got := list(); strings.Count(got, "\n") != 2 {
		t.Errorf("jobs\n%s", got)
	}
	worker := startServe(t, environ)
	await(t, `"msg":"old jobs are removed","jobs":1`, worker.log.String)
	worker.stop()
	worker.ended(t)
	if got := list(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"job_id":2`) {
		t.Errorf("jobs\n%s", got)
	}
}

// stopper is a log that tells the worker to stop when it says something.
type stopper struct {
	lines
	when string
	stop context.CancelFunc
}

// Write implements io.Writer.
func (s *stopper) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.when) {
		s.stop()
	}
	return s.lines.Write(p)
}

// To be told to stop while it starts is no failure.
func TestAWorkerThatIsToldToStopWhileItStartsEndsWell(t *testing.T) {
	events, err := sandbox.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"", `"msg":"serving"`} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		log := &stopper{when: when, stop: cancel}
		if when == "" {
			cancel()
		}
		environ := []string{
			"DB_PATH=" + filepath.Join(t.TempDir(), "db.sqlite"), "TECHNOSHARE_CHANNEL_ID=C0123456789",
			"SLACK_SIGNING_SECRET=0123456789abcdef", "SLACK_EVENTS_ADDR=" + events,
		}
		if code := run(ctx, []string{"serve"}, environ, strings.NewReader(""), io.Discard, log); code != exitOK {
			t.Errorf("told to stop at %q: exit code %d\n%s", when, code, log)
		}
	}
}
