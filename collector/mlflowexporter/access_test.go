package mlflowexporter

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// deliver sends a fixture through an exporter of its own.
func deliver(t *testing.T, cfg *Config, name string) {
	t.Helper()
	requests, _ := loadFixture(t, name)
	e := startExporter(t, cfg, exportertest.NewNopSettings(metadata.Type), host{storageID: &memory{data: map[string][]byte{}}})
	defer stop(t, e)
	for _, td := range requests {
		if err := e.ConsumeTraces(t.Context(), td); err != nil {
			t.Error(err)
		}
	}
}

// Every request has the Host and the credentials that are configured, those of the address
// unless `headers` has others.
func TestEveryRequestSaysWhereToAndWhoAsks(t *testing.T) {
	inAddress := func(c *Config) { c.Endpoint = strings.Replace(c.Endpoint, "http://", "http://user:pass%2Fword@", 1) }
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"address": {inAddress, " Basic dXNlcjpwYXNzL3dvcmQ="},
		"headers": {func(c *Config) { inAddress(c); c.Headers.Set("authorization", "Bearer token") }, " Bearer token"},
		"host":    {func(c *Config) { c.HostHeader = "mlflow.example.org:443" }, "mlflow.example.org:443 "},
		"nothing": {func(*Config) {}, " "},
	} {
		t.Run(name, func(t *testing.T) {
			server := mlflowtest.Start()
			defer server.Close()
			var mu sync.Mutex
			got := map[string]bool{}
			server.Fail(func(r *http.Request) *mlflowtest.Fault {
				mu.Lock()
				defer mu.Unlock()
				got[strings.TrimPrefix(r.Host, strings.TrimPrefix(server.URL, "http://"))+" "+r.Header.Get("Authorization")] = true
				return nil
			})
			cfg := testConfig(server.URL)
			c.change(cfg)
			deliver(t, cfg, "success")
			if diff := cmp.Diff(map[string]bool{c.want: true}, got); diff != "" {
				t.Errorf("Host and Authorization of requests (-want +got)\n%s", diff)
			}
		})
	}
}

var bearerToken = component.MustNewID("bearertokenauth")

// bearer is an extension that authenticates with a token.
func bearer(t *testing.T, token string) extension.Extension {
	t.Helper()
	f := bearertokenauthextension.NewFactory()
	cfg := f.CreateDefaultConfig().(*bearertokenauthextension.Config)
	cfg.BearerToken = configopaque.String(token)
	e, err := f.Create(t.Context(), extension.Settings{ID: bearerToken, TelemetrySettings: componenttest.NewNopTelemetrySettings()}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Files that MLflow wants at another host go there without the credentials, wherever these are from.
func TestCredentialsGoToTheEndpointOnly(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"extension": func(c *Config) { c.Auth = configoptional.Some(configauth.Config{AuthenticatorID: bearerToken}) },
		"headers":   func(c *Config) { c.Headers.Set("Authorization", "Bearer token") },
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			got := map[string]int{}
			seen := func(where string) func(*http.Request) *mlflowtest.Fault {
				return func(r *http.Request) *mlflowtest.Fault {
					mu.Lock()
					defer mu.Unlock()
					got[where+" "+r.Header.Get("Authorization")]++
					return nil
				}
			}
			server, files := mlflowtest.Start(), mlflowtest.Start()
			defer server.Close()
			defer files.Close()
			server.ArtifactRoot = files.URL + "/api/2.0/mlflow-artifacts/artifacts"
			server.Fail(seen("endpoint"))
			files.Fail(seen("files"))
			cfg := testConfig(server.URL)
			change(cfg)
			requests, _ := loadFixture(t, "success")
			token := bearer(t, "token")
			e := startExporter(t, cfg, exportertest.NewNopSettings(metadata.Type), host{storageID: &memory{data: map[string][]byte{}}, bearerToken: token})
			defer stop(t, e)
			if err := token.Start(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = token.Shutdown(t.Context()) }()
			for _, td := range requests {
				if err := e.ConsumeTraces(t.Context(), td); err != nil {
					t.Error(err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if len(got) != 2 || got["endpoint Bearer token"] == 0 || got["files "] == 0 {
				t.Errorf("Authorization of requests: %v", got)
			}
		})
	}
}

// As many requests as `max_requests` says are on their way at one time, and no more.
func TestMaxRequests(t *testing.T) {
	requests, _ := loadFixture(t, "success")
	for _, name := range []string{"model", "gate_failed", "two_jobs_one_request"} {
		more, _ := loadFixture(t, name)
		requests = append(requests, more...)
	}
	for _, allowed := range []int{1, 3} {
		server := mlflowtest.Start()
		var mu sync.Mutex
		creating, peak := 0, 0
		met, over := make(chan struct{}), make(chan struct{}) // as many are there as may be; the client waits no more
		server.Fail(func(r *http.Request) *mlflowtest.Fault {
			if !strings.HasSuffix(r.URL.Path, "/runs/create") {
				return nil
			}
			mu.Lock()
			creating++
			if creating > peak {
				if peak = creating; peak == allowed {
					close(met)
				}
			}
			mu.Unlock()
			select {
			case <-met:
			case <-over:
			}
			mu.Lock()
			creating--
			mu.Unlock()
			return nil
		})
		cfg := testConfig(server.URL)
		cfg.MaxRequests = allowed
		cfg.Timeout = 10 * time.Second // ends the wait for those that never come
		e := startExporter(t, cfg, exportertest.NewNopSettings(metadata.Type), host{storageID: &memory{data: map[string][]byte{}}})
		if err := e.ConsumeTraces(t.Context(), joined(requests)); err != nil {
			t.Error(err)
		}
		close(over)
		stop(t, e)
		server.Close()
		if peak != allowed {
			t.Errorf("%d runs were created at one time, want %d", peak, allowed)
		}
	}
}
