package mlflowexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pipeline"
	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/diskqueue"
)

// recoveringTraces is exporterhelper's exporter whose queue comes back whole after any
// number of crashes.
type recoveringTraces struct {
	exporter.Traces
	storage *component.ID // nil: the queue is in memory
	log     *zap.Logger
}

// Start implements component.Component.
func (e recoveringTraces) Start(ctx context.Context, host component.Host) error {
	if e.storage != nil {
		host = diskqueue.NewHost(host, *e.storage, e.log, pipeline.SignalTraces.String())
	}
	return e.Traces.Start(ctx, host)
}
