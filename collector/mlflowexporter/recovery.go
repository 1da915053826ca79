package mlflowexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/diskqueue"
)

// recovery is what exporterhelper's exporters need so that their queue comes back whole
// after any number of crashes, and loses nothing while its disk is full.
type recovery struct {
	storage   *component.ID // nil: the queue is in memory
	signal    pipeline.Signal
	log       *zap.Logger
	status    *status
	host      *diskqueue.Host // set by on, unless the queue is in memory
	interrupt *interruption   // of what a stop waits for; nil: it waits for all
}

// on gives the host on which the exporter is to be started.
func (r *recovery) on(host component.Host) component.Host {
	if r.storage == nil {
		return host
	}
	r.host = diskqueue.NewHost(host, *r.storage, r.log, func() { r.status.disk(r.host) }, r.signal.String())
	return r.host
}

// takes gives the reason why the queue takes nothing now.
func (r *recovery) takes() error {
	if r.host == nil {
		return nil
	}
	return r.host.Err()
}

// end comes before the exporter is shut down.
func (r *recovery) end() {
	if r.host != nil {
		r.host.End()
	}
	r.interrupt.begin()
}

type recoveringTraces struct {
	exporter.Traces
	recovery
}

// Start implements component.Component.
func (e *recoveringTraces) Start(ctx context.Context, host component.Host) error {
	return e.Traces.Start(ctx, e.on(host))
}

// ConsumeTraces implements consumer.Traces.
func (e *recoveringTraces) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if err := e.takes(); err != nil {
		return err
	}
	return e.Traces.ConsumeTraces(ctx, td)
}

// Shutdown implements component.Component.
func (e *recoveringTraces) Shutdown(ctx context.Context) error {
	e.end()
	return e.Traces.Shutdown(ctx)
}

// recoveringMetrics is for metrics what recoveringTraces is for traces.
type recoveringMetrics struct {
	exporter.Metrics
	recovery
}

// Start implements component.Component.
func (e *recoveringMetrics) Start(ctx context.Context, host component.Host) error {
	return e.Metrics.Start(ctx, e.on(host))
}

// ConsumeMetrics implements consumer.Metrics.
func (e *recoveringMetrics) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	if err := e.takes(); err != nil {
		return err
	}
	return e.Metrics.ConsumeMetrics(ctx, md)
}

// Shutdown implements component.Component.
func (e *recoveringMetrics) Shutdown(ctx context.Context) error {
	e.end()
	return e.Metrics.Shutdown(ctx)
}
