package mlflowexporter

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/wire"
)

const (
	defaultExperiment = "technoshare_commentator"
	// defaultExperimentAttribute is what the worker sets.
	defaultExperimentAttribute = wire.ResExperiment
	defaultMaxExperiments      = 100
	defaultTimeout             = time.Minute
	defaultStaleAfter          = 24 * time.Hour
	// defaultQueueBytes holds about 30,000 jobs with their evidence.
	defaultQueueBytes = 4 << 30
	// defaultMaxRequests is what MLflow on SQLite can make use of.
	defaultMaxRequests = 2
	// defaultConsumers is how many messages are in hand. Those that wait for MLflow share
	// requests of spans; how many requests are on their way is bounded apart from that.
	defaultConsumers = 8
)

//go:embed mapping.yaml
var mappingYAML []byte

// NewFactory returns the factory of the mlflow exporter.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(
		metadata.Type,
		createDefaultConfig,
		exporter.WithTraces(createTraces, metadata.TracesStability),
		exporter.WithMetrics(createMetrics, metadata.MetricsStability),
	)
}

func createDefaultConfig() component.Config {
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.Sizer = exporterhelper.RequestSizerTypeBytes
	queue.QueueSize = defaultQueueBytes
	queue.NumConsumers = defaultConsumers

	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval = time.Second
	retry.MaxInterval = 4 * time.Second // at most that, and half of it more, until a server that is back is noticed
	retry.MaxElapsedTime = 0

	return &Config{
		MaxRequests:         defaultMaxRequests,
		Timeout:             defaultTimeout,
		TLS:                 configtls.NewDefaultClientConfig(),
		Experiment:          defaultExperiment,
		ExperimentAttribute: defaultExperimentAttribute,
		MaxExperiments:      defaultMaxExperiments,
		Layout:              reduce.LayoutNested,
		Ownership:           ownershipSingle,
		StaleAfter:          defaultStaleAfter,
		Queue:               configoptional.Some(queue),
		Retry:               retry,
		Mapping:             defaultMapping(),
		Service:             defaultService(),
	}
}

// defaultMapping reads the embedded mapping.
func defaultMapping() MappingConfig {
	var m MappingConfig
	if err := unmarshalYAML(mappingYAML, &m); err != nil {
		panic(fmt.Sprintf("read embedded mapping.yaml: %v", err)) // a broken build; tests read it
	}
	return m
}

func unmarshalYAML(text []byte, into any) error {
	retrieved, err := confmap.NewRetrievedFromYAML(text)
	if err != nil {
		return err
	}
	conf, err := retrieved.AsConf()
	if err != nil {
		return err
	}
	return conf.Unmarshal(into)
}

func createTraces(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
	config := cfg.(*Config)
	e, err := sharedExporter(config, set)
	if err != nil {
		return nil, err
	}
	files := patientFiles{write: e.gather.consume}
	interrupt := e.interruptionOf(config.Queue)
	consume := func(ctx context.Context, td ptrace.Traces) error {
		ctx, done := interrupt.join(ctx)
		defer done()
		return files.consume(ctx, td)
	}
	traces, err := exporterhelper.NewTraces(ctx, stopsQuietly(set, outlives(config, config.Queue)), cfg, consume,
		exporterhelper.WithStart(e.startOnce),
		exporterhelper.WithShutdown(e.shutdownLast),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		// Each HTTP request has its own limit; one for the whole batch would make a large
		// batch start over and over.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithRetry(config.Retry),
		exporterhelper.WithQueue(onStorage(config.Queue, config.Storage)),
	)
	if err != nil {
		return nil, err
	}
	recovering := &recoveringTraces{traces, recovery{storage: config.Storage, signal: pipeline.SignalTraces, log: set.Logger, status: &e.status, interrupt: interrupt}}
	if putsBack(config) {
		files.requeue = recovering.ConsumeTraces
	}
	return recovering, nil
}

// onStorage is a configured queue, kept by the storage of the exporter. The configuration
// itself stays as it is: other components may hold it too.
func onStorage(configured configoptional.Optional[exporterhelper.QueueBatchConfig], storage *component.ID) configoptional.Optional[exporterhelper.QueueBatchConfig] {
	if !configured.HasValue() {
		return configured
	}
	queue := *configured.Get()
	queue.StorageID = storage
	return configoptional.Some(queue)
}
