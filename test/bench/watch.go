//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/technoshare/commentator/internal/mlflow"
)

// watch is an extension that authenticates nothing and says on standard output what the
// exporter asked of MLflow: one JSON line for each run that was ended, and every request
// whole if it is told to record.
type watch struct {
	component.StartFunc
	component.ShutdownFunc
	cfg *watchConfig

	mu       sync.Mutex
	requests int
	ended    int
	took     map[string]time.Duration
	count    map[string]int
}

type watchConfig struct {
	Record bool `mapstructure:"record"`
}

// seen is one line.
type seen struct {
	Requests int                      `json:"requests"`           // so far
	Ended    int                      `json:"ended"`              // runs, so far
	Took     map[string]time.Duration `json:"took,omitempty"`     // so far, by operation
	Count    map[string]int           `json:"count,omitempty"`    // so far, by operation
	Recorded *recorded                `json:"recorded,omitempty"` // nil on lines that tell of an ended run
}

// recorded is a request with what its answer is needed for.
type recorded struct {
	Method string      `json:"method"`
	Path   string      `json:"path"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
	RunID  string      `json:"run_id"` // of a run that it made
}

func newWatchFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType("watch"),
		func() component.Config { return &watchConfig{} },
		func(_ context.Context, _ extension.Settings, cfg component.Config) (extension.Extension, error) {
			return &watch{cfg: cfg.(*watchConfig), took: map[string]time.Duration{}, count: map[string]int{}}, nil
		}, component.StabilityLevelDevelopment)
}

// RoundTripper makes it an extensionauth.HTTPClient.
func (w *watch) RoundTripper(base http.RoundTripper) (http.RoundTripper, error) {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		var rec *recorded
		if w.cfg.Record {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			rec = &recorded{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(), Body: body}
		}
		start := time.Now()
		res, err := base.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		if rec != nil {
			answer, err := io.ReadAll(res.Body)
			if err != nil {
				return nil, err
			}
			res.Body = io.NopCloser(bytes.NewReader(answer))
			if operationOf(r.URL.Path) == "runs/create" {
				rec.RunID = runID(answer)
			}
		}
		w.note(r.URL.Path, res.StatusCode, time.Since(start), rec)
		return res, nil
	}), nil
}

func (w *watch) note(path string, status int, took time.Duration, rec *recorded) {
	w.mu.Lock()
	defer w.mu.Unlock()
	operation := operationOf(path)
	w.requests++
	w.took[operation] += took
	w.count[operation]++
	line := seen{Requests: w.requests, Ended: w.ended, Recorded: rec}
	if operation == "runs/update" && status == http.StatusOK {
		w.ended++
		line.Ended, line.Took, line.Count = w.ended, w.took, w.count
	} else if rec == nil {
		return
	}
	b, _ := json.Marshal(line) // numbers and texts: always possible
	_, _ = os.Stdout.Write(append(b, '\n'))
}

func operationOf(path string) string {
	if mlflow.IsArtifact(path) {
		return "artifact"
	}
	return cmp.Or(mlflow.Call(path), strings.TrimPrefix(path, "/"))
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// runID finds the id of a run in the answer that tells of its making.
func runID(answer []byte) string {
	_, rest, ok := bytes.Cut(answer, []byte(`"run_id": "`))
	if !ok {
		if _, rest, ok = bytes.Cut(answer, []byte(`"run_id":"`)); !ok {
			return ""
		}
	}
	id, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(id)
}
