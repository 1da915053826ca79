package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"regexp"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// TestMetricsNameNoJob also pins the names: every instrument of the catalog is produced.
func TestMetricsNameNoJob(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	p, err := New(context.Background(), Config{
		Mode: ModeTracing, Ratio: 1, StoreID: testStore, metricReader: reader,
		Endpoint: "http://127.0.0.1:1", Now: func() time.Time { return testStart.Add(time.Minute) },
		Relay: RelayConfig{PollInterval: time.Hour},
	}, &memoryOutbox{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Shutdown(context.Background())
	if err := p.ObserveQueue(func(context.Context) (QueueState, error) {
		return QueueState{Depth: 3, OldestAge: 90 * time.Second}, nil
	}); err != nil {
		t.Fatal(err)
	}
	p.JobActive(1)
	j := testJob(p, 4711)
	ends := testStages(10)
	play(t, p, j, ends, commentator.OutcomeSuccess)
	ctx, st := p.StartStage(context.Background(), j, commentator.StageA)
	RecordModelCall(ctx, ModelCall{
		Provider: "openai", RequestModel: "gpt-4o", Duration: time.Second,
		Usage: commentator.Usage{Calls: 1, Input: 1000, Output: 50},
	})
	StartDetail(ctx, "open", 0)
	ends[1].Record.EndedAt = time.Time{} // counted as a clock that was set back
	if _, err := st.End(ends[1]); err != nil {
		t.Fatal(err)
	}
	p.OutboxDropped(2, "full")
	p.SlackEvent(ctx, "accepted", "socket", false)
	p.SlackEvent(ctx, "duplicate", "socket", true)
	p.SlackLinks(ctx, "job", 3)
	p.FeedbackSeen("verdict")
	p.metrics.detailDropped(ctx, 1, "stage_full")
	p.rec.text("U42 is jane@example.org" + strings.Repeat(".", maxText))

	id := regexp.MustCompile(`[^0-9.]4711[^0-9]|U42|C123|example\.org`) // no digits of a time
	traceID, _ := jobIdentity(j)
	got := map[string]bool{}
	for _, m := range collect(t, reader) {
		got[m.Name] = true
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if id.Match(text) || strings.Contains(string(text), traceID.String()) {
			t.Errorf("metric %s names the job: %s", m.Name, text)
		}
	}
	for _, e := range wire.Catalog() {
		if e.Kind == wire.KindMetric && e.From == "internal/telemetry" && !got[e.Name] {
			t.Errorf("metric %s is in the catalog, but not produced", e.Name)
		}
		delete(got, e.Name)
	}
	if len(got) > 0 {
		t.Errorf("metrics that the catalog does not know: %v", slices.Collect(maps.Keys(got)))
	}
	if n := sum(t, reader, wire.MetricJobActive); n != 1 {
		t.Errorf("%d jobs are active", n)
	}
	if n := sum(t, reader, wire.MetricSlackEvents); n != 2 {
		t.Errorf("%d events are counted", n)
	}
	if n := sum(t, reader, wire.MetricSlackLinks); n != 3 {
		t.Errorf("%d links are counted", n)
	}
	if n := sum(t, reader, wire.MetricOutboxDropped); n != 2 {
		t.Errorf("%d messages are dropped", n)
	}
}

func TestModelMetricsCountInTrackingMode(t *testing.T) {
	p, reader := newTestProvider(t, func(c *Config) { c.Mode = ModeTracking })
	ctx, _ := p.StartStage(context.Background(), testJob(p, 1), commentator.StageA)
	RecordModelCall(ctx, ModelCall{
		Provider: "openai", RequestModel: "gpt-4o", ErrorType: "timeout", Duration: 2 * time.Second,
		Usage: commentator.Usage{Calls: 1, Input: 1000, Output: 50},
	})
	RecordModelCall(context.Background(), ModelCall{}) // outside any stage: nothing
	var tokens int64
	for _, m := range collect(t, reader) {
		switch data := m.Data.(type) {
		case metricdata.Histogram[int64]:
			for _, point := range data.DataPoints {
				tokens += point.Sum
			}
		case metricdata.Histogram[float64]:
			if v, ok := data.DataPoints[0].Attributes.Value(wire.AttrErrorType); !ok || v.AsString() != "timeout" || data.DataPoints[0].Sum != 2 {
				t.Errorf("%s is %v", m.Name, data.DataPoints)
			}
		}
	}
	if tokens != 1050 {
		t.Errorf("%d tokens are counted", tokens)
	}
}

type failingExporter struct{ sdkmetric.Exporter }

func (failingExporter) Export(context.Context, *metricdata.ResourceMetrics) error { return errTest }

func TestMetricsOutageIsSaidOnce(t *testing.T) {
	log := &safeLog{}
	q := &quietExporter{Exporter: failingExporter{}, logger: slog.New(slog.NewTextHandler(log, nil))}
	for range 5 {
		if err := q.Export(context.Background(), nil); err != nil {
			t.Error(err)
		}
	}
	if n := log.count("not taken"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// The export and Prometheus may read at once. The race detector does not see what the runtime
// writes, so the places are compared.
func TestReadingsOfTheRuntimeShareNothing(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	m := &metrics{meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("")}
	var read [][]runtimemetrics.Sample // all, so that no place is used again
	if err := m.observeRuntime(func(into []runtimemetrics.Sample) {
		runtimemetrics.Read(into)
		read = append(read, into)
	}); err != nil {
		t.Fatal(err)
	}
	collect(t, reader)
	collect(t, reader)
	places := map[*runtimemetrics.Sample]bool{}
	for _, samples := range read {
		places[&samples[0]] = true
	}
	if want := 2 * len(runtimeMetrics); len(read) != want || len(places) != want {
		t.Errorf("%d readings went to %d places, want %d", len(read), len(places), want)
	}
}

// What the runtime gave back to the system is not used, as the semantic conventions have it: the total never falls.
func TestMemoryInUseIsWithoutWhatWasReleased(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	m := &metrics{meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("")}
	byName := map[string]uint64{}
	if err := m.observeRuntime(func(into []runtimemetrics.Sample) {
		runtimemetrics.Read(into)
		for _, s := range into {
			byName[s.Name] = s.Value.Uint64()
		}
	}); err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory() // so that something is released
	var used int64
	for _, got := range collect(t, reader) {
		if data, ok := got.Data.(metricdata.Gauge[int64]); ok && got.Name == wire.MetricGoMemory {
			used = data.DataPoints[0].Value
		}
	}
	total, released := byName["/memory/classes/total:bytes"], byName["/memory/classes/heap/released:bytes"]
	if released == 0 || used != int64(total-released) {
		t.Errorf("%d bytes are used of %d, %d of which are released", used, total, released)
	}
}
