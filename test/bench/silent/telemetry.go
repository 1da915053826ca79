// Package telemetry is internal/telemetry without telemetry: the functions that the worker
// calls, all of them empty, so that the compiler leaves the calls out. The benchmark builds
// the worker with it, to compare a worker whose telemetry is off with one that has none.
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

// What the store shares with telemetry.
type (
	Message struct {
		Kind string
		Body []byte
		Size int
	}
	OutboxRow struct {
		ID   int64
		Kind string
		Body []byte
		Size int
	}
	Link struct {
		Endpoint string    `json:"endpoint,omitempty"`
		Since    time.Time `json:"since,omitzero"`
		Problem  string    `json:"problem,omitempty"`
	}
	RemoteState struct {
		Endpoint string    `json:"endpoint"`
		Since    time.Time `json:"since"`
		Problem  string    `json:"problem,omitempty"`
		Says     string    `json:"says,omitempty"`
		Revision string    `json:"revision,omitempty"`
	}
	Claim interface {
		Rows() []OutboxRow
	}
	Outbox interface {
		Claim(ctx context.Context, afterID int64, maxBytes int) (Claim, error)
	}
)

func (m Message) Empty() bool { return true }

// What the worker configures.
type (
	Mode   string
	Config struct {
		Mode                                       Mode
		Endpoint, SamplingFile, StoreID, SlackURL  string
		ServiceName, Experiment, Owner, Executable string
		Version, Revision                          string
		Ratio                                      float64
		CaptureContent                             bool
		Gates                                      commentator.GateLimits
		Render                                     func(commentator.Comment) string
		Logger                                     *slog.Logger
	}
)

const (
	ModeOff      Mode = "off"
	ModeTracking Mode = "tracking"
	ModeTracing  Mode = "tracing"
)

// What the pipeline calls.
type (
	Provider struct{}
	Stage    struct{}
	Parts    map[string]any
	StageEnd struct {
		Record   commentator.StageRecord
		Evidence *commentator.Evidence
		Facts    *commentator.Facts
		Comment  *commentator.Comment
		Gates    *commentator.GateReport
		Post     *commentator.Post
		Input    any
	}
)

func New(context.Context, Config, Outbox) (*Provider, error) { return nil, nil }

func (*Provider) Shutdown(context.Context) error     { return nil }
func (*Provider) Notify()                            {}
func (*Provider) JobActive(int64)                    {}
func (*Provider) StageEnded(commentator.StageRecord) {}

func (*Provider) Decide(commentator.Job, commentator.Message) commentator.Decision {
	return commentator.Decision{Detail: commentator.DetailOff}
}

func (*Provider) JobContext(ctx context.Context, _ commentator.Job) context.Context { return ctx }

func (*Provider) JobStarted(commentator.Job, commentator.Message) (Message, error) {
	return Message{}, nil
}

func (*Provider) JobEnded(commentator.Job, commentator.Message, []commentator.StageRecord) (Message, error) {
	return Message{}, nil
}

func (*Provider) StartStage(ctx context.Context, _ commentator.Job, _ commentator.Stage) (context.Context, *Stage) {
	return ctx, nil
}

func (*Stage) SpanID() string                { return "" }
func (*Stage) End(StageEnd) (Message, error) { return Message{}, nil }

// What the adapters call.
type (
	Detail      struct{}
	Text        struct{}
	Description struct{}
	ModelCall   struct {
		Operation, Provider, RequestModel, ResponseModel, ErrorType string
		Duration                                                    time.Duration
		Usage                                                       commentator.Usage
	}
)

func StartDetail(ctx context.Context, _ string, _ trace.SpanKind) (context.Context, Detail) {
	return ctx, Detail{}
}

func (Detail) Describe(func(Description)) {}
func (Detail) Recording() bool            { return false }
func (Detail) Set(...attribute.KeyValue)  {}
func (Detail) End(error)                  {}

func (Description) Set(...attribute.KeyValue) {}
func (Description) SetArray(string, ...Text)  {}
func (Description) Mask(string) Text          { return Text{} }

func CaptureContent(context.Context) bool        { return false }
func WithoutContent(context.Context) bool        { return false }
func RecordModelCall(context.Context, ModelCall) {}

func SlackTransport(base http.RoundTripper) http.RoundTripper { return Transport(base, "") }

func Transport(base http.RoundTripper, _ string) http.RoundTripper {
	if base == nil {
		return http.DefaultTransport
	}
	return base
}
