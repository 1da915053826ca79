package telemetry

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
)

const (
	sdkErrorEvery = 10 * time.Minute // an error of one kind is said again after that
	maxSDKErrors  = 64               // kinds that are told apart; further ones are one kind
)

// sdkErrors takes what the SDK reports through its global error handler and its global logger,
// which would print both to standard error, around redaction and once per occurrence. Here an
// error of one kind is said, and then not again for a while.
type sdkErrors struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	kinds map[string]*sdkError
}

type sdkError struct {
	said  time.Time
	since int // how often it came unsaid
}

// listen makes it the SDK's handler and logger, for the whole process: there is one of each.
func (s *sdkErrors) listen() {
	otel.SetErrorHandler(s)
	otel.SetLogger(logr.New(sdkLogger{s}))
}

// noErrors are reports of the SDK that mean nothing here. It reads OTEL_TRACES_SAMPLER for each
// provider, also for one that is given its sampler, and knows no jaeger_remote: we ask it, see
// Remote. No option keeps it from that.
var noErrors = []string{"unsupported sampler: jaeger_remote", "unsupported sampler: parentbased_jaeger_remote"}

// Handle implements otel.ErrorHandler.
func (s *sdkErrors) Handle(err error) {
	if err == nil || slices.Contains(noErrors, err.Error()) {
		return
	}
	text := err.Error()
	now := s.now()
	s.mu.Lock()
	kind := kindOfError(text)
	if s.kinds[kind] == nil && len(s.kinds) >= maxSDKErrors {
		kind = ""
	}
	e := s.kinds[kind]
	if e == nil {
		if s.kinds == nil {
			s.kinds = map[string]*sdkError{}
		}
		e = &sdkError{}
		s.kinds[kind] = e
	}
	if !e.said.IsZero() && now.Sub(e.said) < sdkErrorEvery {
		e.since++
		s.mu.Unlock()
		return
	}
	unsaid := e.since
	e.said, e.since = now, 0
	s.mu.Unlock()
	if unsaid > 0 {
		s.log.Warn("the OpenTelemetry SDK reports an error again", "error", text, "times_since", unsaid)
		return
	}
	s.log.Warn("the OpenTelemetry SDK reports an error", "error", text)
}

// kindOfError is the beginning of an error's text without its numbers and ids.
func kindOfError(text string) string {
	const enough = 200
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, text[:min(len(text), enough)])
}

// sdkLogger is the sink of the SDK's logger. Only errors are taken, and of them neither names
// nor values, which may be settings: a header that cannot be read is logged as it is.
type sdkLogger struct{ errors *sdkErrors }

// Init implements logr.LogSink.
func (sdkLogger) Init(logr.RuntimeInfo) {}

// Enabled implements logr.LogSink.
func (sdkLogger) Enabled(int) bool { return false }

// Info implements logr.LogSink.
func (sdkLogger) Info(int, string, ...any) {}

// Error implements logr.LogSink.
func (l sdkLogger) Error(err error, message string, _ ...any) {
	said := errors.New(message)
	if err != nil {
		said = errors.New(message + ": " + err.Error())
	}
	l.errors.Handle(said)
}

// WithValues implements logr.LogSink.
func (l sdkLogger) WithValues(...any) logr.LogSink { return l }

// WithName implements logr.LogSink.
func (l sdkLogger) WithName(string) logr.LogSink { return l }
