package prometheus

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/test/sandbox"
)

// patience bounds every wait for something that real processes decide.
const patience = 3 * time.Minute

// queueBytes is the room of the Collector's queue: enough for a job, not for what overflow sends.
const queueBytes = 300_000

// scrapeAll runs two workers and a Collector, lets happen what makes their counters appear (jobs,
// messages and spans that are refused for good, a queue without room, an artifact that MLflow
// refuses) and returns the names of all metrics that they expose.
func scrapeAll(t *testing.T) map[string]bool {
	t.Helper()
	bin := build(t)
	ports, err := sandbox.FreePorts(9)
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }

	server := mlflowtest.Start()
	t.Cleanup(server.Close)
	var refused atomic.Bool
	server.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.Method == http.MethodPut && refused.CompareAndSwap(false, true) {
			return &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}`}
		}
		return nil
	})
	run(t, t.TempDir(), []string{
		"MLFLOW_TRACKING_URI=" + server.URL, "OTELCOL_DATA_DIR=" + t.TempDir(), "OTELCOL_GRPC_ENDPOINT=" + at(0), "OTELCOL_HTTP_ENDPOINT=" + at(1),
		"OTELCOL_REPLAY_ENDPOINT=" + at(2), "OTELCOL_HEALTH_ENDPOINT=" + at(3), "OTELCOL_STATUS_ENDPOINT=" + at(4), "OTELCOL_PROMETHEUS_ENDPOINT=" + at(5),
		fmt.Sprintf("OTELCOL_METRICS_PORT=%d", ports[6]),
	}, filepath.Join(bin, "otelcol-mlflow"), "--config=file:"+absolute(t, "../../otel-config/mlflow.yaml"),
		fmt.Sprintf("--config=yaml:exporters::mlflow::sending_queue::queue_size: %d", queueBytes),
		fmt.Sprintf("--config=yaml:{exporters: {otlp_grpc: {endpoint: %q, tls: {insecure: true}}}, service: {pipelines: {traces: {exporters: [mlflow, otlp_grpc]}}}}", refusing(t)))

	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<title>%s</title><article>", r.URL.Path)
		for i := range 40 {
			fmt.Fprintf(w, "<p>Evaluation number %d of retrieval systems shows what %d labelled examples teach an agent about its tools.</p>", i, i*7)
		}
	}))
	t.Cleanup(pages.Close)
	worker := func(metrics, collector string) {
		t.Helper()
		dir := t.TempDir()
		env := []string{
			"RETRIEVAL_ALLOW_HOSTS=loopback", "METRICS_ADDR=" + metrics, "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + collector,
			"MLFLOW_ENABLE_TRACKING=true", "MLFLOW_ENABLE_TRACING=true",
		}
		cmd := exec.Command(filepath.Join(bin, "commentator"), "replay", "--enqueue", pages.URL+"/one", pages.URL+"/two")
		cmd.Dir, cmd.Env = dir, append(sandbox.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("enqueue: %v\n%s", err, out)
		}
		run(t, dir, env, filepath.Join(bin, "commentator"), "serve")
	}
	worker(at(7), at(0))
	worker(at(8), refusing(t))

	exposed := map[string]bool{}
	collect(t, "http://"+at(7)+"/metrics", exposed, "job_duration_seconds_count")
	collect(t, "http://"+at(8)+"/metrics", exposed, "telemetry_outbox_dropped_total")
	collect(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[6]), exposed, "otelcol_exporter_mlflow_delivery_lag_count", "otelcol_exporter_mlflow_dropped_items",
		"otelcol_exporter_send_failed_spans")
	overflow(t, at(0))
	collect(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[6]), exposed, "otelcol_exporter_enqueue_failed_spans")
	return exposed
}

// build builds the programs of this checkout.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./cmd/commentator", "./cmd/otelcol-mlflow")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build programs: %v\n%s", err, out)
	}
	return dir
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	out, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// run starts a program and ends it with the test; what it wrote is shown when that failed.
func run(t *testing.T, dir string, env []string, command string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(sandbox.Environ(), env...), log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
		text, _ := os.ReadFile(log.Name())
		log.Close()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(command), text)
		}
	})
}

// refusing is a receiver that refuses everything for good.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return status.Error(codes.InvalidArgument, "no") }))
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// overflow sends spans for which the Collector's queue has no room.
func overflow(t *testing.T, to string) {
	t.Helper()
	conn, err := grpc.NewClient(to, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetName("large")
	s.Attributes().PutStr("text", strings.Repeat("x", 2*queueBytes))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(td)); err == nil {
		t.Error("the Collector took what does not fit into its queue")
	}
}

// collect scrapes until the page has the metrics that it is waited for, and notes all of it.
func collect(t *testing.T, url string, exposed map[string]bool, until ...string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		missing := ""
		err := scrape(url, exposed)
		for _, name := range until {
			if !exposed[name] {
				missing = name
			}
		}
		if err == nil && missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has no %s: %v", url, missing, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func scrape(url string, exposed map[string]bool) error {
	r, err := http.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", r.Status)
	}
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if name, _, found := strings.Cut(strings.ReplaceAll(lines.Text(), "{", " "), " "); found && !strings.HasPrefix(name, "#") {
			exposed[name] = true
		}
	}
	return lines.Err()
}
