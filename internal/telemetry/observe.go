package telemetry

import (
	"context"
	"errors"
	"fmt"
	runtimemetrics "runtime/metrics"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/technoshare/commentator/internal/wire"
)

// QueueState is what the queue looks like at one moment.
type QueueState struct {
	Depth     int64         // jobs that are neither final nor being worked on
	OldestAge time.Duration // of the oldest of them; 0 when there is none
}

// ObserveQueue registers the source of the queue's metrics. It is read once per export.
func (p *Provider) ObserveQueue(read func(context.Context) (QueueState, error)) error {
	if p == nil {
		return nil
	}
	m := p.metrics.meter
	depth, err1 := m.Int64ObservableGauge(wire.MetricQueueDepth, metric.WithUnit("{job}"),
		metric.WithDescription("Jobs that are not final and not being worked on."))
	oldest, err2 := m.Float64ObservableGauge(wire.MetricQueueOldestAge, metric.WithUnit("s"),
		metric.WithDescription("How long the first job that could run has waited; jobs that wait for a next try do not count."))
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("observe queue: %w", err)
	}
	_, err := m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		state, err := read(ctx)
		if err != nil {
			return fmt.Errorf("observe queue: %w", err)
		}
		o.ObserveInt64(depth, state.Depth)
		o.ObserveFloat64(oldest, state.OldestAge.Seconds())
		return nil
	}, depth, oldest)
	if err != nil {
		return fmt.Errorf("observe queue: %w", err)
	}
	return nil
}

// observeOutbox registers the outbox's metrics.
func (m *metrics) observeOutbox(box Outbox, now func() time.Time) error {
	if box == nil {
		return nil
	}
	depth, err1 := m.meter.Int64ObservableGauge(wire.MetricOutboxDepth, metric.WithUnit("{message}"),
		metric.WithDescription("OTLP messages that wait for the Collector."))
	size, err2 := m.meter.Int64ObservableGauge(wire.MetricOutboxSize, metric.WithUnit("By"),
		metric.WithDescription("Compressed bytes of these messages."))
	oldest, err3 := m.meter.Float64ObservableGauge(wire.MetricOutboxAge, metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest of these messages."))
	_, err4 := m.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		rows, bytes, created, err := box.Depth(ctx)
		if err != nil {
			return fmt.Errorf("observe outbox: %w", err)
		}
		o.ObserveInt64(depth, int64(rows))
		o.ObserveInt64(size, bytes)
		o.ObserveFloat64(oldest, age(now(), created).Seconds())
		return nil
	}, depth, size, oldest)
	return errors.Join(err1, err2, err3, err4)
}

// observeRedactions registers how often each rule masked something.
func (m *metrics) observeRedactions() error {
	_, err := m.meter.Int64ObservableCounter(wire.MetricRedactions, metric.WithUnit("{mask}"),
		metric.WithDescription("Parts of texts that were masked before they were recorded, by rule."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			m.rec.redactor.Counts(func(rule string, n int64) {
				o.Observe(n, m.rec.labels(attribute.String(wire.AttrRule, rule)))
			})
			return nil
		}))
	return err
}

// observeCuts registers how much was cut to a limit.
func (m *metrics) observeCuts() error {
	_, err := m.meter.Int64ObservableCounter(wire.MetricContentCut, metric.WithUnit("{text}"),
		metric.WithDescription("Texts and artifacts that were cut to a limit, by reason."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for reason, n := range map[string]int64{
				"attribute": m.rec.cuts.texts.Load(), "artifact": m.rec.cuts.artifacts.Load(), "message_full": m.rec.cuts.messages.Load(),
			} {
				if n > 0 {
					o.Observe(n, m.rec.labels(attribute.String(wire.AttrReason, reason)))
				}
			}
			return nil
		}))
	return err
}

// runtimeMetrics are gauges of the Go runtime, under the names of the semantic conventions: a sample, without
// what less is where there is one.
var runtimeMetrics = []struct{ name, unit, description, sample, less string }{
	{name: wire.MetricGoGoroutines, unit: "{goroutine}", description: "Goroutines that exist.", sample: "/sched/goroutines:goroutines"},
	{
		name: wire.MetricGoMemory, unit: "By", description: "Memory that the Go runtime uses, without what it gave back to the system.",
		sample: "/memory/classes/total:bytes", less: "/memory/classes/heap/released:bytes",
	},
	{name: wire.MetricGoHeapGoal, unit: "By", description: "Heap size at which the collector runs next.", sample: "/gc/heap/goal:bytes"},
}

// observeRuntime registers the Go runtime's metrics. Read is runtime/metrics.Read.
func (m *metrics) observeRuntime(read func([]runtimemetrics.Sample)) error {
	var errs []error
	for _, r := range runtimeMetrics {
		_, err := m.meter.Int64ObservableGauge(r.name, metric.WithUnit(r.unit), metric.WithDescription(r.description),
			metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
				samples := []runtimemetrics.Sample{{Name: r.sample}} // of this call: the export and Prometheus may ask at once
				if r.less != "" {
					samples = append(samples, runtimemetrics.Sample{Name: r.less}) // read together, so that the two fit
				}
				read(samples)
				value := int64(samples[0].Value.Uint64())
				if r.less != "" {
					value -= int64(samples[1].Value.Uint64())
				}
				o.Observe(value)
				return nil
			}))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
