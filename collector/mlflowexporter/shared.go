package mlflowexporter

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// cores holds the core of every configuration. The Collector creates one exporter per
// signal, with the same *Config for those of one component id: they share the client, the
// ledger, whose storage can be opened once only, and what is known of the server.
var cores = struct {
	sync.Mutex
	byConfig map[*Config]*mlflowExporter
}{byConfig: map[*Config]*mlflowExporter{}}

// sharedExporter gives the core of a configuration, a new one if there is none.
func sharedExporter(cfg *Config, set exporter.Settings) (*mlflowExporter, error) {
	cores.Lock()
	defer cores.Unlock()
	if e := cores.byConfig[cfg]; e != nil {
		return e, nil
	}
	set.TelemetrySettings = withoutSignal(set.TelemetrySettings)
	e, err := newExporter(cfg, set)
	if err != nil {
		return nil, err
	}
	cores.byConfig[cfg] = e
	return e, nil
}

// signalKey is the attribute with the signal of a pipeline that the Collector gives to all telemetry of
// an exporter.
const signalKey = "otelcol.signal"

// withoutSignal takes it off what the exporters of all signals share, as the otlp receiver does: else the
// signal of the one that was created first would stand beside everything. The Collector's function for
// that is internal to it, its methods are not.
func withoutSignal(set component.TelemetrySettings) component.TelemetrySettings {
	set.Logger = set.Logger.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		if own, ok := c.(interface {
			DropInjectedAttributes(names ...string) zapcore.Core
		}); ok {
			return own.DropInjectedAttributes(signalKey)
		}
		return c
	}))
	if own, ok := set.TracerProvider.(interface {
		DropInjectedAttributes(names ...string) trace.TracerProvider
	}); ok {
		set.TracerProvider = own.DropInjectedAttributes(signalKey)
	}
	if own, ok := set.MeterProvider.(interface {
		DropInjectedAttributes(names ...string) metric.MeterProvider
	}); ok {
		set.MeterProvider = own.DropInjectedAttributes(signalKey)
	}
	return set
}

// startOnce starts the core for the first of its exporters.
func (e *mlflowExporter) startOnce(ctx context.Context, host component.Host) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.users == 0 {
		if err := e.start(ctx, host); err != nil {
			return err
		}
	}
	e.users++
	e.status.join(host)
	return nil
}

// shutdownLast shuts the core down with the last of its exporters, or with the first of
// them when none was started. A configuration that is used again gets a new core.
func (e *mlflowExporter) shutdownLast(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status.end()
	if e.users > 1 {
		e.users--
		return nil
	}
	e.users = 0
	cores.Lock()
	if cores.byConfig[e.cfg] == e {
		delete(cores.byConfig, e.cfg)
	}
	cores.Unlock()
	return e.shutdown(ctx)
}
