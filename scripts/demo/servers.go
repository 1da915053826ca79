package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/technoshare/commentator/test/sandbox"

	"github.com/technoshare/commentator/internal/analysis/openaitest"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/pipeline"
)

const experiment = "technoshare_demo"

// servers is everything that the demo starts.
type servers struct {
	root      string   // of the checkout
	dir       string   // .demo; also the programs' working directory, so that no .env is read
	ui        string   // address of MLflow
	env       []string // of the worker
	documents *loopback
	model     *loopback
	processes []*process
	client    *mlflow.Client
}

// startServers starts the documents, the recorded model, MLflow and the Collector. What it
// returns must be stopped even when there is an error.
func startServers(ctx context.Context, dir string, documents http.Handler) (*servers, error) {
	s := &servers{dir: dir}
	var err error
	if s.root, err = os.Getwd(); err != nil {
		return s, fmt.Errorf("find the checkout: %w", err)
	}
	if s.documents, err = serve(documents); err != nil {
		return s, err
	}
	if s.model, err = serve(&openaitest.Handler{}); err != nil {
		return s, err
	}
	ports, err := sandbox.FreePorts(8)
	if err != nil {
		return s, err
	}
	address := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	s.ui = "http://" + address(0)
	if s.client, err = mlflow.New(mlflow.Config{Endpoint: s.ui}); err != nil {
		return s, err
	}
	health := "http://" + address(3)

	say("Starting MLflow on %s and the Collector …", s.ui)
	if err := s.start("mlflow", []string{
		"MLFLOW_VERSION=" + os.Getenv("MLFLOW_VERSION"), "MLFLOW_HOST=127.0.0.1", fmt.Sprintf("MLFLOW_PORT=%d", ports[0]),
		"MLFLOW_BACKEND_STORE=sqlite:///" + filepath.Join(dir, "mlflow.db"),
		"MLFLOW_ARTIFACT_ROOT=" + filepath.Join(dir, "mlartifacts"),
	}, "scripts/start_mlflow.sh"); err != nil {
		return s, err
	}
	if err := s.start("collector", []string{
		"MLFLOW_TRACKING_URI=" + s.ui, "MLFLOW_EXPERIMENT_NAME=" + experiment,
		"OTELCOL_DATA_DIR=" + filepath.Join(dir, "collector"),
		"OTELCOL_GRPC_ENDPOINT=" + address(1), "OTELCOL_HTTP_ENDPOINT=" + address(2), "OTELCOL_HEALTH_ENDPOINT=" + address(3),
		fmt.Sprintf("OTELCOL_METRICS_PORT=%d", ports[4]), "OTELCOL_PROMETHEUS_ENDPOINT=" + address(5),
		"OTELCOL_REPLAY_ENDPOINT=" + address(6), "OTELCOL_STATUS_ENDPOINT=" + address(7),
	}, "bin/otelcol-mlflow"); err != nil {
		return s, err
	}
	if err := s.processes[0].waitHTTP(ctx, s.ui+"/health", startPatience); err != nil {
		return s, err
	}
	if err := s.processes[1].waitHTTP(ctx, health, startPatience); err != nil {
		return s, err
	}
	s.env = []string{
		"DB_PATH=" + filepath.Join(dir, "db.sqlite"), "RETRIEVAL_ALLOW_HOSTS=loopback",
		"MLFLOW_ENABLE_TRACKING=true", "MLFLOW_ENABLE_TRACING=true", "MLFLOW_EXPERIMENT_NAME=" + experiment,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + address(1), "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=demo",
		"OTEL_TRACES_SAMPLER=always_on",
		"RETRIEVAL_PDF_CACHE=" + filepath.Join(cmp.Or(os.Getenv("COMMENTATOR_CACHE"), filepath.Join(s.root, ".cache")), "pdf"),
	}
	return s, nil
}

// start starts a program of this tree and notes it for demo-stop, after the demo itself.
func (s *servers) start(name string, env []string, command string, args ...string) error {
	p, err := start(name, s.dir, env, filepath.Join(s.root, command), args...)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	self := &process{Name: "demo", PID: os.Getpid(), Started: startTime(os.Getpid())}
	return saveProcesses(s.dir, append([]*process{self}, s.processes...))
}

// ended waits until the process that was started last under this name ends by itself.
func (s *servers) ended(ctx context.Context, name string) error {
	for i := len(s.processes) - 1; i >= 0; i-- {
		p := s.processes[i]
		if p.Name != name {
			continue
		}
		select {
		case err := <-p.done:
			if err != nil {
				return fmt.Errorf("%s: %w; %s", name, err, p.log.end())
			}
			s.processes = append(s.processes[:i], s.processes[i+1:]...)
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%s does not end: %w", name, ctx.Err())
		}
	}
	return nil
}

// logOf is the log of the process that was started last under a name.
func (s *servers) logOf(name string) (l processLog) {
	for _, p := range s.processes {
		if p.Name == name {
			l = p.log
		}
	}
	return l
}

// stop ends everything in the opposite order of its start.
func (s *servers) stop() {
	for i := len(s.processes) - 1; i >= 0; i-- {
		s.processes[i].stop(stopPatience)
	}
	_ = os.Remove(filepath.Join(s.dir, processesFile))
	for _, l := range []*loopback{s.documents, s.model} {
		if l != nil {
			l.close()
		}
	}
}

// commentator runs a command of the worker and returns the jobs that it printed.
func (s *servers) commentator(ctx context.Context, env []string, args ...string) ([]pipeline.Report, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.root, "bin/commentator"), args...)
	cmd.Dir = s.dir
	cmd.Env = append(append(sandbox.Environ(), s.env...), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	// Exit code 1 says that a job did not end well, which is expected of some documents.
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || len(out) == 0) {
		return nil, fmt.Errorf("commentator %s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	var jobs []pipeline.Report
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var r pipeline.Report
		if err := dec.Decode(&r); err != nil {
			return nil, fmt.Errorf("read the output of commentator %s: %w", strings.Join(args, " "), err)
		}
		jobs = append(jobs, r)
	}
	return jobs, nil
}

// final waits until a job is final.
func (s *servers) final(ctx context.Context, id int64) (pipeline.Report, error) {
	for {
		jobs, err := s.commentator(ctx, nil, "jobs", "show", "--json", fmt.Sprint(id))
		if err != nil {
			return pipeline.Report{}, err
		}
		if len(jobs) == 1 && jobs[0].State == "final" {
			return jobs[0], nil
		}
		select {
		case <-ctx.Done():
			return pipeline.Report{}, fmt.Errorf("job %d is not final; %s", id, s.logOf("worker").end())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
