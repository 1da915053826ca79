package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/technoshare/commentator/internal/redact"
)

func TestErrorsOfTheSDKAreSaidOncePerKind(t *testing.T) {
	log, now := &safeLog{}, testStart
	s := &sdkErrors{log: slog.New(slog.NewTextHandler(log, nil)), now: func() time.Time { return now }}
	for i := range 100 {
		s.Handle(fmt.Errorf("export %d: connection refused", i))
		s.Handle(errors.New("a callback failed"))
		s.Handle(nil)
	}
	if n, m := log.count("connection refused"), log.count("a callback failed"); n != 1 || m != 1 {
		t.Errorf("said %d and %d times", n, m)
	}
	now = now.Add(sdkErrorEvery)
	s.Handle(errors.New("export 7: connection refused"))
	if log.count("times_since=99") != 1 {
		t.Errorf("it is not said again: %s", &log.b)
	}
	var long strings.Builder
	for i := range 10 * maxSDKErrors { // kinds without end
		long.WriteByte('x')
		s.Handle(errors.New(long.String() + string(rune('A'+i%26))))
	}
	if n := log.count("level=WARN"); n > maxSDKErrors+3 || len(s.kinds) > maxSDKErrors+1 {
		t.Errorf("%d lines, %d kinds are remembered", n, len(s.kinds))
	}
}

// The SDK reads the sampler's name itself, and does not know all that we do.
func TestASamplerThatOnlyWeKnowIsNoErrorOfTheSDK(t *testing.T) {
	for name, want := range map[string]int{"jaeger_remote": 0, "parentbased_jaeger_remote": 0, "xray": 1} {
		t.Setenv("OTEL_TRACES_SAMPLER", name)
		c, log := &testCollector{}, &safeLog{}
		startCollector(t, c)
		p, err := New(context.Background(), Config{
			Mode: ModeTracing, StoreID: testStore, Endpoint: "http://" + c.address, Logger: slog.New(slog.NewTextHandler(log, nil)),
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if n := log.count("unsupported sampler"); n != want {
			t.Errorf("%s: said %d times, want %d:\n%s", name, n, want, &log.b)
		}
	}
}

// What the SDK itself reports goes to the worker's log: said once, masked, and of settings that
// it cannot read not the value.
func TestErrorsOfTheSDKGoToTheLogWithoutSecrets(t *testing.T) {
	const header = "canary0123456789"
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "authorization "+header)
	secret := "gh" + "p_" + strings.Repeat("a1B2", 9)
	c, log := &testCollector{}, &safeLog{}
	startCollector(t, c)
	p, err := New(context.Background(), Config{
		Mode: ModeTracing, StoreID: testStore, Endpoint: "http://" + c.address, MetricInterval: 5 * time.Millisecond,
		Logger: slog.New(redact.New(nil).Handler(slog.NewTextHandler(log, nil))),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Shutdown(context.Background())
	asked := make(chan struct{}, 100)
	if err := p.ObserveQueue(func(context.Context) (QueueState, error) {
		select {
		case asked <- struct{}{}:
		default:
		}
		return QueueState{}, errors.New("the token " + secret + " is wrong")
	}); err != nil {
		t.Fatal(err)
	}
	for range 5 { // exports
		select {
		case <-asked:
		case <-time.After(20 * time.Second):
			t.Fatal("nothing is exported")
		}
	}
	otel.Handle(errors.New("handed over by a library: " + secret))
	for text, want := range map[string]int{
		"observe queue": 1, "handed over by a library": 1, "parse headers": 1, "[redacted:github_token]": 2, secret: 0, header: 0,
	} {
		if n := log.count(text); n != want {
			t.Errorf("%q is logged %d times, want %d:\n%s", text, n, want, &log.b)
		}
	}
}
