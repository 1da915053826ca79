package mlflowexporter

import (
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadatatest"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// points are those of a gauge, by the id of the exporter.
func points(byID map[string]int64) (all []metricdata.DataPoint[int64]) {
	for id, value := range byID {
		all = append(all, metricdata.DataPoint[int64]{Attributes: attribute.NewSet(attribute.String("exporter", id)), Value: value})
	}
	return all
}

// clocked gives the exporters of a configuration a clock.
func clocked(t *testing.T, cfg *Config, set exporter.Settings, at time.Time) *atomic.Pointer[time.Time] {
	t.Helper()
	core, err := sharedExporter(cfg, set)
	if err != nil {
		t.Fatal(err)
	}
	clock := &atomic.Pointer[time.Time]{}
	clock.Store(&at)
	core.now = func() time.Time { return *clock.Load() }
	return clock
}

func advance(clock *atomic.Pointer[time.Time], by time.Duration) {
	later := clock.Load().Add(by)
	clock.Store(&later)
}

// endOf is when the root of a job ended.
func endOf(requests []ptrace.Traces) (end time.Time) {
	for _, td := range splitAll(requests) {
		s := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		if s.ParentSpanID().IsEmpty() {
			end = s.EndTimestamp().AsTime()
		}
	}
	return end
}

func consume(t *testing.T, e exporter.Traces, requests []ptrace.Traces) {
	t.Helper()
	for _, td := range requests {
		if err := e.ConsumeTraces(t.Context(), td); err != nil {
			t.Fatal(err)
		}
	}
}

// MLflow goes away, or refuses the credentials, and is back each time: the gauge and the
// status of the exporters of both signals say so, once for each change.
func TestUpAndStatusFollowMLflow(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	tel := componenttest.NewTelemetry()
	defer func() { _ = tel.Shutdown(context.Background()) }()
	cfg, set := testConfig(server.URL), metadatatest.NewSettings(tel)
	clock := clocked(t, cfg, set, time.Now())
	here := host{storageID: &memory{data: map[string][]byte{}}}
	traces, metrics := &watched{Host: here}, &watched{Host: here}
	e, m := startExporter(t, cfg, set, traces), startMetrics(t, cfg, set, metrics)
	var reported []componentstatus.Status
	check := func(when string, up int64) {
		t.Helper()
		metadatatest.AssertEqualExporterMlflowUp(t, tel, points(map[string]int64{"mlflow": up}), metricdatatest.IgnoreTimestamp())
		traces.check(t, when, reported...)
		metrics.check(t, when, reported...)
	}
	first, _ := loadFixture(t, "success")
	consume(t, e, first)
	check("at first", 1)
	for name, fault := range map[string]*mlflowtest.Fault{
		"gate_failed": {}, // no answer
		"cancelled":   {Status: http.StatusUnauthorized, Body: "You are not authenticated."},
	} {
		job, _ := loadFixture(t, name)
		server.Fail(func(*http.Request) *mlflowtest.Fault { return fault })
		for range 4 {
			if err := e.ConsumeTraces(t.Context(), joined(job)); err == nil {
				t.Fatal("no error")
			}
		}
		reported = append(reported, recoverable)
		check("while "+name+" cannot be written", 0)

		server.Fail(nil)
		advance(clock, 3*time.Second)
		consume(t, e, job)
		reported = append(reported, ok)
		check("after "+name, 1)
	}
	stop(t, e)
	if err := m.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	traces.check(t, "after the end", reported...)
}

// What is on disk, what is open and how long jobs took is told of each exporter.
func TestOwnTelemetry(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	tel := componenttest.NewTelemetry()
	defer func() { _ = tel.Shutdown(context.Background()) }()
	kept := &memory{data: map[string][]byte{}}
	cfg, set := testConfig(server.URL), metadatatest.NewSettings(tel)
	cfg.DeadLetterDirectory = filepath.Join(t.TempDir(), "made for it")
	first, _ := loadFixture(t, "success")
	clock := clocked(t, cfg, set, endOf(first).Add(4*time.Second))
	e := startExporter(t, cfg, set, host{storageID: kept})
	defer stop(t, e)
	// Another exporter, of a server that is not there.
	other, otherSet := testConfig("http://127.0.0.1:1"), metadatatest.NewSettings(tel)
	otherSet.ID = component.MustNewIDWithName("mlflow", "other")
	away := startExporter(t, other, otherSet, host{storageID: &memory{data: map[string][]byte{}}})
	defer stop(t, away)

	consume(t, e, first)
	refused, _ := loadFixture(t, "gate_failed")
	server.Fail(func(r *http.Request) *mlflowtest.Fault {
		if strings.HasSuffix(r.URL.Path, "/runs/log-batch") {
			return &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE"}`}
		}
		return nil
	})
	consume(t, e, []ptrace.Traces{joined(refused)})
	server.Fail(nil)
	second, _ := loadFixture(t, "cancelled")
	now := endOf(second).Add(time.Minute)
	clock.Store(&now)
	consume(t, e, second)
	started, _ := loadFixture(t, "started_only")
	consume(t, e, started)
	for range 4 {
		if err := away.ConsumeTraces(t.Context(), first[0]); err == nil {
			t.Fatal("no error")
		}
	}

	var size int64
	for key, value := range kept.data {
		if strings.HasPrefix(key, "job/") {
			size += int64(len(value))
		}
	}
	for name, c := range map[string]struct {
		check func(*testing.T, *componenttest.Telemetry, []metricdata.DataPoint[int64], ...metricdatatest.Option)
		want  map[string]int64
	}{
		"up":             {metadatatest.AssertEqualExporterMlflowUp, map[string]int64{"mlflow": 1, "mlflow/other": 0}},
		"open runs":      {metadatatest.AssertEqualExporterMlflowOpenRuns, map[string]int64{"mlflow": 1, "mlflow/other": 0}},
		"dead letters":   {metadatatest.AssertEqualExporterMlflowDeadLetters, map[string]int64{"mlflow": 1}},
		"ledger records": {metadatatest.AssertEqualExporterMlflowLedgerRecords, map[string]int64{"mlflow": 4, "mlflow/other": 0}},
		"ledger size":    {metadatatest.AssertEqualExporterMlflowLedgerSize, map[string]int64{"mlflow": size, "mlflow/other": 0}},
	} {
		t.Run(name, func(t *testing.T) { c.check(t, tel, points(c.want), metricdatatest.IgnoreTimestamp()) })
	}
	shortest, longest := metricdata.NewExtrema(4.0), metricdata.NewExtrema(60.0)
	metadatatest.AssertEqualExporterMlflowDeliveryLag(t, tel, []metricdata.HistogramDataPoint[float64]{{
		Attributes: attribute.NewSet(attribute.String("exporter", "mlflow")), Count: 2, Sum: 64, Min: shortest, Max: longest,
		Bounds:       []float64{0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400},
		BucketCounts: []uint64{0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0},
	}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

// counts are the values of a counter, or how often a histogram was told something, by the values of
// its attributes in the order of their names.
func counts(t *testing.T, tel *componenttest.Telemetry, name string) map[string]int64 {
	t.Helper()
	m, err := tel.GetMetric(name)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	add := func(set attribute.Set, n int64) {
		var values []string
		for _, kv := range set.ToSlice() {
			values = append(values, kv.Value.AsString())
		}
		got[strings.Join(values, " ")] += n
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, p.Value)
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, int64(p.Count))
		}
	default:
		t.Fatalf("%s is %T", name, m.Data)
	}
	return got
}

// Requests are counted by how they ended and timed, and runs are counted by their status, of each
// exporter apart.
func TestRequestsAndRunsAreCounted(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	tel := componenttest.NewTelemetry()
	defer func() { _ = tel.Shutdown(context.Background()) }()
	e := startExporter(t, testConfig(server.URL), metadatatest.NewSettings(tel), host{storageID: &memory{data: map[string][]byte{}}})
	defer stop(t, e)
	otherSet := metadatatest.NewSettings(tel)
	otherSet.ID = component.MustNewIDWithName("mlflow", "other")
	away := startExporter(t, testConfig("http://127.0.0.1:1"), otherSet, host{storageID: &memory{data: map[string][]byte{}}})
	defer stop(t, away)

	ended := map[string]int64{}
	var refused atomic.Int64
	for _, name := range []string{"success", "five_failures", "cancelled"} {
		requests, expected := loadFixture(t, name)
		consume(t, e, requests)
		for _, r := range expected.Runs {
			ended["mlflow "+r.Status]++
		}
		server.Fail(func(r *http.Request) *mlflowtest.Fault { // from the second on
			if !strings.HasSuffix(r.URL.Path, "/v1/traces") {
				return nil
			}
			refused.Add(1)
			return &mlflowtest.Fault{Status: http.StatusBadRequest, Body: `{"error_code":"INVALID_PARAMETER_VALUE"}`}
		})
	}
	first, _ := loadFixture(t, "success")
	if err := away.ConsumeTraces(t.Context(), first[0]); err == nil {
		t.Fatal("no error")
	}

	if got := counts(t, tel, "otelcol_exporter_mlflow_runs"); !maps.Equal(got, ended) || len(ended) != 3 {
		t.Errorf("runs are %v, want %v", got, ended)
	}
	asked := map[string]int64{}
	for _, call := range server.Calls() {
		_, path, _ := strings.Cut(call, " ")
		asked["mlflow "+operation(path)]++
	}
	requests, timed := counts(t, tel, "otelcol_exporter_mlflow_requests"), counts(t, tel, "otelcol_exporter_mlflow_request_duration")
	for _, op := range []string{"runs/create", "runs/log-batch", "runs/update", "artifacts", "otlp"} { // the others are asked for at any time, or have ids in their paths
		id := "mlflow " + op
		if got := requests[id+" 2xx"] + requests[id+" 4xx"]; got == 0 || got != asked[id] || timed[id] != asked[id] {
			t.Errorf("%s: %d are counted and %d timed, want %d", op, got, timed[id], asked[id])
		}
	}
	if got := requests["mlflow otlp 4xx"]; got == 0 || got != refused.Load() || requests["mlflow otlp 2xx"] == 0 {
		t.Errorf("%d refused requests are counted, want %d, in %v", got, refused.Load(), requests)
	}
	var errs, others int64
	for id, n := range requests {
		if strings.HasPrefix(id, "mlflow/other ") {
			others += n
			if strings.HasSuffix(id, " error") {
				errs += n
			}
		}
	}
	if errs == 0 || errs != others {
		t.Errorf("%d of %d requests without an answer are counted as errors", errs, others)
	}
}

// The README and the generated documentation name the same metrics.
func TestREADMENamesTheMetrics(t *testing.T) {
	named := func(file string) []string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, name := range regexp.MustCompile(`otelcol_exporter_mlflow_[a-z_]+`).FindAllString(string(text), -1) {
			names = append(names, strings.TrimSuffix(name, "_bucket"))
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	if diff := cmp.Diff(named("documentation.md"), named("README.md")); diff != "" {
		t.Errorf("metrics differ (-documentation.md +README.md):\n%s", diff)
	}
}
