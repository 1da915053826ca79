package mlflowexporter

import (
	"context"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadatatest"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// workerMetrics is what a worker sends in one minute of a day.
func workerMetrics(day, minute int) pmetric.Metrics {
	at := time.Date(2026, 11, 20+day, 10, minute, 0, 0, time.UTC)
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr(wire.ResServiceName, "worker")
	rm.Resource().Attributes().PutStr(wire.ResServiceInstanceID, "one")
	for name, value := range map[string]int64{wire.MetricQueueDepth: 3, wire.MetricGoMemory: 1 << 20, "not.listed": 1} {
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName(name)
		p := m.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(at))
		p.SetIntValue(value)
	}
	return md
}

func startMetrics(t *testing.T, cfg *Config, set exporter.Settings, h component.Host) exporter.Metrics {
	t.Helper()
	cfg.Service.Queue = configoptional.None[exporterhelper.QueueBatchConfig]()
	e, err := createMetrics(t.Context(), set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	return e
}

// serviceRuns reads back what an experiment holds, "" if there is no such experiment.
func serviceRuns(t *testing.T, server *mlflowtest.Server, experiment string) map[string]string {
	t.Helper()
	client := clientOf(t, server)
	exp, err := client.GetExperimentByName(t.Context(), experiment)
	if mlflow.IsCode(err, mlflow.CodeNotFound) {
		return map[string]string{}
	}
	if err != nil {
		t.Fatal(err)
	}
	state, err := mlflowtest.Read(t.Context(), client, exp.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, run := range state.Runs {
		var points []string
		for key, values := range run.Metrics {
			for _, v := range values {
				value, _, _ := strings.Cut(v, "@")
				_, step, _ := strings.Cut(v, "/")
				points = append(points, key+"="+value+"/"+step)
			}
		}
		slices.Sort(points)
		got[run.Name] = run.Status + " " + strings.Join(points, " ")
	}
	return got
}

// Traces and metrics of one component share the ledger, whose storage is opened once.
func TestBothSignalsShareTheLedger(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	requests, expected := loadFixture(t, "success")
	for _, tracesFirst := range []bool{true, false} {
		kept := &memory{data: map[string][]byte{}}
		cfg := testConfig(server.URL)
		set, h := exportertest.NewNopSettings(metadata.Type), host{storageID: kept}
		var traces exporter.Traces
		if tracesFirst {
			traces = startExporter(t, cfg, set, h)
		}
		metrics := startMetrics(t, cfg, set, h)
		if !tracesFirst {
			traces = startExporter(t, cfg, set, h)
		}
		for _, td := range requests {
			if err := traces.ConsumeTraces(t.Context(), td); err != nil {
				t.Fatal(err)
			}
		}
		stop(t, traces)
		if err := metrics.ConsumeMetrics(t.Context(), workerMetrics(0, 1)); err != nil {
			t.Errorf("after the traces were shut down: %v", err)
		}
		if err := metrics.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if kept.open != 0 || len(kept.names) != 1 {
			t.Errorf("%d storage clients are open of %v", kept.open, kept.names)
		}
		cores.Lock()
		if cores.byConfig[cfg] != nil {
			t.Error("the core outlives its exporters")
		}
		cores.Unlock()
	}
	if n := len(readState(t, server).Runs); n != len(expected.Runs) {
		t.Errorf("%d runs, want %d", n, len(expected.Runs))
	}
	want := map[string]string{"2026-11-20 one worker": "RUNNING job.queue.depth=3/601 system/go.memory.used=1.048576e+06/601"}
	if diff := cmp.Diff(want, serviceRuns(t, server, "technoshare_commentator_service")); diff != "" {
		t.Errorf("service runs (-want +got):\n%s", diff)
	}
}

// Metrics that MLflow could not take come again and are there once; the next day ends the
// run.
func TestServiceMetricsAreWrittenOnce(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	var down atomic.Bool
	server.Fail(func(r *http.Request) *mlflowtest.Fault {
		if down.Load() && strings.HasSuffix(r.URL.Path, "/log-batch") {
			return mlflowtest.Lost()
		}
		return nil
	})
	e := startMetrics(t, testConfig(server.URL), exportertest.NewNopSettings(metadata.Type), host{storageID: &memory{data: map[string][]byte{}}})
	defer func() { _ = e.Shutdown(context.Background()) }()
	down.Store(true)
	if err := e.ConsumeMetrics(t.Context(), workerMetrics(0, 1)); err == nil {
		t.Error("a lost answer is no error")
	}
	down.Store(false)
	for _, md := range []pmetric.Metrics{workerMetrics(0, 1), workerMetrics(0, 1), workerMetrics(0, 2), workerMetrics(1, 1)} {
		if err := e.ConsumeMetrics(t.Context(), md); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"2026-11-20 one worker": "FINISHED job.queue.depth=3/601 job.queue.depth=3/602 system/go.memory.used=1.048576e+06/601 system/go.memory.used=1.048576e+06/602",
		"2026-11-21 one worker": "RUNNING job.queue.depth=3/601 system/go.memory.used=1.048576e+06/601",
	}
	if diff := cmp.Diff(want, serviceRuns(t, server, "technoshare_commentator_service")); diff != "" {
		t.Errorf("service runs (-want +got):\n%s", diff)
	}
}

// Metrics that come again wait for as long as MLflow asked for, whichever request it answered so.
func TestMetricsWaitAsLongAsMLflowAsks(t *testing.T) {
	for name, suffix := range map[string]string{"experiment": "/experiments/create", "run": "/runs/create", "points": "/runs/log-batch"} {
		t.Run(name, func(t *testing.T) {
			server := mlflowtest.Start()
			defer server.Close()
			server.Fail(func(r *http.Request) *mlflowtest.Fault {
				if strings.HasSuffix(r.URL.Path, suffix) {
					return &mlflowtest.Fault{Status: http.StatusServiceUnavailable, RetryAfter: "7"}
				}
				return nil
			})
			cfg := testConfig(server.URL)
			cfg.Retry.Enabled = false
			e := startMetrics(t, cfg, exportertest.NewNopSettings(metadata.Type), host{storageID: &memory{data: map[string][]byte{}}})
			defer func() { _ = e.Shutdown(context.Background()) }()
			if err := e.ConsumeMetrics(t.Context(), workerMetrics(0, 1)); err == nil || !strings.Contains(err.Error(), "Throttle (7s)") {
				t.Errorf("no wait of 7 s in %v", err)
			}
		})
	}
}

func TestServiceRunsCanBeSwitchedOff(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	cfg := testConfig(server.URL)
	cfg.Service.Enabled = false
	e := startMetrics(t, cfg, exportertest.NewNopSettings(metadata.Type), host{storageID: &memory{data: map[string][]byte{}}})
	defer func() { _ = e.Shutdown(context.Background()) }()
	if err := e.ConsumeMetrics(t.Context(), workerMetrics(0, 1)); err != nil {
		t.Error(err)
	}
	looked := 0
	for _, call := range server.Calls() {
		if strings.HasSuffix(call, "/experiments/get-by-name") {
			if looked++; looked == 1 {
				continue // the look at whether MLflow is there, which comes at any moment after the start
			}
		}
		if strings.Contains(call, "/runs/") || strings.Contains(call, "/experiments/") {
			t.Errorf("%s although it is off", call)
		}
	}
}

func TestDroppedMetricsAreCounted(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	tel := componenttest.NewTelemetry()
	defer func() { _ = tel.Shutdown(context.Background()) }()
	e := startMetrics(t, testConfig(server.URL), metadatatest.NewSettings(tel), host{storageID: &memory{data: map[string][]byte{}}})
	defer func() { _ = e.Shutdown(context.Background()) }()
	md := workerMetrics(0, 1)
	for _, sm := range md.ResourceMetrics().At(0).ScopeMetrics().All() {
		sm.Metrics().At(0).Gauge().DataPoints().At(0).SetTimestamp(0)
	}
	if err := e.ConsumeMetrics(t.Context(), md); err != nil {
		t.Fatal(err)
	}
	metadatatest.AssertEqualExporterMlflowDroppedItems(t, tel, []metricdata.DataPoint[int64]{{
		Attributes: attribute.NewSet(attribute.String("exporter", "mlflow"), attribute.String("reason", "metric_untimed")), Value: 2,
	}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

// The default list holds what the worker emits, under names that exist.
func TestDefaultMetricsAreTheWorkers(t *testing.T) {
	chosen := 0
	for _, rule := range defaultService().Metrics {
		matched := strings.HasPrefix(rule.Name, "process.")
		for _, e := range wire.Catalog() {
			if ok, err := path.Match(rule.Name, e.Name); e.Kind == wire.KindMetric && err == nil && ok {
				matched = true
				chosen++
			}
		}
		if !matched {
			t.Errorf("%s is no metric of the worker", rule.Name)
		}
		for _, attr := range rule.By {
			if _, ok := wire.Find(wire.KindAttr, attr); !ok {
				t.Errorf("%s: %s is no attribute of the worker", rule.Name, attr)
			}
		}
	}
	if chosen < 12 {
		t.Errorf("only %d metrics are chosen", chosen)
	}
}

func TestServiceConfigSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*ServiceConfig)
		want   string
	}{
		"suffix":       {func(c *ServiceConfig) { c.ExperimentSuffix = "" }, "`experiment_suffix` must have"},
		"interval":     {func(c *ServiceConfig) { c.Interval = time.Second }, "`interval` must be 1m to 24h, found 1s"},
		"no metrics":   {func(c *ServiceConfig) { c.Metrics = nil }, "`metrics` must name metrics"},
		"pattern":      {func(c *ServiceConfig) { c.Metrics[0].Name = "[" }, "`name`: \"[\" is no pattern"},
		"own storage":  {func(c *ServiceConfig) { c.Queue.Get().StorageID = &storageID }, "`sending_queue::storage` must not be set"},
		"switched off": {func(c *ServiceConfig) { *c = ServiceConfig{} }, ""},
	} {
		cfg := testConfig("http://127.0.0.1:1")
		c.change(&cfg.Service)
		err := confmap.Validate(cfg)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
