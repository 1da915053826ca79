package samplingextension

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/contrib/samplers/jaegerremote"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/test/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving starts the extension on a copy of the strategies.
func serving(t *testing.T) (url, file string, logs *observer.ObservedLogs) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "strategies.json"))
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "strategies.json")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	address, err := sandbox.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	cfg := createDefaultConfig().(*Config)
	cfg.HTTP.NetAddr.Endpoint, cfg.File = address, file
	if err := confmap.Validate(cfg); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.WarnLevel)
	set := extensiontest.NewNopSettings(Type)
	set.Logger = zap.New(core)
	e, err := NewFactory().Create(t.Context(), set, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), componenttest.NewNopHost()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return "http://" + address + path, file, logs
}

func ask(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(body))
}

func TestStrategiesOfServices(t *testing.T) {
	url, _, _ := serving(t)
	for service, want := range map[string]string{
		"other": `{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.1}}`,
		"busy":  `{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":2}}`,
		"technoshare-commentator": `{"strategyType":"PROBABILISTIC","operationSampling":{"defaultSamplingProbability":0.5,` +
			`"perOperationStrategies":[{"operation":"process jobs","probabilisticSampling":{"samplingRate":1}}]}}`,
	} {
		if status, body := ask(t, url+"?service="+service); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %s", service, status, body)
		}
	}
	if status, _ := ask(t, url); status != http.StatusBadRequest {
		t.Errorf("without a service: %d", status)
	}
}

// The operations of the default strategy hold for the services of the file too, which may name
// them otherwise.
func TestOperationsOfTheDefaultStrategyAreShared(t *testing.T) {
	url, file, _ := serving(t)
	if err := os.WriteFile(file+".new", []byte(`{
		"default_strategy": {"type": "probabilistic", "param": 0.5, "operation_strategies": [
			{"operation": "/health", "type": "probabilistic", "param": 0},
			{"operation": "/metrics", "type": "probabilistic", "param": 0.1}]},
		"service_strategies": [
			{"service": "plain", "type": "probabilistic", "param": 0.8},
			{"service": "own", "type": "probabilistic", "param": 0.8, "operation_strategies": [
				{"operation": "/metrics", "type": "probabilistic", "param": 1}]},
			{"service": "limited", "type": "ratelimiting", "param": 5}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	const health, metrics = `{"operation":"/health","probabilisticSampling":{"samplingRate":0}}`, `{"operation":"/metrics","probabilisticSampling":{"samplingRate":0.1}}`
	for service, want := range map[string]string{
		"other": `{"strategyType":"PROBABILISTIC","operationSampling":{"defaultSamplingProbability":0.5,"perOperationStrategies":[` + health + `,` + metrics + `]}}`,
		"plain": `{"strategyType":"PROBABILISTIC","operationSampling":{"defaultSamplingProbability":0.8,"perOperationStrategies":[` + health + `,` + metrics + `]}}`,
		"own": `{"strategyType":"PROBABILISTIC","operationSampling":{"defaultSamplingProbability":0.8,"perOperationStrategies":[` +
			`{"operation":"/metrics","probabilisticSampling":{"samplingRate":1}},` + health + `]}}`,
		"limited": `{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":5},` +
			`"operationSampling":{"defaultSamplingProbability":0.5,"perOperationStrategies":[` + health + `,` + metrics + `]}}`,
	} {
		if _, body := ask(t, url+"?service="+service); body != want {
			t.Errorf("%s: %s", service, body)
		}
	}
}

// The sampler of the OpenTelemetry SDK understands what is served.
func TestSamplerOfTheSDKTakesTheStrategies(t *testing.T) {
	url, _, _ := serving(t)
	sampler := jaegerremote.New("technoshare-commentator", jaegerremote.WithSamplingServerURL(url), jaegerremote.WithInitialSampler(trace.NeverSample()))
	defer sampler.Close()
	sampler.UpdateSampler()
	r := sampler.ShouldSample(trace.SamplingParameters{ParentContext: t.Context(), Name: "process jobs", TraceID: [16]byte{15: 1, 0: 0xff, 8: 0xff}})
	if r.Decision != trace.RecordAndSample {
		t.Errorf("decided %v", r.Decision)
	}
	http.DefaultClient.CloseIdleConnections()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// A changed file holds from the next question on; one that cannot be used is reported once and
// changes nothing.
func TestChangedFileHolds(t *testing.T) {
	url, file, logs := serving(t)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	const want = `{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.25}}`
	write(`{"default_strategy": {"type": "probabilistic", "param": 0.25}}`)
	if _, body := ask(t, url+"?service=x"); body != want {
		t.Errorf("got %s", body)
	}
	write(`{"default_strategy": {"type": "probabilistic", "param": 25}}`)
	for range 3 {
		if _, body := ask(t, url+"?service=x"); body != want {
			t.Errorf("got %s", body)
		}
	}
	if logs.Len() != 1 || !strings.Contains(logs.All()[0].ContextMap()["error"].(string), "param 25 is not a share from 0 to 1") {
		t.Errorf("said %v", logs.All())
	}
}

func TestWrongFilesAreRefusedAtTheStart(t *testing.T) {
	for text, want := range map[string]string{
		``:   "EOF",
		`{}`: `default_strategy: type "" is neither`,
		`{"default_strategy": {"type": "probabilistic", "params": 1}}`:                                                                      `unknown field "params"`,
		`{"default_strategy": {"type": "ratelimiting", "param": 0.5}}`:                                                                      "not a whole number",
		`{"default_strategy": {"type": "probabilistic", "param": 1}, "service_strategies": [{"type": "probabilistic", "param": 1}]}`:        "service is missing",
		`{"default_strategy": {"type": "probabilistic", "param": 1, "operation_strategies": [{"operation": "x", "type": "ratelimiting"}]}}`: "operation_strategies[0]",
	} {
		file := &file{path: filepath.Join(t.TempDir(), "strategies.json")}
		if err := os.WriteFile(file.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := file.read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := confmap.Validate(createDefaultConfig()); err == nil || !strings.Contains(err.Error(), "`file` must name") {
		t.Errorf("got %v", err)
	}
}
