package mlflowexporter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/selection"
	"github.com/technoshare/commentator/internal/mlflow"
)

// Preview is what the exporter would do with some messages, and why.
type Preview struct {
	endpoint   string
	experiment string
	spans      []reduce.Span
	plan       reduce.Plan // of all messages together
	messages   []previewMessage
	warnings   []string
	roots      map[string]bool              // whether the root of a trace is there, by trace id
	whyTags    map[string]map[string]string // rules behind the tags of a member's trace, by trace id
}

// previewMessage is one message and the requests that it leads to when it comes after those
// before it.
type previewMessage struct {
	spans    int
	requests []plannedRequest
}

// NewPreview works out what a configuration makes of messages, for a server that has the
// experiments, takes traces and knows none of these jobs. It uses no network and touches no
// storage.
func NewPreview(ctx context.Context, cfg *Config, messages []ptrace.Traces) (*Preview, error) {
	selector, err := selection.New(cfg.Mapping.conditions(), component.TelemetrySettings{Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	mapping, err := cfg.reduceMapping()
	if err != nil {
		return nil, err
	}
	if mapping.Prices, err = readPrices(cfg.PricesFile); err != nil {
		return nil, err
	}
	server := &plannedServer{}
	applier, client, err := previewApplier(ctx, cfg, server)
	if err != nil {
		return nil, err
	}
	defer client.Close()

	p := &Preview{endpoint: client.Endpoint(), experiment: cfg.Experiment}
	for _, td := range messages {
		spans, err := selector.Classify(ctx, td)
		if err != nil {
			p.warnings = append(p.warnings, err.Error())
		}
		p.spans = append(p.spans, spans...)
		plan := reduce.Reduce(spans, mapping)
		if err := applier.Apply(ctx, plan); err != nil {
			return nil, fmt.Errorf("plan requests: %w", err)
		}
		p.messages = append(p.messages, previewMessage{len(spans), server.take(plan)})
	}
	explained := mapping
	explained.Job.Explain, explained.Stage.Explain = "job", "stage"
	explained.OtherJob.Explain, explained.OtherStage.Explain = "other_job", "other_stage"
	explained.Member.Explain = "member"
	p.plan = reduce.Reduce(p.spans, explained)
	p.readRoots(explained)
	return p, nil
}

// readRoots notes the roots of traces, and why the traces of members have their tags.
func (p *Preview) readRoots(explained reduce.Mapping) {
	p.roots, p.whyTags = map[string]bool{}, map[string]map[string]string{}
	for _, s := range p.spans {
		id := s.Span.TraceID().String()
		p.roots[id] = p.roots[id] || s.Span.ParentSpanID().IsEmpty()
		if s.Kind == reduce.Member && p.whyTags[id] == nil {
			p.whyTags[id] = explained.WhyTraceTags(s)
		}
	}
}

func previewApplier(ctx context.Context, cfg *Config, server *plannedServer) (*apply.Applier, *mlflow.Client, error) {
	client, err := mlflow.New(mlflow.Config{
		Endpoint: cfg.Endpoint,
		Wrap:     func(http.RoundTripper) (http.RoundTripper, error) { return server, nil },
	})
	if err != nil {
		return nil, nil, fmt.Errorf("create MLflow client: %w", err)
	}
	// Born at the beginning of time: it knows that nothing was done before.
	runs, err := ledger.Open(ctx, storage.NewNopClient(), ledger.Scope{Endpoint: client.Endpoint()}, time.UnixMilli(0))
	if err != nil {
		client.Close()
		return nil, nil, errors.Join(fmt.Errorf("open ledger: %w", err))
	}
	return apply.New(apply.Config{
		Client: client, Ledger: runs, DefaultExperiment: cfg.Experiment, UIURL: cfg.UIURL, Shared: cfg.Ownership == ownershipShared,
	}), client, nil
}
