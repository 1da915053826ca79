package mlflowexporter

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// stopPatience is how long a stop waits for deliveries that are under way. An MLflow that is well ends most
// of them within that; without it `timeout` would bound the stop.
const stopPatience = 3 * time.Second

// interruption ends what is under way when a stop has waited for it long enough. exporterhelper itself waits
// without a bound before it tells the exporter of the stop. What was interrupted stays in the queue, and
// whether MLflow did what it was asked last is not known, as after a crash.
//
// The exporters of all signals share it, since they wait for each other: for what is known of the server, and
// for a run. The Collector stops them one after the other; the first begins it.
type interruption struct {
	patience time.Duration
	begun    sync.Once
	ctx      context.Context // ends with the interruption
	now      context.CancelFunc
}

func newInterruption() *interruption {
	ctx, cancel := context.WithCancel(context.Background())
	return &interruption{patience: stopPatience, ctx: ctx, now: cancel}
}

// begin is called when a stop begins to wait. Nil waits without a bound.
func (i *interruption) begin() {
	if i != nil {
		i.begun.Do(func() { time.AfterFunc(i.patience, i.now) })
	}
}

// join gives the context of a delivery, which ends with the interruption, too; done is to be called after it.
func (i *interruption) join(ctx context.Context) (joined context.Context, done func()) {
	if i == nil {
		return ctx, func() {}
	}
	joined, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(i.ctx, cancel)
	return joined, func() { unhook(); cancel() }
}

// interruptionOf gives the interruption to the exporter with this queue. It is nil where a batch that is
// interrupted would be lost: then a stop waits.
func (e *mlflowExporter) interruptionOf(queue configoptional.Optional[exporterhelper.QueueBatchConfig]) *interruption {
	if !outlives(e.cfg, queue) || !retriesWithoutEnd(e.cfg) {
		return nil
	}
	return e.interrupt
}

// outlives reports whether a queue outlives the process.
func outlives(config *Config, queue configoptional.Optional[exporterhelper.QueueBatchConfig]) bool {
	return queue.HasValue() && config.Storage != nil
}
