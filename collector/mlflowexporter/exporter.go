package mlflowexporter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/ledger"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/selection"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/service"
	"github.com/technoshare/commentator/internal/httpaddress"
	"github.com/technoshare/commentator/internal/mlflow"
)

// ledgerStorage is the name of the storage client that keeps the ledger. The queue has one
// of its own, named after the signal.
const ledgerStorage = "runs"

// mlflowExporter takes batches from the queue and makes MLflow hold them.
type mlflowExporter struct {
	cfg       *Config
	set       exporter.Settings
	log       *zap.Logger
	now       func() time.Time
	selector  *selection.Selector
	mapping   reduce.Mapping
	telemetry *telemetry
	status    status
	gather    gatherer
	unpriced  unpriced
	interrupt *interruption

	mu    sync.Mutex // for users
	users int        // exporters that were started, one per signal

	// Set by start.
	client  *mlflow.Client
	store   storage.Client
	applier *apply.Applier

	aggregating sync.Mutex // one request of metrics at a time
	aggregator  *service.Aggregator
	omitted     omitted
	maintaining sync.WaitGroup // the ledger, until interrupt
}

func newExporter(cfg *Config, set exporter.Settings) (*mlflowExporter, error) {
	selector, err := selection.New(cfg.Mapping.conditions(), set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	mapping, err := cfg.reduceMapping()
	if err != nil {
		return nil, err
	}
	telemetry, err := newTelemetry(set)
	if err != nil {
		return nil, err
	}
	e := &mlflowExporter{
		cfg: cfg, set: set, log: set.Logger, now: time.Now,
		selector: selector, mapping: mapping, telemetry: telemetry, status: status{log: set.Logger},
		interrupt: newInterruption(),
	}
	e.gather.write = e.consumeTraces
	return e, nil
}

// start opens the ledger and makes the client. It waits for no answer, so that the
// Collector starts while MLflow is down.
func (e *mlflowExporter) start(ctx context.Context, host component.Host) error {
	prices, err := readPrices(e.cfg.PricesFile)
	if err != nil {
		return err
	}
	e.mapping.Prices = prices
	if err := openDeadLetters(e.cfg.DeadLetterDirectory); err != nil {
		return err
	}
	client, err := e.newClient(ctx, host)
	if err != nil {
		return err
	}
	store, err := e.openStorage(ctx, host)
	if err != nil {
		client.Close()
		return err
	}
	runs, err := ledger.Open(ctx, store, ledger.Scope{Endpoint: client.Endpoint(), Workspace: e.cfg.Workspace}, e.now())
	if err != nil {
		client.Close()
		return errors.Join(fmt.Errorf("open ledger: %w", err), store.Close(ctx))
	}
	var applier *apply.Applier
	applier = apply.New(apply.Config{
		Client:            client,
		Ledger:            runs,
		DefaultExperiment: e.cfg.Experiment,
		MaxExperiments:    e.cfg.MaxExperiments,
		Parallel:          e.cfg.MaxRequests,
		UIURL:             strings.TrimRight(e.cfg.UIURL, "/"),
		DeadLetterDir:     e.cfg.DeadLetterDirectory,
		Shared:            e.cfg.Ownership == ownershipShared,
		Count:             e.telemetry.dropped,
		Finished:          e.telemetry.finished,
		Delivered:         e.telemetry.delivered,
		Changed:           func() { e.status.update(applier.State) },
		Logger:            e.log,
		Now:               e.now,
	})
	if err := e.telemetry.observe(applier, runs, e.cfg.DeadLetterDirectory); err != nil {
		client.Close()
		return errors.Join(fmt.Errorf("observe own metrics: %w", err), store.Close(ctx))
	}
	// The Collector shuts down what did not start, too: from here on there is something to close.
	e.client, e.store, e.applier, e.aggregator = client, store, applier, e.newAggregator()
	m := &maintenance{applier: applier, ledger: runs, staleAfter: e.cfg.StaleAfter, count: e.telemetry.dropped, log: e.log, pruned: e.now()}
	e.maintaining.Go(func() { m.run(e.interrupt.ctx) })
	return nil
}

func (e *mlflowExporter) newClient(ctx context.Context, host component.Host) (*mlflow.Client, error) {
	tlsConfig, err := e.cfg.TLS.LoadTLSConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load `tls`: %w: name PEM files that the Collector may read", err)
	}
	headers := map[string]string{}
	for name, value := range e.cfg.Headers.Iter {
		headers[name] = string(value)
	}
	if e.cfg.Workspace != "" {
		headers[headerWorkspace] = e.cfg.Workspace
	}
	client, err := mlflow.New(mlflow.Config{
		Endpoint:   e.cfg.Endpoint,
		Headers:    headers,
		HostHeader: e.cfg.HostHeader,
		Timeout:    e.cfg.Timeout,
		TLS:        tlsConfig,
		Proxy:      http.ProxyFromEnvironment,
		MaxConns:   e.cfg.MaxRequests,
		UserAgent:  e.set.BuildInfo.Command + "/" + e.set.BuildInfo.Version,
		Wrap: func(base http.RoundTripper) (http.RoundTripper, error) {
			measured := &measuredTransport{next: base, telemetry: e.telemetry, now: e.now}
			if !e.cfg.Auth.HasValue() {
				return measured, nil
			}
			auth, err := e.cfg.Auth.Get().GetHTTPClientAuthenticator(ctx, host.GetExtensions())
			if err != nil {
				return nil, fmt.Errorf("find the extension of `auth::authenticator`: %w: name one that authenticates, such as bearertokenauth, and that `service::extensions` lists", err)
			}
			authenticated, err := auth.RoundTripper(measured)
			if err != nil {
				return nil, fmt.Errorf("authenticate requests by the extension of `auth::authenticator`: %w", err)
			}
			home, err := httpaddress.Parse(e.cfg.Endpoint)
			if err != nil {
				return nil, err
			}
			return &homeTransport{home: home, authenticated: authenticated, plain: measured}, nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("create MLflow client: %w", err)
	}
	return client, nil
}

// openStorage opens the ledger's own storage client. Without `storage`, which Validate
// only allows when loss is accepted, the ledger lives as long as the process.
func (e *mlflowExporter) openStorage(ctx context.Context, host component.Host) (storage.Client, error) {
	if e.cfg.Storage == nil {
		return &ledger.Memory{}, nil
	}
	found, ok := host.GetExtensions()[*e.cfg.Storage]
	if !ok {
		return nil, fmt.Errorf("`storage`: extension %q is not running: add it to `service::extensions`", e.cfg.Storage)
	}
	ext, ok := found.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("`storage`: extension %q does not store: name one such as file_storage", e.cfg.Storage)
	}
	client, err := ext.GetClient(ctx, component.KindExporter, e.set.ID, ledgerStorage)
	if err != nil {
		return nil, fmt.Errorf("open storage %q: %w", e.cfg.Storage, err)
	}
	return client, nil
}

func (e *mlflowExporter) shutdown(ctx context.Context) error {
	e.telemetry.Shutdown()
	if e.client == nil {
		return nil // never started
	}
	e.interrupt.now()
	e.maintaining.Wait()
	e.client.Close()
	return e.store.Close(ctx)
}

// consumeTraces makes MLflow hold what a batch says. What may succeed later comes back as
// an error with the spans of those jobs only; what MLflow refuses for good is counted and
// not asked for again, or it would hold up the queue for ever.
func (e *mlflowExporter) consumeTraces(ctx context.Context, td ptrace.Traces) error {
	spans, err := e.selector.Classify(ctx, td)
	if err != nil {
		e.log.Warn("A condition of `mapping` failed and was taken as not holding", zap.Error(err))
	}
	plan := reduce.Reduce(spans, e.mapping)
	if len(plan.Runs) == 0 && len(plan.Traces) == 0 && len(plan.Scores) == 0 {
		e.countLeftOut(plan, nil)
		return nil
	}
	retry, err := e.settle(td, e.applier.ApplyFrom(ctx, plan, func(traceID string) ptrace.Traces {
		return ofTraces(td, map[string]bool{traceID: true})
	}))
	if retry != nil {
		e.countLeftOut(plan, retry)
	}
	return err
}

// countLeftOut counts and logs what MLflow cannot take, but not of traces that come again.
func (e *mlflowExporter) countLeftOut(plan reduce.Plan, retry map[string]bool) {
	for _, u := range plan.Unpriced {
		if !retry[u.TraceID] {
			e.countUnpriced(u.Model)
		}
	}
	for _, d := range plan.Dropped {
		if retry[d.TraceID] {
			continue
		}
		e.telemetry.dropped(d.Reason, 1)
		e.log.Warn("MLflow cannot take this; dropped", zap.String("reason", d.Reason), zap.String("trace_id", d.TraceID), zap.String("item", d.Detail))
	}
}

// settle sorts what Apply reports into delivered, to be retried, and refused. It gives the traces to
// be retried; nil: all of them.
func (e *mlflowExporter) settle(td ptrace.Traces, err error) (map[string]bool, error) {
	retry := map[string]bool{}
	var errs []error
	for _, part := range apply.Parts(err) {
		var item *apply.ItemError
		if !errors.As(part, &item) {
			return nil, err // nothing is known of single jobs
		}
		if item.Permanent { // counted by Apply, by its reason
			e.log.Error("MLflow refuses this for good", zap.String("trace_id", item.TraceID), zap.Error(item.Err))
			continue
		}
		retry[item.TraceID] = true
		errs = append(errs, item)
	}
	if len(retry) == 0 {
		return retry, nil
	}
	return retry, consumererror.NewTraces(throttled(errors.Join(errs...)), ofTraces(td, retry))
}

// throttled lets what is tried again wait for as long as MLflow asked for.
func throttled(err error) error {
	if wait := apply.RetryAfter(err); wait > 0 {
		return exporterhelper.NewThrottleRetry(err, wait)
	}
	return err
}

// ofTraces copies the spans of some traces, given by their ids in hex.
func ofTraces(td ptrace.Traces, ids map[string]bool) ptrace.Traces {
	out := ptrace.NewTraces()
	td.CopyTo(out)
	keep := map[pcommon.TraceID]bool{}
	out.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			ss.Spans().RemoveIf(func(s ptrace.Span) bool {
				id := s.TraceID()
				wanted, known := keep[id]
				if !known {
					wanted = ids[id.String()]
					keep[id] = wanted
				}
				return !wanted
			})
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	return out
}
