package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
)

// Provider makes the telemetry of one worker.
type Provider struct{}

// New returns a Provider, or (nil, nil) when the mode is off.
func New(ctx context.Context, cfg Config, box Outbox) (*Provider, error) { return nil, nil }

// Decide returns how much of a job that starts now is recorded.
func (p *Provider) Decide(j commentator.Job) commentator.Detail { return commentator.DetailOff }

// JobStarted returns the message that makes a job visible while it runs.
func (p *Provider) JobStarted(j commentator.Job, m commentator.Message) (Message, error) {
	return Message{}, nil
}

// JobContext returns a context in which stages belong to the job's trace.
func (p *Provider) JobContext(ctx context.Context, j commentator.Job) context.Context { return ctx }

// JobActive counts jobs that are being worked on: +1 when an attempt starts, -1 when it ends.
func (p *Provider) JobActive(delta int64) {}

// QueueState is what the queue looks like at one moment.
type QueueState struct {
	Depth     int64         // jobs that wait
	OldestAge time.Duration // how long the oldest of them has waited
}

// ObserveQueue registers the source of the queue's metrics.
func (p *Provider) ObserveQueue(read func(context.Context) (QueueState, error)) error { return nil }

// StartStage starts an attempt at a stage.
func (p *Provider) StartStage(ctx context.Context, j commentator.Job, s commentator.Stage) (context.Context, *Stage) {
	return ctx, nil
}

// JobEnded returns the message that ends a job.
func (p *Provider) JobEnded(j commentator.Job, m commentator.Message, stages []commentator.StageRecord) (Message, error) {
	return Message{}, nil
}

// Notify wakes the relay after a commit.
func (p *Provider) Notify() {}

// Shutdown sends what is left, as far as ctx allows, and ends everything.
func (p *Provider) Shutdown(ctx context.Context) error { return nil }

// Stage is an attempt at a stage that is running.
type Stage struct{}

// SpanID returns the id of the stage's span in hex, "" when off.
func (s *Stage) SpanID() string { return "" }

// StageEnd is what is known when an attempt at a stage ends.
type StageEnd struct {
	Record   commentator.StageRecord // StartedAt and EndedAt become the span's times
	Evidence *commentator.Evidence
	Facts    *commentator.Facts
	Comment  *commentator.Comment
	Gates    *commentator.GateReport
	Post     *commentator.Post
	Input    any // becomes job.input as JSON, in full detail
}

// End ends the stage and returns the message that holds it and its detail spans.
func (s *Stage) End(rec StageEnd) (Message, error) { return Message{}, nil }

// Detail is a span below a stage; the zero value records nothing.
type Detail struct{ span trace.Span }

// StartDetail starts a detail span below the stage that ctx belongs to.
func StartDetail(ctx context.Context, name string, kind trace.SpanKind) (context.Context, Detail) {
	return ctx, Detail{}
}

// Recording reports whether the span is recorded.
func (d Detail) Recording() bool { return d.span != nil }

// Set sets attributes.
func (d Detail) Set(attrs ...attribute.KeyValue) {}

// End ends the span; err may be nil.
func (d Detail) End(err error) {}

// CaptureContent reports whether content may become an attribute of spans below ctx.
func CaptureContent(ctx context.Context) bool { return false }

// ModelCall is one finished request to a model, for the metrics.
type ModelCall struct {
	Provider      string // "openai"
	RequestModel  string
	ResponseModel string
	ErrorType     string // empty when it succeeded
	Duration      time.Duration
	Usage         commentator.Usage
}

// RecordModelCall records a request to a model in the metrics, in every mode but off.
func RecordModelCall(ctx context.Context, c ModelCall) {}

// Transport wraps base.
func Transport(base http.RoundTripper, spanName string) http.RoundTripper { return base }

// RelayConfig configures a Relay.
type RelayConfig struct {
	Endpoint string
	Insecure bool
	Headers  map[string]string
	// UntilEmpty ends the relay by itself once the outbox holds nothing unsent.
	UntilEmpty bool
	Logger     *slog.Logger
}

// Relay empties the outbox into a Collector.
type Relay struct{}

// NewRelay returns a relay that is not running yet.
func NewRelay(cfg RelayConfig, box Outbox) *Relay { return &Relay{} }

// Start starts the relay.
func (r *Relay) Start() error { return nil }

// Notify wakes it.
func (r *Relay) Notify() {}

// Done is closed when the relay has ended.
func (r *Relay) Done() <-chan struct{} { return nil }

// Stop sends what is left as far as ctx allows, and ends the relay.
func (r *Relay) Stop(ctx context.Context) error { return nil }
