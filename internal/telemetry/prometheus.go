package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
)

// newMeasuring returns a Provider that records nothing and measures, for a Prometheus that
// asks. It has no connection and no goroutine.
func newMeasuring(ctx context.Context, cfg Config, box Outbox) (*Provider, error) {
	cfg = cfg.withDefaults()
	(&sdkErrors{log: cfg.Logger, now: cfg.Now}).listen()
	rec := &recorder{redactor: cfg.redactor()}
	p := &Provider{cfg: cfg, rec: rec, decider: byNobody{}}
	var err error
	if p.metrics, err = newMetrics(ctx, cfg, rec, cfg.resource(rec), nil, box); err != nil {
		return nil, fmt.Errorf("start measuring: %w", err)
	}
	return p, nil
}

// byNobody decides as a nil Provider does.
type byNobody struct{}

func (byNobody) decide(commentator.Job, commentator.Message, trace.TraceID) commentator.Decision {
	return commentator.Decision{Detail: commentator.DetailOff}
}

// scraped is what a Prometheus gets to see: the worker's own metrics, the process and the Go
// runtime.
type scraped struct {
	registry *prometheus.Registry
	reader   sdkmetric.Reader
}

func newScraped() (*scraped, error) {
	registry := prometheus.NewRegistry()
	reader, err := promexporter.New(promexporter.WithRegisterer(registry), promexporter.WithoutScopeInfo())
	return &scraped{registry, reader}, errors.Join(err,
		registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})))
}

func (s *scraped) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, ErrorLog: scrapeLog{log}})
}

// scrapeLog takes what goes wrong with a scrape.
type scrapeLog struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (l scrapeLog) Println(v ...any) { l.log.Warn("metrics for Prometheus", "error", fmt.Sprint(v...)) }

// MetricsHandler serves the metrics in the text form of Prometheus. It is nil unless
// Config.Prometheus is set.
func (p *Provider) MetricsHandler() http.Handler {
	if p == nil || p.metrics.scraped == nil {
		return nil
	}
	return p.metrics.scraped.handler(p.cfg.Logger)
}
