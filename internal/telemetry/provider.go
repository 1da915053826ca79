package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/wire"
)

// Provider makes the telemetry of one worker. A nil Provider is off.
type Provider struct {
	cfg     Config
	decider decider
	remote  *byRemote // one of the deciders, which has to be closed; nil: none
	rec     *recorder
	traces  *sdktrace.TracerProvider // nil: it measures only
	metrics *metrics
	relay   *Relay // nil without an outbox
	conn    *grpc.ClientConn
	rollups rollupCache
	encoded encodedCache
}

// New returns a Provider whose relay empties box, or (nil, nil) when the mode is off and no
// Prometheus asks. It
// does not wait for a Collector. Without a box messages are made but nothing sends them.
func New(ctx context.Context, cfg Config, box Outbox) (*Provider, error) {
	switch cfg.Mode {
	case "", ModeOff:
		if cfg.Prometheus {
			return newMeasuring(ctx, cfg, box)
		}
		return nil, nil
	case ModeTracking, ModeTracing:
	default:
		return nil, fmt.Errorf("start telemetry: mode %q is unknown", cfg.Mode)
	}
	if cfg.StoreID == "" {
		return nil, errors.New("start telemetry: the store id is empty")
	}
	cfg = cfg.withDefaults()
	if (cfg.Evaluation || cfg.Finishing) && cfg.metricReader == nil {
		cfg.metricReader = sdkmetric.NewManualReader() // nobody reads it
	}
	(&sdkErrors{log: cfg.Logger, now: cfg.Now}).listen()

	rec := &recorder{redactor: cfg.redactor()}
	p := &Provider{cfg: cfg, rec: rec}
	res := cfg.resource(rec)
	p.traces = sdktrace.NewTracerProvider(
		sdktrace.WithResource(res),
		sdktrace.WithSampler(tieredSampler{}),
		sdktrace.WithIDGenerator(idGenerator{}),
		sdktrace.WithSpanProcessor(collector{}),
		sdktrace.WithRawSpanLimits(cfg.spanLimits()),
	)
	rec.tracer = p.traces.Tracer(wire.ScopeName,
		trace.WithInstrumentationVersion(cfg.Version), trace.WithSchemaURL(wire.SchemaURL))

	var err error
	if p.conn, err = dial(cfg.Endpoint); err != nil {
		return nil, fmt.Errorf("start telemetry: %w", err)
	}
	if p.metrics, err = newMetrics(ctx, cfg, rec, res, p.conn, box); err != nil {
		return nil, errors.Join(fmt.Errorf("start telemetry: %w", err), p.conn.Close())
	}
	p.decide()
	if box != nil {
		p.relay = NewRelay(cfg.relay(), box)
		p.relay.conn = p.conn
		p.relay.refused = func(ctx context.Context) { p.metrics.outboxDropped(ctx, 1, "refused") }
		p.relay.shortened = func(n int64) { p.rec.cuts.messages.Add(n) }
		if err := p.relay.Start(); err != nil {
			return nil, errors.Join(err, p.Shutdown(ctx))
		}
	}
	return p, nil
}

// spanLimits keep the SDK from dropping what our own limits (limit.go) let through, and
// bound what a library's instrumentation may add.
var spanLimits = sdktrace.SpanLimits{
	AttributeValueLengthLimit:   -1,
	AttributeCountLimit:         256,
	EventCountLimit:             128,
	LinkCountLimit:              16,
	AttributePerEventCountLimit: 64,
	AttributePerLinkCountLimit:  16,
	AttributeValueDepthLimit:    16,
}

// maxScores is how many attributes the span of a suite may have: each score of each example is one.
const maxScores = 1 << 16

func (c Config) spanLimits() sdktrace.SpanLimits {
	l := spanLimits
	if c.Evaluation {
		l.AttributeCountLimit = maxScores
	}
	return l
}

// Decide says how much of a job that starts now is recorded, and why. The answer belongs
// into the job's row and holds for its whole life.
func (p *Provider) Decide(j commentator.Job, m commentator.Message) commentator.Decision {
	if p == nil {
		return commentator.Decision{Detail: commentator.DetailOff}
	}
	id, _ := jobIdentity(j)
	return p.decider.decide(j, m, id)
}

// JobContext returns a context in which spans have the job's root as their parent. The
// root itself is made when the job ends. For a job that is off ctx comes back unchanged.
func (p *Provider) JobContext(ctx context.Context, j commentator.Job) context.Context {
	if !p.records(j) {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, rootContext(j))
}

// Notify wakes the relay after a commit. It never blocks.
func (p *Provider) Notify() {
	if p != nil {
		p.relay.Notify()
	}
}

// Shutdown sends what is left, as far as ctx allows, and ends everything that New
// started. What could not be sent stays in the outbox.
func (p *Provider) Shutdown(ctx context.Context) error {
	if p == nil {
		return nil
	}
	if p.remote != nil {
		p.remote.close()
	}
	if p.traces == nil {
		return p.metrics.shutdown(ctx)
	}
	return errors.Join(
		p.relay.Stop(ctx),
		p.metrics.shutdown(ctx),
		p.traces.Shutdown(ctx),
		p.conn.Close(),
	)
}

// records reports whether anything of a job is recorded, and by this process.
func (p *Provider) records(j commentator.Job) bool {
	return p != nil && p.traces != nil && (j.Detail == commentator.DetailTracking || j.Detail == commentator.DetailFull)
}

func (c Config) withDefaults() Config {
	c.Endpoint = cmp.Or(c.Endpoint, DefaultEndpoint)
	c.ServiceName = cmp.Or(c.ServiceName, "technoshare-commentator")
	c.InstanceID = cmp.Or(c.InstanceID, c.ResourceAttributes[wire.ResServiceInstanceID], c.StoreID)
	c.MetricInterval = cmp.Or(c.MetricInterval, time.Minute)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Adapter == nil {
		c.Adapter = func(commentator.Job) string { return "" }
	}
	if c.Decided == nil {
		c.Decided = func(string) (int64, error) { return 0, nil }
	}
	return c
}

// decide puts the deciders in their order: the sampling file, else the remote source, else the
// settings.
func (p *Provider) decide() {
	c := p.cfg
	if c.Finishing {
		p.decider = byNobody{}
		return
	}
	settings := bySettings{ratio: -1}
	if c.Mode == ModeTracing {
		settings.ratio = c.Ratio
	}
	p.decider = settings
	if c.Mode == ModeTracing && c.Remote != nil {
		p.remote = newByRemote(*c.Remote, c, strategyTimeout)
		p.decider = p.remote
	}
	if c.SamplingFile != "" {
		f := &byFile{path: c.SamplingFile, others: p.decider, adapter: c.Adapter, decided: c.Decided, now: c.Now, log: c.Logger}
		f.start()
		p.decider = f
	}
}

func (c Config) relay() RelayConfig {
	r := c.Relay
	r.Endpoint, r.Headers = c.Endpoint, c.Headers
	r.Logger, r.Now, r.Redactor = c.Logger, c.Now, c.Redactor
	return r
}

// redactor puts people's pseudonyms in place of their ids.
func (c Config) redactor() *redact.Redactor {
	switch {
	case c.Unredacted:
		return nil
	case c.Redactor == nil:
		return redact.New(nil).WithKey(c.PseudonymKey)
	}
	return c.Redactor.WithKey(c.PseudonymKey)
}

func (c Config) resource(rec *recorder) *resource.Resource {
	attrs := make([]attribute.KeyValue, 0, len(c.ResourceAttributes)+10)
	for k, v := range c.ResourceAttributes {
		attrs = append(attrs, attribute.String(k, v))
	}
	set := func(key, value string) {
		if value != "" {
			attrs = append(attrs, attribute.String(key, value))
		}
	}
	set(wire.ResServiceName, c.ServiceName)
	set(wire.ResServiceVersion, c.Version)
	set(wire.ResServiceInstanceID, c.InstanceID)
	set(wire.ResStoreID, c.StoreID)
	set(wire.ResEnvironment, c.Environment)
	set(wire.ResExperiment, c.Experiment)
	set(wire.ResProcessOwner, c.Owner)
	set(wire.ResExecutableName, c.Executable)
	set(wire.ResRevision, c.Revision)
	// Of two attributes with one key the later wins, so the fields win over ResourceAttributes.
	return rec.resource(attrs...)
}
