package telemetry

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	runtimemetrics "runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/grpc"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// metrics holds the worker's instruments. No attribute of any of them names a job, and
// there are no exemplars, which would. Metrics are best effort.
type metrics struct {
	provider *sdkmetric.MeterProvider
	meter    metric.Meter
	rec      *recorder
	scraped  *scraped // nil: no Prometheus asks

	jobDuration   metric.Float64Histogram
	stageDuration metric.Float64Histogram
	active        metric.Int64UpDownCounter
	tokens        metric.Int64Histogram
	modelDuration metric.Float64Histogram
	dropped       metric.Int64Counter
	cut           metric.Int64Counter
	detailLost    metric.Int64Counter
	corrections   metric.Int64Counter
	events        metric.Int64Counter
	links         metric.Int64Counter
	feedback      metric.Int64Counter

	mu     sync.Mutex
	labels map[labelKey]metric.MeasurementOption // made before
}

// newMetrics makes the instruments and starts their export: over conn, unless it is nil, and
// to a Prometheus that asks.
func newMetrics(ctx context.Context, cfg Config, rec *recorder, res *resource.Resource, conn *grpc.ClientConn, box Outbox) (*metrics, error) {
	options := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter)}
	if cfg.metricReader != nil {
		options = append(options, sdkmetric.WithReader(cfg.metricReader))
	} else if conn != nil && !cfg.NoMetrics {
		exporter, err := otlpmetricgrpc.New(ctx,
			otlpmetricgrpc.WithGRPCConn(conn),
			otlpmetricgrpc.WithHeaders(cfg.Headers),
			otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{Enabled: false}))
		if err != nil {
			return nil, err
		}
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(
			&quietExporter{Exporter: exporter, logger: cfg.Logger}, sdkmetric.WithInterval(cfg.MetricInterval))))
	}
	var forPrometheus *scraped
	if cfg.Prometheus {
		var err error
		if forPrometheus, err = newScraped(); err != nil {
			return nil, err
		}
		options = append(options, sdkmetric.WithReader(forPrometheus.reader))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	m := &metrics{
		provider: provider, rec: rec, scraped: forPrometheus,
		meter: provider.Meter(wire.ScopeName,
			metric.WithInstrumentationVersion(cfg.Version), metric.WithSchemaURL(wire.SchemaURL)),
	}
	return m, errors.Join(m.instruments(), m.observeOutbox(box, cfg.Now), m.observeRedactions(), m.observeCuts(), m.observeRuntime(runtimemetrics.Read))
}

// Bucket boundaries. Seconds of jobs reach from a cached page to a slow model; those of
// model calls and tokens are the ones that the GenAI conventions ask for.
var (
	secondsOfWork  = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300}
	secondsOfModel = []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	tokenBuckets   = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
)

func (m *metrics) instruments() error {
	var errs [12]error
	m.jobDuration, errs[0] = m.meter.Float64Histogram(wire.MetricJobDuration, metric.WithUnit("s"),
		metric.WithDescription("Time from the first attempt to the final state of a job."),
		metric.WithExplicitBucketBoundaries(secondsOfWork...))
	m.stageDuration, errs[1] = m.meter.Float64Histogram(wire.MetricStageDuration, metric.WithUnit("s"),
		metric.WithDescription("Time of one attempt at a stage."),
		metric.WithExplicitBucketBoundaries(secondsOfWork...))
	m.active, errs[2] = m.meter.Int64UpDownCounter(wire.MetricJobActive, metric.WithUnit("{job}"),
		metric.WithDescription("Jobs that are being worked on."))
	m.tokens, errs[3] = m.meter.Int64Histogram(wire.MetricTokenUsage, metric.WithUnit("{token}"),
		metric.WithDescription("Tokens of one model call by kind."),
		metric.WithExplicitBucketBoundaries(tokenBuckets...))
	m.modelDuration, errs[4] = m.meter.Float64Histogram(wire.MetricModelDuration, metric.WithUnit("s"),
		metric.WithDescription("Time of one model call."),
		metric.WithExplicitBucketBoundaries(secondsOfModel...))
	m.dropped, errs[5] = m.meter.Int64Counter(wire.MetricOutboxDropped, metric.WithUnit("{message}"),
		metric.WithDescription("Messages that were not kept or were refused for good, by reason; as in_part the spans that were rejected of messages that were taken."))
	m.cut, errs[6] = m.meter.Int64Counter(wire.MetricDetailSpansCut, metric.WithUnit("{span}"),
		metric.WithDescription("Detail spans that were still open when their stage ended."))
	m.detailLost, errs[7] = m.meter.Int64Counter(wire.MetricDetailSpansDropped, metric.WithUnit("{span}"),
		metric.WithDescription("Detail spans that did not fit into their stage's message, by reason."))
	m.corrections, errs[8] = m.meter.Int64Counter(wire.MetricClockCorrections, metric.WithUnit("{span}"),
		metric.WithDescription("Spans whose end was before their start, because the clock was set back."))
	m.events, errs[9] = m.meter.Int64Counter(wire.MetricSlackEvents, metric.WithUnit("{event}"),
		metric.WithDescription("Events and messages that came from Slack, by outcome, source and whether Slack repeated them."))
	m.links, errs[10] = m.meter.Int64Counter(wire.MetricSlackLinks, metric.WithUnit("{link}"),
		metric.WithDescription("Links of messages of people, by outcome."))
	m.feedback, errs[11] = m.meter.Int64Counter(wire.MetricFeedback, metric.WithUnit("{reaction}"),
		metric.WithDescription("Reactions that were put on messages or taken away, by what became of them."))
	return errors.Join(errs[:]...)
}

func (m *metrics) jobActive(ctx context.Context, delta int64) { m.active.Add(ctx, delta) }

func (m *metrics) jobEnded(ctx context.Context, j commentator.Job) {
	labels := m.labelled(labelKey{"job", string(j.Outcome), j.ErrorType}, func() []attribute.KeyValue {
		return withError(j.ErrorType, attribute.String(wire.AttrJobOutcome, string(j.Outcome)))
	})
	m.jobDuration.Record(ctx, max(0, j.FinishedAt.Sub(j.StartedAt).Seconds()), labels)
}

func (m *metrics) stageEnded(ctx context.Context, r commentator.StageRecord) {
	labels := m.labelled(labelKey{"stage", string(r.Stage), r.ErrorType}, func() []attribute.KeyValue {
		return withError(r.ErrorType, attribute.String(wire.AttrJobStage, string(r.Stage)))
	})
	m.stageDuration.Record(ctx, max(0, r.EndedAt.Sub(r.StartedAt).Seconds()), labels)
}

func (m *metrics) modelCalled(ctx context.Context, c ModelCall) {
	operation := cmp.Or(c.Operation, "chat")
	labels := func(kind, errorType string, more ...attribute.KeyValue) metric.MeasurementOption {
		return m.labelled(labelKey{kind, operation, c.Provider, c.RequestModel, c.ResponseModel, errorType}, func() []attribute.KeyValue {
			attrs := withError(errorType,
				attribute.String(wire.AttrGenAIOperation, operation),
				attribute.String(wire.AttrGenAIProvider, c.Provider),
				attribute.String(wire.AttrGenAIRequestModel, c.RequestModel))
			if c.ResponseModel != "" {
				attrs = append(attrs, attribute.String(wire.AttrGenAIResponseModel, c.ResponseModel))
			}
			return append(attrs, more...)
		})
	}
	if c.Usage.Calls > 0 {
		m.tokens.Record(ctx, c.Usage.Input, labels("input", "", attribute.String(wire.AttrTokenType, "input")))
		m.tokens.Record(ctx, c.Usage.Output, labels("output", "", attribute.String(wire.AttrTokenType, "output")))
	}
	m.modelDuration.Record(ctx, c.Duration.Seconds(), labels("duration", c.ErrorType))
}

func withError(errorType string, attrs ...attribute.KeyValue) []attribute.KeyValue {
	if errorType != "" {
		attrs = append(attrs, attribute.String(wire.AttrErrorType, errorType))
	}
	return attrs
}

// labelKey is what labels are made of.
type labelKey [6]string

// maxLabels bounds the labels that are kept; there are few, unless error types are many.
const maxLabels = 512

// labelled returns labels that were made before, else makes them. Making them, and the set
// that the SDK makes of them, takes longer than the measurement.
func (m *metrics) labelled(key labelKey, attrs func() []attribute.KeyValue) metric.MeasurementOption {
	m.mu.Lock()
	defer m.mu.Unlock()
	labels, ok := m.labels[key]
	if !ok {
		if m.labels == nil || len(m.labels) >= maxLabels {
			m.labels = map[labelKey]metric.MeasurementOption{}
		}
		labels = m.rec.labels(attrs()...)
		m.labels[key] = labels
	}
	return labels
}

func (m *metrics) outboxDropped(ctx context.Context, n int64, reason string) {
	m.dropped.Add(ctx, n, m.rec.labels(attribute.String(wire.AttrReason, reason)))
}

func (m *metrics) feedbackSeen(outcome string) {
	m.feedback.Add(context.Background(), 1, m.labelled(labelKey{"feedback", outcome}, func() []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String(wire.AttrFeedbackOutcome, outcome)}
	}))
}

func (m *metrics) detailCut(ctx context.Context, n int64) { m.cut.Add(ctx, n) }

func (m *metrics) detailDropped(ctx context.Context, n int64, reason string) {
	m.detailLost.Add(ctx, n, m.rec.labels(attribute.String(wire.AttrReason, reason)))
}

func (m *metrics) clockCorrected(ctx context.Context) { m.corrections.Add(ctx, 1) }

func (m *metrics) shutdown(ctx context.Context) error {
	if err := m.provider.Shutdown(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil // what a deadline left unsent is best effort
}

// OutboxDropped counts messages that the store could not keep, by reason: "build", "write",
// "too_large", "evicted", "expired"; and, as "in_part", spans that the Collector rejected of
// messages that it took.
func (p *Provider) OutboxDropped(n int64, reason string) {
	if p != nil {
		p.metrics.outboxDropped(context.Background(), n, reason)
	}
}

// quietExporter says once, not each minute, that nobody takes the metrics. The relay says
// it louder.
type quietExporter struct {
	sdkmetric.Exporter
	logger *slog.Logger
	down   atomic.Bool
}

func (q *quietExporter) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	err := q.Exporter.Export(ctx, data)
	if failed := err != nil; q.down.Swap(failed) != failed && failed {
		q.logger.Info("metrics are not taken by the Collector", "error", err)
	}
	return nil
}

// age returns the time since t, 0 for the zero time and for times ahead.
func age(now, t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(0, now.Sub(t))
}
