package mlflowexporter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/deadletter"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
)

// telemetry is what the exporter says of itself. Every point carries the exporter's id:
// several exporters of one Collector share the instruments.
type telemetry struct {
	*metadata.TelemetryBuilder
	id  string
	log *zap.Logger
}

func newTelemetry(set exporter.Settings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("create own metrics: %w", err)
	}
	return &telemetry{TelemetryBuilder: builder, id: set.ID.String(), log: set.Logger}, nil
}

// of makes the attributes of a point, given as pairs of key and value.
func (t *telemetry) of(pairs ...string) metric.MeasurementOption {
	kvs := []attribute.KeyValue{attribute.String("exporter", t.id)}
	for i := 0; i+1 < len(pairs); i += 2 {
		kvs = append(kvs, attribute.String(pairs[i], pairs[i+1]))
	}
	return metric.WithAttributeSet(attribute.NewSet(kvs...))
}

// dropped counts what could not be kept or was left out.
func (t *telemetry) dropped(reason string, n int64) {
	t.ExporterMlflowDroppedItems.Add(context.Background(), n, t.of("reason", reason))
}

// finished counts a run that was brought to its final state.
func (t *telemetry) finished(status string) {
	t.ExporterMlflowRuns.Add(context.Background(), 1, t.of("status", status))
}

// delivered notes how long after its end MLflow holds a job whole.
func (t *telemetry) delivered(lag time.Duration) {
	t.ExporterMlflowDeliveryLag.Record(context.Background(), lag.Seconds(), t.of())
}

// observe lets whoever reads the metrics see what is there at that moment.
func (t *telemetry) observe(applier *apply.Applier, runs *ledger.Ledger, deadLetters string) error {
	gauge := func(value func() int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error { o.Observe(value(), t.of()); return nil }
	}
	return errors.Join(
		t.RegisterExporterMlflowOpenRunsCallback(gauge(func() int64 { return int64(runs.Stats().Open) })),
		t.RegisterExporterMlflowLedgerRecordsCallback(gauge(func() int64 { return int64(runs.Stats().Records) })),
		t.RegisterExporterMlflowLedgerSizeCallback(gauge(func() int64 { return runs.Stats().Bytes })),
		t.RegisterExporterMlflowUpCallback(func(_ context.Context, o metric.Int64Observer) error {
			switch state := applier.State(); {
			case state.Away != "":
				o.Observe(0, t.of())
			case state.Known:
				o.Observe(1, t.of())
			}
			return nil
		}),
		t.RegisterExporterMlflowDeadLettersCallback(func(_ context.Context, o metric.Int64Observer) error {
			if deadLetters == "" {
				return nil
			}
			n, err := deadletter.Count(deadLetters)
			if err != nil {
				t.log.Warn("Dead letters were not counted", zap.Error(err)) // the caller looks at no error
				return err
			}
			o.Observe(int64(n), t.of())
			return nil
		}),
	)
}
