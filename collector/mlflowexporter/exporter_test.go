package mlflowexporter

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadatatest"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// memory is a storage extension that keeps what it is given, over restarts of the exporter.
type memory struct {
	component.StartFunc
	component.ShutdownFunc
	mu    sync.Mutex
	data  map[string][]byte
	names []string // of the clients that were asked for
	open  int
	// changed gets a value after a batch; nil: nobody wants to know.
	changed chan struct{}
	// fail is asked before each batch, and once more when it is stored; nil: nothing fails.
	fail func(stored bool) error
}

// queued is how many batches are in the queue or in a consumer's hand.
func (m *memory) queued() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.data {
		if _, err := strconv.Atoi(key); err == nil { // an item's key is its index
			n++
		}
	}
	return n
}

func (m *memory) GetClient(_ context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names = append(m.names, kind.String()+" "+id.String()+" "+name)
	m.open++
	return m, nil
}

func (m *memory) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := m.Batch(ctx, op)
	return op.Value, err
}

func (m *memory) Set(ctx context.Context, key string, value []byte) error {
	return m.Batch(ctx, storage.SetOperation(key, value))
}

func (m *memory) Delete(ctx context.Context, key string) error {
	return m.Batch(ctx, storage.DeleteOperation(key))
}

func (m *memory) Batch(_ context.Context, ops ...*storage.Operation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(false); err != nil {
			return err
		}
	}
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = m.data[op.Key]
		case storage.Set:
			m.data[op.Key] = op.Value
		case storage.Delete:
			delete(m.data, op.Key)
		}
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
	if m.fail != nil {
		return m.fail(true)
	}
	return nil
}

// Walk implements storage.Walker.
func (m *memory) Walk(ctx context.Context, fn storage.WalkFunc) error {
	var ops []*storage.Operation
	for key, value := range m.data {
		more, err := fn(key, value)
		if err != nil {
			return err
		}
		ops = append(ops, more...)
	}
	return m.Batch(ctx, ops...)
}

func (m *memory) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open--
	return nil
}

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

var storageID = component.MustNewID("memory")

// testConfig delivers in the caller's goroutine and does not retry, so that a test sees
// what one delivery comes to.
func testConfig(endpoint string) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint, cfg.Storage, cfg.AllowDataLoss = endpoint, &storageID, true
	cfg.Queue = configoptional.None[exporterhelper.QueueBatchConfig]()
	cfg.Retry.Enabled = false
	return cfg
}

// clientOf is a client of a server in memory until the test ends.
func clientOf(t *testing.T, server *mlflowtest.Server) *mlflow.Client {
	t.Helper()
	client, err := mlflow.New(mlflow.Config{Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func startExporter(t *testing.T, cfg *Config, set exporter.Settings, h component.Host) exporter.Traces {
	t.Helper()
	e, err := createTraces(t.Context(), set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	return e
}

// observed is settings whose metrics, warnings and errors can be looked at.
func observed(t *testing.T) (exporter.Settings, *componenttest.Telemetry, *observer.ObservedLogs) {
	t.Helper()
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	set := metadatatest.NewSettings(tel)
	core, logs := observer.New(zap.WarnLevel)
	set.Logger = zap.New(core)
	return set, tel, logs
}

func stop(t *testing.T, e exporter.Traces) {
	t.Helper()
	if err := e.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func readState(t *testing.T, server *mlflowtest.Server) *mlflowtest.State {
	t.Helper()
	client := clientOf(t, server)
	exp, err := client.GetExperimentByName(t.Context(), defaultExperiment)
	if err != nil {
		t.Fatal(err)
	}
	state, err := mlflowtest.Read(t.Context(), client, exp.ID)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// One job goes in; its runs and its trace are there, the ledger is kept, and the figures
// are right. Sent again to a new exporter it changes nothing.
func TestAJobReachesMLflowOnce(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	requests, expected := loadFixture(t, "success")
	kept := &memory{data: map[string][]byte{}}
	tel := componenttest.NewTelemetry()
	defer func() { _ = tel.Shutdown(context.Background()) }()

	for range 2 {
		e := startExporter(t, testConfig(server.URL), metadatatest.NewSettings(tel), host{storageID: kept})
		for _, td := range requests {
			if err := e.ConsumeTraces(t.Context(), td); err != nil {
				t.Fatal(err)
			}
		}
		stop(t, e)
	}
	if kept.open != 0 || len(kept.data) == 0 {
		t.Errorf("%d storage clients are open, %d entries kept", kept.open, len(kept.data))
	}
	if want := "Exporter mlflow runs"; kept.names[0] != want {
		t.Errorf("storage client is %q", kept.names[0])
	}
	state := readState(t, server)
	if len(state.Runs) != len(expected.Runs) || len(state.Traces) != 1 {
		t.Errorf("%d runs and %d traces, want %d and 1", len(state.Runs), len(state.Traces), len(expected.Runs))
	}
	for key, run := range state.Runs {
		if run.Status != "FINISHED" {
			t.Errorf("run %s is %s", key, run.Status)
		}
	}
	metadatatest.AssertEqualExporterMlflowRuns(t, tel, []metricdata.DataPoint[int64]{{
		Attributes: attribute.NewSet(attribute.String("exporter", "mlflow"), attribute.String("status", "FINISHED")), Value: 6,
	}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

// Without `storage` the ledger forgets nothing as long as the process lives: however many other traces
// come between two messages of a job, its runs are made once.
func TestLedgerInMemoryKnowsEveryJob(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	cfg := testConfig(server.URL)
	cfg.Storage = nil
	e, err := newExporter(cfg, exportertest.NewNopSettings(metadata.Type))
	if err != nil {
		t.Fatal(err)
	}
	e.now = func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) } // the jobs are younger
	if err := e.start(t.Context(), host{}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.shutdown(context.Background()) }()
	consume := func(td ptrace.Traces) {
		t.Helper()
		if err := e.consumeTraces(t.Context(), td); err != nil {
			t.Fatal(err)
		}
	}
	started, expected := loadFixture(t, "started_only")
	verdict, _ := loadFixture(t, "feedback_alone")
	consume(started[0])
	others := ptrace.NewTraces() // which wait for their jobs and cost no request
	verdict[0].CopyTo(others)
	spans := others.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for i := range uint32(2*2048 + 1) {
		one := spans.AppendEmpty()
		spans.At(0).CopyTo(one)
		one.SetTraceID(pcommon.TraceID(binary.BigEndian.AppendUint32(make([]byte, 12), i+1)))
	}
	consume(others)
	consume(started[0])
	if state := readState(t, server); len(state.Runs) != len(expected.Runs) {
		t.Errorf("%d runs, want %d", len(state.Runs), len(expected.Runs))
	}
}

// When MLflow cannot take one of two jobs, only its spans come back for a retry.
func TestOnlyTheFailedJobIsRetried(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	requests, expected := loadFixture(t, "two_jobs_one_request")
	e := startExporter(t, testConfig(server.URL), exportertest.NewNopSettings(metadata.Type), host{storageID: &memory{data: map[string][]byte{}}})
	defer stop(t, e)

	down := true
	var mu sync.Mutex
	creates := 0
	server.Fail(func(r *http.Request) *mlflowtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if !down || !strings.HasSuffix(r.URL.Path, "/runs/create") {
			return nil
		}
		if creates++; creates == 1 {
			return mlflowtest.Locked()
		}
		return nil
	})
	all := joined(requests)
	err := e.ConsumeTraces(t.Context(), all)
	var rest consumererror.Traces
	if !errors.As(err, &rest) {
		t.Fatalf("error is %v", err)
	}
	ids := map[string]bool{}
	for _, td := range bySpan(rest.Data()) {
		ids[td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).TraceID().String()] = true
	}
	if len(ids) != 1 || rest.Data().SpanCount() >= all.SpanCount() {
		t.Errorf("%d of %d spans of %d jobs came back", rest.Data().SpanCount(), all.SpanCount(), len(ids))
	}
	mu.Lock()
	down = false
	mu.Unlock()
	if err := e.ConsumeTraces(t.Context(), rest.Data()); err != nil {
		t.Fatal(err)
	}
	if n := len(readState(t, server).Runs); n != len(expected.Runs) {
		t.Errorf("%d runs, want %d", n, len(expected.Runs))
	}
}

// What is no error of a single job, or comes with those, lets the whole request come again.
func TestSettleRetriesWholeWhatNoJobNames(t *testing.T) {
	e := &mlflowExporter{log: zap.NewNop()}
	a, b := &apply.ItemError{TraceID: "a", Err: errors.New("later")}, &apply.ItemError{TraceID: "b", Permanent: true, Err: errors.New("never")}
	other := errors.New("other")
	for _, c := range []struct {
		err   error
		retry map[string]bool // nil: all
		fails bool
	}{
		{nil, map[string]bool{}, false},
		{a, map[string]bool{"a": true}, true},
		{b, map[string]bool{}, false},
		{errors.Join(a, b), map[string]bool{"a": true}, true},
		{errors.Join(a, errors.Join(b, other)), nil, true},
		{other, nil, true},
	} {
		retry, err := e.settle(ptrace.NewTraces(), c.err)
		if diff := cmp.Diff(c.retry, retry); diff != "" || (err != nil) != c.fails {
			t.Errorf("%v: %v, retries (-want +got)\n%s", c.err, err, diff)
		}
	}
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		host host
		want string
	}{
		"no extension": {host{}, "add it to `service::extensions`"},
		"no storage":   {host{storageID: nopReceiver{}}, "does not store"},
	} {
		e, err := createTraces(t.Context(), exportertest.NewNopSettings(metadata.Type), testConfig("http://127.0.0.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		err = e.Start(t.Context(), c.host)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		stop(t, e)
	}
}

func TestOperationsHaveNoIDs(t *testing.T) {
	for path, want := range map[string]string{
		"/api/2.0/mlflow/runs/create":                                "runs/create",
		"/ml/api/2.0/mlflow/experiments/get-by-name":                 "experiments/get-by-name",
		"/api/2.0/mlflow-artifacts/artifacts/1/abc/artifacts/a.json": "artifacts",
		"/ajax-api/2.0/mlflow/upload-artifact":                       "artifacts",
		"/v1/traces":                                                 "otlp",
		"/api/3.0/mlflow/traces":                                     "traces",
		"/api/3.0/mlflow/traces/tr-0123":                             "traces",
		"/version":                                                   "other",
		"/mlflow/api/2.0/mlflow/runs/create":                         "runs/create",
		"/mlflow/api/3.0/mlflow/traces/tr-0123/assessments":          "traces",
		"/mlflow/api/2.0/mlflow/api/2.0/mlflow/experiments/search":   "experiments/search",
		"/mlflow/ajax-api/2.0/mlflow/upload-artifact":                "artifacts",
		"/mlflow/v1/traces":                                          "otlp",
		"/mlflow/version":                                            "other",
		"/api/2.0/mlflow-artifacts/artifacts/1/api/2.0/mlflow/a":     "artifacts",
	} {
		if got := operation(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
