package doctor

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/technoshare/commentator/collector/mlflowexporter/deadletter"
)

// What a Collector answers; test/e2e breaks a real one.
func TestFailuresOfTheCollectorAreNamed(t *testing.T) {
	const ill = `{"healthy":false,"status":"StatusRecoverableError","error":"MLflow is away","components":{
		"extensions":{"healthy":true,"status":"StatusOK"},
		"pipeline:metrics":{"healthy":false,"status":"StatusRecoverableError","error":"MLflow is away","components":{"exporter:mlflow":{"healthy":false,"status":"StatusRecoverableError","error":"MLflow is away"},"receiver:otlp":{"healthy":true,"status":"StatusOK"}}},
		"pipeline:traces":{"healthy":false,"status":"StatusRecoverableError","error":"MLflow is away","components":{"exporter:mlflow":{"healthy":false,"status":"StatusRecoverableError","error":"MLflow is away"}}}}}`
	for _, c := range []struct {
		name, health, status string
		want                 Status
		found                string
	}{
		{"well", `{"healthy":true,"status":"StatusOK"}`, `{"healthy":true,"status":"StatusOK"}`, OK, "reports StatusOK"},
		{"its exporter is ill", `{"healthy":true,"status":"StatusRecoverableError"}`, ill, Fail, "it runs, and reports exporter:mlflow StatusRecoverableError: MLflow is away"},
		{"another program", `hello`, ``, Fail, "no health_check of a Collector"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := func(body string) string {
				return strings.TrimPrefix(serve(t, func(w http.ResponseWriter, _ *http.Request) {
					if strings.Contains(body, `"healthy":false`) {
						w.WriteHeader(http.StatusInternalServerError)
					}
					_, _ = w.Write([]byte(body))
				}), "http://")
			}
			r := newRig(t, "MLFLOW_ENABLE_TRACKING=true", "OTELCOL_HEALTH_ENDPOINT="+at(c.health), "OTELCOL_STATUS_ENDPOINT="+at(c.status))
			got := r.probe(t, "collector-up")
			names(t, got, c.want, c.found)
			if n := strings.Count(got.Found, "MLflow is away"); n > 1 {
				t.Errorf("it is said %d times: %s", n, got.Found)
			}
		})
	}
	names(t, newRig(t, "MLFLOW_ENABLE_TRACKING=true").probe(t, "collector-up"), Fail, "no Collector answers", "otelcol-mlflow")
	names(t, newRig(t).probe(t, "collector-up"), Warn, "no Collector answers")
}

func TestQueuesAreRead(t *testing.T) {
	for _, c := range []struct {
		name, metrics string
		want          Status
		found         string
	}{
		{"empty", `otelcol_exporter_queue_size{data_type="traces",exporter="mlflow"} 0`, OK, "mlflow traces 0 % of 1000"},
		{"half full", `otelcol_exporter_queue_size{data_type="traces",exporter="mlflow"} 500`, Warn, "mlflow traces 50 % of 1000"},
		{"full", `otelcol_exporter_queue_size{data_type="traces",exporter="mlflow"} 990`, Fail, "mlflow traces 99 % of 1000"},
		{"was full", "otelcol_exporter_queue_size{data_type=\"traces\",exporter=\"mlflow\"} 1\notelcol_exporter_enqueue_failed_spans_total{exporter=\"mlflow\"} 7", Warn, "7 spans found a queue full"},
		{"none", "up 1", Skip, "shows no queue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			health := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"healthy":true,"status":"StatusOK"}`))
			})
			metrics := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte("# HELP x y\notelcol_exporter_queue_capacity{data_type=\"traces\",exporter=\"mlflow\"} 1000\n" + c.metrics + "\n"))
			})
			_, port, err := net.SplitHostPort(strings.TrimPrefix(metrics, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			r := newRig(t, "OTELCOL_METRICS_PORT="+port, "OTELCOL_HEALTH_ENDPOINT="+strings.TrimPrefix(health, "http://"))
			names(t, r.probe(t, "collector-queue"), c.want, c.found)
		})
	}
}

// receiver takes OTLP/gRPC from who knows the word.
type receiver struct {
	collectortrace.UnimplementedTraceServiceServer
	word string
}

func (r receiver) Export(ctx context.Context, in *collectortrace.ExportTraceServiceRequest) (*collectortrace.ExportTraceServiceResponse, error) {
	head, _ := metadata.FromIncomingContext(ctx)
	if got := head.Get("x-word"); len(got) != 1 || got[0] != r.word {
		return nil, status.Error(codes.Unauthenticated, "who are you?")
	}
	if len(in.GetResourceSpans()) > 0 {
		return nil, status.Error(codes.InvalidArgument, "doctor sent spans")
	}
	return &collectortrace.ExportTraceServiceResponse{}, nil
}

func TestAReceiverThatTakesNothingIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	collectortrace.RegisterTraceServiceServer(s, receiver{word: "open"})
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-ended })
	here := "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + l.Addr().String()
	http1 := strings.TrimPrefix(serve(t, http.NotFound), "http://")
	on := func(lines ...string) Result {
		return newRig(t, append(lines, "MLFLOW_ENABLE_TRACKING=true")...).probe(t, "collector-takes")
	}
	names(t, on(here, "OTEL_EXPORTER_OTLP_HEADERS=x-word=open"), OK, "takes OTLP/gRPC")
	names(t, on(here, "OTEL_EXPORTER_OTLP_HEADERS=x-word=shut"), Fail, "who are you?", "OTEL_EXPORTER_OTLP_HEADERS")
	names(t, on("OTEL_EXPORTER_OTLP_ENDPOINT=http://"+http1), Fail, "does not take OTLP/gRPC", "4318 is OTLP/HTTP")
	names(t, on(strings.Replace(here, "http:", "https:", 1)), Fail, "does not take OTLP/gRPC", "https:// is TLS")
	names(t, on(), Fail, "connection refused", "Start the Collector")
}

func TestDeadLettersAreNamed(t *testing.T) {
	r := newRig(t, "OTELCOL_DATA_DIR=queue")
	names(t, r.probe(t, "dead-letters"), Skip, "there is no directory")
	dir := filepath.Join(r.dir, "queue", "dead-letter")
	mkdir(t, dir)
	names(t, r.probe(t, "dead-letters"), OK, "there are none")
	spans := ptrace.NewTraces()
	spans.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("stage_a")
	refused := []deadletter.Refusal{{Kind: "artifact", Name: "stage_a/facts.json", Reason: "HTTP 400: Invalid path"}}
	if err := deadletter.Write(dir, "f8b979a27c33ebfe3388ad789a6f6a86", refused, spans, time.Now()); err != nil {
		t.Fatal(err)
	}
	names(t, r.probe(t, "dead-letters"), Warn, "trace f8b979a27c33ebfe3388ad789a6f6a86, artifact stage_a/facts.json: HTTP 400: Invalid path", "otelcol-mlflow replay "+dir)
}

// A Collector that keeps its dead letters elsewhere is told to send them from there.
func TestDeadLettersElsewhereAreNamed(t *testing.T) {
	r := newRig(t)
	metrics := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("otelcol_exporter_mlflow_dead_letters{exporter=\"mlflow\"} 2\n"))
	})
	r.set("OTELCOL_METRICS_PORT=" + metrics[strings.LastIndex(metrics, ":")+1:])
	got := r.probe(t, "dead-letters")
	names(t, got, Warn, "2 in the Collector's own dead-letter directory", "on its host", "OTELCOL_DATA_DIR", "/var/lib/otelcol-mlflow/dead-letter")
	if strings.Contains(got.Fix, ".otelcol-mlflow") {
		t.Errorf("it names a folder that is not there: %s", got.Fix)
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func removeAll(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
