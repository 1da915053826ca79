package mlflowexporter

import (
	"errors"
	"testing"

	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
)

// blindProvider makes meters that take no callbacks.
type blindProvider struct{ noop.MeterProvider }

type blindMeter struct{ noop.Meter }

var errBlind = errors.New("no callbacks")

func (blindProvider) Meter(string, ...metric.MeterOption) metric.Meter { return blindMeter{} }

func (blindMeter) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	return nil, errBlind
}

// The Collector shuts down what did not start, too, which closes nothing a second time.
func TestShutdownAfterAStartThatFailed(t *testing.T) {
	kept := &memory{data: map[string][]byte{}}
	set := exportertest.NewNopSettings(metadata.Type)
	set.MeterProvider = blindProvider{}
	e, err := newExporter(testConfig("http://127.0.0.1:1"), set)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.start(t.Context(), host{storageID: kept}); !errors.Is(err, errBlind) {
		t.Fatalf("started: %v", err)
	}
	if err := e.shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if kept.open != 0 {
		t.Errorf("storage clients that are open: %d", kept.open)
	}
}
