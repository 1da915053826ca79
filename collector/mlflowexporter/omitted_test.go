package mlflowexporter

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/service"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// omissions are the log lines about metrics that are left out, as reason, process and names.
func omissions(logs *observer.ObservedLogs) (lines []string) {
	for _, e := range logs.TakeAll() {
		if f := e.ContextMap(); f["metrics"] != nil {
			lines = append(lines, fmt.Sprint(f["reason"], " ", f["service"], " ", f["instance"], " ", f["metrics"]))
		}
	}
	return lines
}

// The log names a metric that cannot be written, with its process and the reason, and does not
// repeat it with each export.
func TestMetricsThatAreLeftOutAreNamed(t *testing.T) {
	server := mlflowtest.Start()
	defer server.Close()
	cfg := testConfig(server.URL)
	cfg.Service.Metrics = []service.Rule{{Name: "*"}}
	core, logs := observer.New(zap.WarnLevel)
	set := exportertest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	clock := clocked(t, cfg, set, time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC))
	e := startMetrics(t, cfg, set, host{storageID: &memory{data: map[string][]byte{}}})
	defer func() {
		if err := e.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()

	send := func(minute int) []string {
		md := workerMetrics(0, minute)
		ms := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
		sample := ms.At(0).Gauge().DataPoints().At(0)
		for _, name := range []string{"b.ratio", "a.ratio"} {
			m := ms.AppendEmpty()
			m.SetName(name)
			p := m.SetEmptyGauge().DataPoints().AppendEmpty()
			p.SetTimestamp(sample.Timestamp())
			p.SetDoubleValue(math.NaN())
		}
		m := ms.AppendEmpty()
		m.SetName("gc.pause")
		m.SetEmptySummary().DataPoints().AppendEmpty()
		if err := e.ConsumeMetrics(t.Context(), md); err != nil {
			t.Fatal(err)
		}
		return omissions(logs)
	}
	want := []string{"metric_shape worker one [gc.pause]", "nan_metric worker one [a.ratio b.ratio]"}
	for i, c := range []struct {
		after time.Duration
		want  []string
	}{{0, want}, {time.Minute, nil}, {time.Hour, want}} {
		advance(clock, c.after)
		if diff := cmp.Diff(c.want, send(i)); diff != "" {
			t.Errorf("export %d (-want +got):\n%s", i, diff)
		}
	}
}

// Names that are made up one by one do not fill log and memory.
func TestNamesOfMetricsThatAreLeftOutAreBounded(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	var o omitted
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	for i := range maxOmitted + 10 {
		o.log(zap.New(core), map[service.Drop]bool{{Reason: service.DropNaN, Service: "worker", Metric: fmt.Sprint("made.up.", i)}: true}, now)
	}
	if n := len(omissions(logs)); n != maxOmitted || len(o.said) != maxOmitted {
		t.Errorf("%d lines, %d names are remembered", n, len(o.said))
	}
}
