package telemetry

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

func TestProviderDeliversAJobAndItsMetrics(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)
	box := &memoryOutbox{}
	cfg := Config{Mode: ModeTracing, Ratio: 1, CaptureContent: true, StoreID: testStore, Endpoint: "http://" + c.address}
	p, err := New(context.Background(), cfg, box)
	if err != nil {
		t.Fatal(err)
	}
	messages := play(t, p, testJob(p, 7), testStages(500), commentator.OutcomeSuccess)
	box.add(messages...)
	p.Notify()
	if err := p.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, s := range allSpans(t, messages) {
		want = append(want, s.Name)
	}
	if diff := cmp.Diff(want, c.accepted()); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	for _, name := range []string{wire.MetricJobDuration, wire.MetricStageDuration, wire.MetricOutboxDepth, wire.MetricGoGoroutines} {
		if !slices.Contains(c.metrics, name) {
			t.Errorf("metric %s did not arrive", name)
		}
	}
}

func TestShutdownWithoutACollectorIsQuick(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)()
	p, err := New(context.Background(), Config{Mode: ModeTracking, StoreID: testStore, Endpoint: "http://" + c.address}, &memoryOutbox{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown returned %v", err)
	}
	if ctx.Err() != nil {
		t.Error("Shutdown waited for its deadline")
	}
}

// A command beside the worker sends its messages; its measurements would pass for the worker's.
func TestWithoutMetricsOnlyMessagesLeave(t *testing.T) {
	c := &testCollector{}
	startCollector(t, c)
	box := &memoryOutbox{}
	p, err := New(context.Background(), Config{Mode: ModeTracking, StoreID: testStore, Endpoint: "http://" + c.address, NoMetrics: true}, box)
	if err != nil {
		t.Fatal(err)
	}
	box.add(play(t, p, testJob(p, 7), testStages(500), commentator.OutcomeSuccess)...)
	p.Notify()
	if err := p.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(c.accepted()) == 0 || len(c.metrics) != 0 {
		t.Errorf("%d spans, metrics %v", len(c.accepted()), c.metrics)
	}
}
