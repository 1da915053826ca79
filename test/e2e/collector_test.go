//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/technoshare/commentator/test/sandbox"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// collector is an otelcol-mlflow, with its embedded configuration unless told otherwise.
type collector struct {
	*process
	grpc    string // address of the OTLP receiver
	http    string // that of OTLP over HTTP
	repairs string // that of the receiver for repairs
	metrics string // address of its own metrics
	// settings say where it is, to programs that read them as it does.
	settings []string
	client   ptraceotlp.GRPCClient
	sent     int // spans
}

// startCollector starts a Collector with a data directory that outlives it.
func startCollector(t *testing.T, mlflow, experiment, data string, args ...string) *collector {
	t.Helper()
	ports, err := sandbox.FreePorts(7)
	if err != nil {
		t.Fatal(err)
	}
	address := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	c := &collector{grpc: address(0), http: "http://" + address(1), repairs: address(5), metrics: "http://" + address(3) + "/metrics"}
	c.settings = []string{
		"OTELCOL_DATA_DIR=" + data,
		"OTELCOL_GRPC_ENDPOINT=" + address(0), "OTELCOL_HTTP_ENDPOINT=" + address(1), "OTELCOL_HEALTH_ENDPOINT=" + address(2),
		fmt.Sprintf("OTELCOL_METRICS_PORT=%d", ports[3]), "OTELCOL_PROMETHEUS_ENDPOINT=" + address(4),
		"OTELCOL_REPLAY_ENDPOINT=" + address(5), "OTELCOL_STATUS_ENDPOINT=" + address(6),
	}
	c.process, err = start(t.TempDir(), "collector", append([]string{"MLFLOW_TRACKING_URI=" + mlflow, "MLFLOW_EXPERIMENT_NAME=" + experiment},
		c.settings...), program(t, "otelcol-mlflow"), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	if err := c.answers("http://" + address(2)); err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(c.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c.client = ptraceotlp.NewGRPCClient(conn)
	return c
}

func (c *collector) export(td ptrace.Traces) (ptraceotlp.ExportResponse, error) {
	return c.client.Export(context.Background(), ptraceotlp.NewExportRequestFromTraces(td))
}

func (c *collector) send(t *testing.T, requests ...ptrace.Traces) {
	t.Helper()
	for _, td := range requests {
		answer, err := c.export(td)
		if err != nil {
			t.Fatalf("send spans: %v\n%s", err, c.text())
		}
		if n := answer.PartialSuccess().RejectedSpans(); n != 0 {
			t.Fatalf("the Collector rejected %d spans", n)
		}
		c.sent += td.SpanCount()
	}
}

// delivered waits until the exporter is through with every span that was sent, and
// reports what it dropped.
func (c *collector) delivered(t *testing.T) {
	t.Helper()
	c.deliveredAtLeast(t, c.sent)
}

func (c *collector) deliveredAtLeast(t *testing.T, spans int) {
	t.Helper()
	var last map[string]float64
	err := c.until(fmt.Sprintf("%d spans to be delivered", spans), func() bool {
		m, err := sandbox.Metrics(c.metrics)
		if err != nil {
			return false
		}
		last = m
		return int(m["otelcol_exporter_sent_spans"]) >= spans && m["otelcol_exporter_queue_size"] == 0
	})
	if err != nil {
		t.Fatalf("%v\n%v", err, last)
	}
	requests := last["otelcol_exporter_mlflow_request_duration_count"]
	t.Logf("%d spans took %.0f requests to MLflow of %.1f ms each", spans, requests,
		last["otelcol_exporter_mlflow_request_duration_sum"]/requests*1000)
	for _, name := range []string{"otelcol_exporter_send_failed_spans", "otelcol_exporter_enqueue_failed_spans", "otelcol_exporter_mlflow_dropped_items"} {
		if last[name] != 0 {
			t.Errorf("%s is %v\n%s", name, last[name], c.text())
		}
	}
}
