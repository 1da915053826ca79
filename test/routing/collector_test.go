package routing

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/technoshare/commentator/test/sandbox"
)

// patience bounds every wait for something that real I/O decides.
const patience = 2 * time.Minute

// collector is a Collector in this process that runs a configuration of otel-config.
type collector struct {
	t       *testing.T
	grpc    string // address of its OTLP receiver
	http    string // and of that by HTTP
	metrics string // of its own metrics
	stop    func() // ends it as SIGTERM would; the second call does nothing
	conn    *grpc.ClientConn
}

// place is where a Collector keeps its data and listens: what it has again after a restart.
type place struct{ dir, grpc string }

func newPlace(t *testing.T) place {
	return place{t.TempDir(), freeAddress(t)}
}

func settings(uris ...string) otelcol.CollectorSettings {
	if err := featuregate.GlobalRegistry().Set("extension.healthcheck.useComponentStatus", true); err != nil {
		panic(err)
	}
	return otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "otelcol-mlflow", Version: "test"},
		Factories: components,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs:              uris,
			ProviderFactories: []confmap.ProviderFactory{envprovider.NewFactory(), fileprovider.NewFactory(), yamlprovider.NewFactory()},
			DefaultScheme:     "env",
		}},
		DisableGracefulShutdown: true, // no signal handlers in a test
	}
}

// start runs a configuration at a place. The environment that it reads is that of the
// moment; what a test changes in the file itself comes as further YAML.
func start(t *testing.T, at place, file string, changes ...string) *collector {
	t.Helper()
	c := &collector{t: t, grpc: at.grpc, http: freeAddress(t)}
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	c.metrics = "http://127.0.0.1:" + port + "/metrics"
	for name, value := range map[string]string{
		"OTELCOL_DATA_DIR": at.dir, "OTELCOL_GRPC_ENDPOINT": at.grpc, "OTELCOL_METRICS_PORT": port,
		"OTELCOL_HTTP_ENDPOINT": c.http, "OTELCOL_REPLAY_ENDPOINT": freeAddress(t), "OTELCOL_HEALTH_ENDPOINT": freeAddress(t),
		"OTELCOL_STATUS_ENDPOINT": freeAddress(t),
	} {
		t.Setenv(name, value)
	}
	uris := []string{"file:" + filepath.Join("..", "..", "otel-config", file)}
	log := filepath.Join(t.TempDir(), "log")
	for _, change := range append(changes, "service::telemetry::logs::disable_stacktrace: true", "service::telemetry::logs::output_paths: ["+log+"]") {
		uris = append(uris, "yaml:"+change)
	}
	col, err := otelcol.NewCollector(settings(uris...))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- col.Run(context.Background()) }()
	await(t, file+" to run", func() bool {
		select {
		case err := <-done:
			t.Fatalf("%s ended: %v", file, err)
		default:
		}
		return col.GetState() == otelcol.StateRunning
	})
	if c.conn, err = grpc.NewClient(c.grpc, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	stopped := false
	c.stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = c.conn.Close()
		col.Shutdown()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	t.Cleanup(func() {
		c.stop()
		if text, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("%s said:\n%s", file, text)
		}
	})
	return c
}

// send expects the receiver to take everything, as the worker does: what is refused would
// stay in its outbox, in front of all that comes after.
func (c *collector) send(requests ...ptrace.Traces) {
	c.t.Helper()
	client := ptraceotlp.NewGRPCClient(c.conn)
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for _, td := range requests {
		answer, err := client.Export(ctx, ptraceotlp.NewExportRequestFromTraces(td))
		if err != nil {
			c.t.Fatalf("the receiver does not take it: %v", err)
		}
		if n := answer.PartialSuccess().RejectedSpans(); n != 0 {
			c.t.Fatalf("the receiver rejects %d spans", n)
		}
	}
}

// post sends as the SDKs of other languages do that speak OTLP by HTTP.
func (c *collector) post(td ptrace.Traces) {
	c.t.Helper()
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := http.Post("http://"+c.http+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if err := r.Body.Close(); err != nil || r.StatusCode != http.StatusOK {
		c.t.Fatalf("the receiver answers %s, %v", r.Status, err)
	}
}

func (c *collector) sendMetrics(md pmetric.Metrics) {
	c.t.Helper()
	if _, err := pmetricotlp.NewGRPCClient(c.conn).Export(c.t.Context(), pmetricotlp.NewExportRequestFromMetrics(md)); err != nil {
		c.t.Fatal(err)
	}
}

// metric is the sum of the series of a metric of the Collector's own that have all these
// labels, written name="value".
func (c *collector) metric(name string, labels ...string) float64 {
	c.t.Helper()
	sum := 0.0
	lines := bufio.NewScanner(bytes.NewReader(get(c.t, c.metrics)))
	lines.Buffer(nil, 1<<20)
series:
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), "} ")
		if found, _, _ := strings.Cut(series, "{"); strings.TrimSuffix(found, "_total") != name {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(series, label) {
				continue series
			}
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			c.t.Fatalf("read metric %s: %v", lines.Text(), err)
		}
		sum += n
	}
	return sum
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	return body.Bytes()
}

// await polls something that real I/O decides.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	awaitWhy(t, what, func() string {
		if ok() {
			return ""
		}
		return "not yet"
	})
}

// awaitWhy polls until there is nothing left to wait for, and says what was.
func awaitWhy(t *testing.T, what string, missing func() string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		left := missing()
		if left == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v for %s: %s", patience, what, left)
		}
	}
}

// handedOut are the addresses that tests have; the same may be found free twice.
var handedOut []string

func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		address, err := sandbox.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(handedOut, address) {
			handedOut = append(handedOut, address)
			return address
		}
	}
}

// list is a YAML list, for variables that hold one.
func list(items ...string) string { return fmt.Sprintf("[%s]", strings.Join(items, ", ")) }
