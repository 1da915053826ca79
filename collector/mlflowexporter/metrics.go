package mlflowexporter

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/service"
)

const (
	defaultServiceSuffix = "_service"
	// defaultServiceQueueBytes holds the metrics of a worker for about a week.
	defaultServiceQueueBytes = 64 << 20
)

// ServiceConfig says what becomes of metrics: one run per process and UTC day.
type ServiceConfig struct {
	// Enabled is true by default. Without it metrics are accepted and go nowhere.
	Enabled bool `mapstructure:"enabled"`
	// ExperimentSuffix is appended to the name of the experiment of the jobs, which is
	// experiment.name of the resource, or else `experiment` above.
	ExperimentSuffix string `mapstructure:"experiment_suffix"`
	// Metrics chooses metrics; the first rule that matches decides, and what none matches
	// is left out. A list replaces the default's.
	Metrics []service.Rule `mapstructure:"metrics"`
	// Interval is the time within which a metric gets at most one point, at least 1m.
	Interval time.Duration `mapstructure:"interval"`
	// Queue holds metrics until MLflow has them, apart from the queue of traces; queue_size
	// is in bytes, as sizer: bytes says. Its storage is `storage` above.
	Queue configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	// prevent unkeyed literal initialization
	_ struct{}
}

//go:embed service.yaml
var serviceYAML []byte

// defaultService reads the embedded list of metrics.
func defaultService() ServiceConfig {
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.Sizer = exporterhelper.RequestSizerTypeBytes
	queue.QueueSize = defaultServiceQueueBytes
	queue.NumConsumers = 1 // in the order in which they came
	c := ServiceConfig{
		Enabled:          true,
		ExperimentSuffix: defaultServiceSuffix,
		Interval:         time.Minute,
		Queue:            configoptional.Some(queue),
	}
	if err := unmarshalYAML(serviceYAML, &c); err != nil {
		panic(fmt.Sprintf("read embedded service.yaml: %v", err)) // a broken build; tests read it
	}
	return c
}

// Validate implements xconfmap.Validator.
func (c *ServiceConfig) Validate() error {
	var errs []error
	if !c.Enabled {
		return nil
	}
	if strings.TrimSpace(c.ExperimentSuffix) == "" || utf8.RuneCountInString(c.ExperimentSuffix) > 50 {
		errs = append(errs, fmt.Errorf("`experiment_suffix` must have 1 to 50 characters, found %q: it keeps service runs apart from jobs; _service is the default", c.ExperimentSuffix))
	}
	if c.Interval < time.Minute || c.Interval > 24*time.Hour {
		errs = append(errs, fmt.Errorf("`interval` must be 1m to 24h, found %s: MLflow is no time series database; 1m is the default", c.Interval))
	}
	if len(c.Metrics) == 0 {
		errs = append(errs, errors.New("`metrics` must name metrics: list some, or set `enabled: false`"))
	}
	errs = append(errs, service.Validate(c.Metrics))
	if c.Queue.HasValue() && c.Queue.Get().StorageID != nil {
		errs = append(errs, errors.New("`sending_queue::storage` must not be set: set `storage` of the exporter, which is used for all queues"))
	}
	return errors.Join(errs...)
}

func createMetrics(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Metrics, error) {
	config := cfg.(*Config)
	e, err := sharedExporter(config, set)
	if err != nil {
		return nil, err
	}
	interrupt := e.interruptionOf(config.Service.Queue)
	consume := func(ctx context.Context, md pmetric.Metrics) error {
		ctx, done := interrupt.join(ctx)
		defer done()
		return e.consumeMetrics(ctx, md)
	}
	metrics, err := exporterhelper.NewMetrics(ctx, stopsQuietly(set, outlives(config, config.Service.Queue)), cfg, consume,
		exporterhelper.WithStart(e.startOnce),
		exporterhelper.WithShutdown(e.shutdownLast),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithRetry(config.Retry),
		exporterhelper.WithQueue(onStorage(config.Service.Queue, config.Storage)),
	)
	if err != nil {
		return nil, err
	}
	return &recoveringMetrics{metrics, recovery{storage: config.Storage, signal: pipeline.SignalMetrics, log: set.Logger, status: &e.status, interrupt: interrupt}}, nil
}

func (e *mlflowExporter) newAggregator() *service.Aggregator {
	return service.New(service.Config{
		DefaultExperiment:   e.cfg.Experiment,
		ExperimentAttribute: e.cfg.ExperimentAttribute,
		Suffix:              e.cfg.Service.ExperimentSuffix,
		Rules:               e.cfg.Service.Metrics,
		Interval:            e.cfg.Service.Interval,
		Birth:               e.now(),
	})
}

// consumeMetrics brings chosen metrics into the runs of their processes. An error means
// that all of them come again: what was written is then written once more, as the same
// points, and nothing is counted before the end.
func (e *mlflowExporter) consumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	if !e.cfg.Service.Enabled {
		return nil
	}
	e.aggregating.Lock()
	defer e.aggregating.Unlock()
	change := e.aggregator.Add(md, e.now())
	if err := e.applier.ApplyService(ctx, change.Runs); err != nil {
		return throttled(err)
	}
	change.Commit()
	for reason, n := range change.Dropped {
		e.telemetry.dropped(reason, n)
	}
	e.omitted.log(e.log, change.Drops, e.now())
	return nil
}
