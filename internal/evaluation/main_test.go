package evaluation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/analysis/openaitest"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/scorers"
	"github.com/technoshare/commentator/internal/gates"
	"github.com/technoshare/commentator/internal/render"
)

// Where a child process finds what it works with, see TestAKilledEvaluationPaysOnce.
const (
	childDatabase = "EVALUATION_TEST_DATABASE"
	childServer   = "EVALUATION_TEST_SERVER"
)

func TestMain(m *testing.M) {
	if os.Getenv(childDatabase) == "" {
		os.Exit(m.Run())
	}
	if err := child(context.Background(), os.Getenv(childDatabase), os.Getenv(childServer)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const evaluationID = "7f1c2a34-5b6d-4e8f-9a0b-1c2d3e4f5a6b"

var began = evaluation.Begun{ID: evaluationID, StartedAt: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)}

// child begins an evaluation, or goes on with it.
func child(ctx context.Context, database, server string) error {
	s, err := evaluation.OpenStore(ctx, database)
	if err != nil {
		return err
	}
	cfg, err := settings(s, server)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	b, there, err := s.Unfinished(ctx)
	if err == nil && !there {
		b = began
		b.Spec = cfg.Spec()
		err = s.Begin(ctx, b)
	}
	if err == nil {
		_, err = evaluation.Run(ctx, cfg, b)
	}
	return errors.Join(err, s.Close())
}

// settings are those of an evaluation of the whole dataset, by the model server at an address, or
// offline when there is none.
func settings(s *evaluation.Store, server string) (evaluation.Config, error) {
	d, err := data.Load(context.Background(), "")
	if err != nil {
		return evaluation.Config{}, err
	}
	dataset, err := evaluation.LoadDataset(filepath.Join("..", "..", "data", "eval_dataset.json"), d.ThemeNames())
	if err != nil {
		return evaluation.Config{}, err
	}
	all, err := scorers.Select(nil, scorers.Options{})
	if err != nil {
		return evaluation.Config{}, err
	}
	cfg := evaluation.Config{
		Settings: "temperature 0",
		Store:    s, Dataset: dataset, Examples: dataset.Examples, Scorers: all, Themes: d.ThemeNames(), Limits: gates.DefaultLimits,
		Gates: gates.Check, Render: render.Slack, Repetitions: 1, Parallel: 2, Now: time.Now,
		Wait:     func(context.Context, int) error { return nil },
		Price:    func(a commentator.Analysis, _ time.Time) (float64, bool) { return 0.01 * float64(a.Usage.Calls), true },
		Analyser: analysis.NewOffline(d), AnalyserKind: evaluation.AnalyserOffline,
	}
	if server == "" {
		return cfg, nil
	}
	cfg.AnalyserKind = evaluation.AnalyserLive
	cfg.Analyser, err = analysis.NewOpenAI(analysis.OpenAIConfig{APIKey: "test", BaseURL: server + "/v1", ModelStageA: "m", ModelStageB: "m"}, d)
	return cfg, err
}

// modelServer counts what it is asked. Fault may answer in its place: it gets the number of the
// request, the first is 1.
type modelServer struct {
	openaitest.Handler
	mu       sync.Mutex
	requests int
	fault    func(n int, w http.ResponseWriter) (answered bool)
}

func (m *modelServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.requests++
	n, fault := m.requests, m.fault
	m.mu.Unlock()
	if fault == nil || !fault(n, w) {
		m.Handler.ServeHTTP(w, r)
	}
}

// meet lets what is asked from now on meet a fault; nil: none.
func (m *modelServer) meet(fault func(n int, w http.ResponseWriter) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fault
}

func (m *modelServer) asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

func startModel(t *testing.T) (*modelServer, string) {
	t.Helper()
	m := &modelServer{}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return m, server.URL
}

// newEvaluation opens a database and begins an evaluation in it.
func newEvaluation(t *testing.T, server string, change func(*evaluation.Config)) (evaluation.Config, evaluation.Begun) {
	t.Helper()
	s, err := evaluation.OpenStore(t.Context(), filepath.Join(t.TempDir(), "eval.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg, err := settings(s, server)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&cfg)
	}
	b := began
	b.Spec = cfg.Spec()
	if err := s.Begin(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return cfg, b
}

func evaluate(t *testing.T, server string, change func(*evaluation.Config)) (*evaluation.Results, error) {
	t.Helper()
	cfg, b := newEvaluation(t, server, change)
	return evaluation.Run(t.Context(), cfg, b)
}
