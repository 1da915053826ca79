//go:build realserver

package mlflowexporter

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
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

var fileStorage = component.MustNewID("file_storage")

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
func (s *site) delivered(t *testing.T, cfg *Config, given, fixtureName, secret string, more ...extension.Extension) {
	t.Helper()
	s.run(t, cfg, given, func() { s.complete(t, cfg.Experiment, fixtureName) }, more...)
	if lines := s.complaints(t, secret); len(lines) != 0 {
		t.Errorf("delivered, but the log says: %s", strings.Join(lines, "\n"))
	}
}
