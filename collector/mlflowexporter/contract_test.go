package mlflowexporter

import (
	"bytes"
	"compress/gzip"
	"context"
	"hash/fnv"
	"io"
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

const contractElements = 10

// What MLflow cannot take now is sent until it does; what it refuses is sent once; the
// rest arrives once: through the queue on storage, and in the caller's goroutine.
func TestConsumeContract(t *testing.T) {
	for name, queued := range map[string]bool{"queue": true, "no queue": false} {
		t.Run(name, func(t *testing.T) { checkContract(t, queued) })
	}
}

func checkContract(t *testing.T, queued bool) {
	server := mlflowtest.Start()
	defer server.Close()
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint, cfg.Storage = server.URL, &storageID
	cfg.Queue.Get().NumConsumers = 1 // the contract counts requests, which batches in hand share
	if !queued {
		cfg.AllowDataLoss = true
		cfg.Queue = configoptional.None[exporterhelper.QueueBatchConfig]()
	}
	cfg.Retry.InitialInterval = time.Millisecond
	cfg.Retry.MaxInterval = time.Millisecond
	cfg.Mapping.Trace.Condition = "true"
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}

	exportertest.CheckConsumeContract(exportertest.CheckConsumeContractParams{
		T:                    t,
		NumberOfTestElements: contractElements,
		Signal:               pipeline.SignalTraces,
		ExporterFactory: exporter.NewFactory(metadata.Type, createDefaultConfig, exporter.WithTraces(
			func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
				next, err := createTraces(ctx, set, cfg)
				return &contractExporter{Traces: next, kept: &memory{data: map[string][]byte{}, changed: make(chan struct{}, 1)}}, err
			}, component.StabilityLevelDevelopment)),
		ExporterConfig: cfg,
		ReceiverFactory: receiver.NewFactory(metadata.Type, func() component.Config { return nil }, receiver.WithTraces(
			func(_ context.Context, _ receiver.Settings, _ component.Config, next consumer.Traces) (receiver.Traces, error) {
				server.Fail(func(r *http.Request) *mlflowtest.Fault { return traceFault(t, r, next) })
				return nopReceiver{}, nil
			}, component.StabilityLevelDevelopment)),
	})
}

// traceFault asks the contract's consumer what to answer to an OTLP request.
func traceFault(t *testing.T, r *http.Request, next consumer.Traces) *mlflowtest.Fault {
	if r.URL.Path != "/v1/traces" {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return nil
		}
		if body, err = io.ReadAll(zr); err != nil {
			t.Error(err)
		}
	}
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
	if err != nil {
		t.Error(err)
		return nil
	}
	err = next.ConsumeTraces(r.Context(), td)
	switch {
	case err == nil:
		return nil
	case consumererror.IsPermanent(err):
		return &mlflowtest.Fault{Status: http.StatusUnprocessableEntity, Body: `{"detail":"no"}`}
	default:
		return mlflowtest.Locked()
	}
}

// contractExporter fits the exporter to the contract: it gives it storage, it gives spans
// ids, without which MLflow refuses them, and it waits with the last one until the queue is
// empty, since the contract counts right after it.
type contractExporter struct {
	exporter.Traces
	kept *memory
	sent int
}

func (c *contractExporter) Start(ctx context.Context, _ component.Host) error {
	return c.Traces.Start(ctx, host{storageID: c.kept})
}

func (c *contractExporter) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	s := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	id, _ := s.Attributes().Get("test_id")
	h := fnv.New128a()
	_, _ = h.Write([]byte(id.AsString()))
	s.SetTraceID(pcommon.TraceID(h.Sum(nil)))
	s.SetSpanID(pcommon.SpanID{1})
	err := c.Traces.ConsumeTraces(ctx, td)
	if c.sent++; c.sent == contractElements {
		for c.kept.queued() > 0 {
			<-c.kept.changed
		}
	}
	return err
}

type nopReceiver struct {
	component.StartFunc
	component.ShutdownFunc
}
