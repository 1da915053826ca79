//go:build realserver

package mlflowexporter

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/metadata"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

// site is a real MLflow and everything that outlives an exporter which writes to it: its
// storage on disk, and its log.
type site struct {
	*mlflowtest.Real
	storage string
	logs    *observer.ObservedLogs
	logger  *zap.Logger
	lines   chan string // messages of the log, as they are written
}

func startSite(t *testing.T, cfg mlflowtest.RealConfig) *site {
	t.Helper()
	cfg.Python = os.Getenv("MLFLOW_TEST_PYTHON")
	server, err := mlflowtest.StartReal(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return (&site{Real: server}).emptied(t)
}

// emptied is the site with a new storage and a new log.
func (s *site) emptied(t *testing.T) *site {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	lines := make(chan string, 10_000)
	logger := zap.New(core, zap.Hooks(func(entry zapcore.Entry) error { lines <- entry.Message; return nil }))
	return &site{Real: s.Real, storage: t.TempDir(), logs: logs, logger: logger, lines: lines}
}

// config is the default configuration, its queue and its retries included.
func (s *site) config(t *testing.T) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint, cfg.Storage, cfg.Experiment = s.URL, &fileStorage, t.Name()
	cfg.Retry.InitialInterval, cfg.Retry.MaxInterval = 100*time.Millisecond, 100*time.Millisecond
	return cfg
}

var (
	fileStorage = component.MustNewID("file_storage")
	bearerToken = component.MustNewID("bearertokenauth")
)

// run runs an exporter, which gets the job of a fixture if one is named, until what it waits
// for is over.
func (s *site) run(t *testing.T, cfg *Config, fixtureName string, wait func(), more ...extension.Extension) {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	set := exportertest.NewNopSettings(metadata.Type)
	set.ID = component.MustNewID("mlflow") // the queue has its name
	set.Logger = s.logger
	h := host{fileStorage: s.fileStorage(t)}
	for _, e := range more {
		h[bearerToken] = e
	}
	for _, e := range h {
		if err := e.Start(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	e := startExporter(t, cfg, set, h)
	if fixtureName != "" {
		requests, _ := loadFixture(t, fixtureName)
		for _, td := range requests {
			if err := e.ConsumeTraces(t.Context(), td); err != nil {
				t.Error(err)
			}
		}
	}
	wait()
	stop(t, e)
	for _, e := range h {
		if err := e.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func (s *site) fileStorage(t *testing.T) extension.Extension {
	t.Helper()
	f := filestorage.NewFactory()
	cfg := f.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = s.storage
	e, err := f.Create(t.Context(), extensiontest.NewNopSettings(f.Type()), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// complete waits until MLflow holds the job of a fixture, all of it and nothing more.
func (s *site) complete(t *testing.T, experiment, fixtureName string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	client, err := s.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, want := loadFixture(t, fixtureName)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		lacks := s.lacks(ctx, client, experiment, want)
		if lacks == "" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s; the log says %v", lacks, s.logs.All())
		}
	}
}

// lacks says what MLflow does not hold as it must. It asks little, since MLflow's own log-in
// takes a tenth of a second for each request: for the rest when the runs are right.
func (s *site) lacks(ctx context.Context, client *mlflow.Client, experiment string, want fixture.Expected) string {
	exp, err := client.GetExperimentByName(ctx, experiment)
	if err != nil {
		return err.Error()
	}
	runs, _, err := client.SearchRuns(ctx, mlflow.SearchRuns{ExperimentIDs: []string{exp.ID}})
	if err != nil {
		return err.Error()
	}
	wanted, got := map[string]string{}, map[string]string{}
	for _, r := range want.Runs {
		wanted[r.Key] = fmt.Sprintf("%s %s: %d params, %d metrics", r.Name, r.Status, len(r.Params), len(r.Metrics))
	}
	for _, r := range runs {
		got[r.Tag(wire.TagKey)] = fmt.Sprintf("%s %s: %d params, %d metrics", r.Info.Name, r.Info.Status, len(r.Data.Params), len(r.Data.Metrics))
	}
	if d := cmp.Diff(wanted, got); d != "" {
		return d
	}
	state, err := mlflowtest.Read(ctx, client, exp.ID)
	if err != nil {
		return err.Error()
	}
	for _, r := range want.Runs {
		wanted[r.Key], got[r.Key] = fmt.Sprint(r.Artifacts), fmt.Sprint(state.Runs[r.Key].Artifacts)
	}
	for _, w := range want.Traces {
		wanted[w.ID] = fmt.Sprintf("%s, %d spans", w.Name, len(w.Spans))
	}
	for id, r := range state.Traces {
		got[id] = fmt.Sprintf("%s, %d spans", r.Tags[mlflow.TagTraceName], len(r.Spans))
	}
	return cmp.Diff(wanted, got)
}

// says waits until the log says something n times.
func (s *site) says(t *testing.T, text string, n int) {
	t.Helper()
	late := time.After(5 * time.Minute)
	for n > 0 {
		select {
		case line := <-s.lines:
			if strings.Contains(line, text) {
				n--
			}
		case <-late:
			t.Fatalf("the log lacks %q: %v", text, s.logs.All())
		}
	}
}

// complaints are the warnings and errors of the log. None of its lines may tell a secret.
func (s *site) complaints(t *testing.T, secrets ...string) (all []string) {
	t.Helper()
	for _, entry := range s.logs.TakeAll() {
		line := fmt.Sprint(entry.Message, " ", entry.ContextMap())
		for _, secret := range secrets {
			if secret == "" {
				continue
			}
			for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("", secret).String()} {
				if strings.Contains(line, form) {
					t.Errorf("the log tells a secret: %s", line)
				}
			}
		}
		if entry.Level >= zapcore.WarnLevel {
			all = append(all, line)
		}
	}
	return all
}

// refused runs an exporter that MLflow refuses, until it has tried some times, and checks that
// its log has one line about that.
func (s *site) refused(t *testing.T, cfg *Config, fixtureName, want string, secrets ...string) {
	t.Helper()
	s.run(t, cfg, fixtureName, func() {
		s.says(t, "Will retry the request", 10)
		lines := s.complaints(t, secrets...)
		if len(lines) != 1 || !strings.Contains(lines[0], "MLflow refuses every request") || !strings.Contains(lines[0], want) {
			t.Errorf("%d warnings and errors in the log; want one that tells %q: %s", len(lines), want, strings.Join(lines, "\n"))
		}
	})
	s.complaints(t, secrets...) // those of the shutdown; the queue keeps what they speak of
}

// delivered runs an exporter until the job of a fixture is in MLflow: one that it is given,
// or one that its queue holds.
func (s *site) delivered(t *testing.T, cfg *Config, given, fixtureName string, secret string, more ...extension.Extension) {
	t.Helper()
	s.run(t, cfg, given, func() { s.complete(t, cfg.Experiment, fixtureName) }, more...)
	if lines := s.complaints(t, secret); len(lines) != 0 {
		t.Errorf("delivered, but the log says: %s", strings.Join(lines, "\n"))
	}
}

const password = "cor/rect horse#1"

// basicAuth is MLflow's own log-in.
func basicAuth(t *testing.T) mlflowtest.RealConfig {
	t.Helper()
	dir := t.TempDir()
	ini := filepath.Join(dir, "auth.ini")
	text := "[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///" + filepath.Join(dir, "auth.db") +
		"\nadmin_username = admin\nadmin_password = " + password + "\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
	if err := os.WriteFile(ini, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := mlflowtest.RealConfig{Args: []string{"--app-name", "basic-auth"}, Env: []string{"MLFLOW_AUTH_CONFIG_PATH=" + ini, "MLFLOW_FLASK_SERVER_SECRET_KEY=test"}}
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth("admin", password)
	cfg.Reach.Headers = map[string]string{"Authorization": r.Header.Get("Authorization")}
	return cfg
}

// With a wrong password nothing is lost: the job waits in the queue on disk, the log says so
// once, and the right password delivers it, after a restart of the Collector that a change
// of its configuration takes. No password is told.
func TestBasicAuth(t *testing.T) {
	s := startSite(t, basicAuth(t))
	as := func(password string) *Config {
		cfg := s.config(t)
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("admin", password)
		cfg.Endpoint = u.String()
		return cfg
	}
	const wrong = "wr/ong horse#2"
	s.refused(t, as(wrong), "model", "401", wrong)
	s.delivered(t, as(password), "", "model", password)
}

// gated is MLflow below a path that takes one Host, and a proxy with TLS of its own CA in
// front of it that takes one bearer token.
func gated(t *testing.T) (s *site, proxy *httptest.Server, ca string) {
	t.Helper()
	s = startSite(t, mlflowtest.RealConfig{
		Args:  []string{"--static-prefix", "/ml", "--allowed-hosts", "mlflow.example.org"},
		Reach: mlflow.Config{Endpoint: "/ml", HostHeader: "mlflow.example.org"},
	})
	target, err := url.Parse(strings.TrimSuffix(s.URL, "/ml"))
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	proxy = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cr3t" || r.Header.Get("X-Team") != "search" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	proxy.Config.ErrorLog = nil
	proxy.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	proxy.StartTLS()
	t.Cleanup(func() {
		proxy.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections() // which the proxy uses
	})
	ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return s, proxy, ca
}

// MLflow below a path, and one that takes certain hosts only: `endpoint` has the path, and
// `host_header` the name. Without it the job waits in the queue. Through TLS with a CA of
// one's own, a bearer token and another header the same server is written to likewise.
func TestPathHostTLSAndBearer(t *testing.T) {
	s, proxy, ca := gated(t)

	through := func(t *testing.T, s *site, token string) *Config {
		cfg := s.config(t)
		cfg.Endpoint = proxy.URL + "/ml"
		cfg.TLS.CAFile = ca
		cfg.HostHeader = "mlflow.example.org"
		cfg.Headers.Set("X-Team", "search")
		if token != "" {
			cfg.Headers.Set("Authorization", configopaque.String("Bearer "+token))
		}
		return cfg
	}
	t.Run("host", func(t *testing.T) {
		s := s.emptied(t)
		s.refused(t, s.config(t), "model", "Invalid Host header")
		cfg := s.config(t)
		cfg.HostHeader = "mlflow.example.org"
		s.delivered(t, cfg, "", "model", "")
	})
	t.Run("token in headers", func(t *testing.T) {
		s := s.emptied(t)
		s.refused(t, through(t, s, "wr0ng"), "success", "401", "wr0ng")
		s.delivered(t, through(t, s, "s3cr3t"), "", "success", "s3cr3t")
	})
	t.Run("token by an extension", func(t *testing.T) {
		s := s.emptied(t)
		cfg := through(t, s, "")
		cfg.Auth = configoptional.Some(configauth.Config{AuthenticatorID: bearerToken})
		f := bearertokenauthextension.NewFactory()
		auth := f.CreateDefaultConfig().(*bearertokenauthextension.Config)
		auth.BearerToken = "s3cr3t"
		e, err := f.Create(t.Context(), extension.Settings{ID: bearerToken, TelemetrySettings: componenttest.NewNopTelemetrySettings()}, auth)
		if err != nil {
			t.Fatal(err)
		}
		s.delivered(t, cfg, "gate_failed", "gate_failed", "s3cr3t", e)
	})
	t.Run("unknown CA", func(t *testing.T) {
		s := s.emptied(t)
		cfg := through(t, s, "s3cr3t")
		cfg.TLS.CAFile = ""
		s.run(t, cfg, "retried", func() { s.says(t, "Will retry the request", 10) })
		if text := fmt.Sprint(s.logs.TakeAll()); !strings.Contains(text, "certificate signed by unknown authority") {
			t.Errorf("the log does not tell the cause: %s", text)
		}
		s.delivered(t, through(t, s, "s3cr3t"), "", "retried", "s3cr3t")
	})
}
