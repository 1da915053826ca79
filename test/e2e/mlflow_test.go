//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/technoshare/commentator/test/sandbox"

	"github.com/technoshare/commentator/internal/wire/fixture"
)

// server is an MLflow server together with a reader that speaks to it through MLflow's
// Python client.
type server struct {
	*process
	url string
	dir string // working directory; the database is dir/mlflow.db

	mu     sync.Mutex // one request to the reader at a time
	reader *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader

	prompts sync.Once
}

var shared struct {
	once   sync.Once
	server *server
	err    error
}

// sharedServer is the server that most tests use, each with experiments of its own.
func sharedServer(t *testing.T) *server {
	t.Helper()
	shared.once.Do(func() {
		dir := filepath.Join(scratch, "mlflow")
		if shared.err = os.Mkdir(dir, 0o755); shared.err == nil {
			shared.server, shared.err = startServer(dir)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

func stopShared() {
	if shared.server != nil {
		shared.server.stop()
	}
}

// startServer starts MLflow by way of scripts/start_mlflow.sh.
func startServer(dir string) (*server, error) {
	return runServer(dir, func(port int) (*process, error) {
		return start(dir, "mlflow", []string{fmt.Sprintf("MLFLOW_PORT=%d", port)}, filepath.Join(checkout, "scripts", "start_mlflow.sh"))
	})
}

func runServer(dir string, launch func(port int) (*process, error)) (*server, error) {
	ports, err := sandbox.FreePorts(1)
	if err != nil {
		return nil, err
	}
	s := &server{url: fmt.Sprintf("http://127.0.0.1:%d", ports[0]), dir: dir}
	if s.process, err = launch(ports[0]); err != nil {
		return nil, err
	}
	if err := s.answers(s.url + "/health"); err != nil {
		s.process.stop()
		return nil, err
	}
	if err := s.startReader(); err != nil {
		s.process.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) startReader() error {
	interpreter, err := python()
	if err != nil {
		return err
	}
	s.reader = exec.Command(interpreter, filepath.Join(checkout, "scripts", "mlflow", "dump.py"))
	s.reader.Env = append(sandbox.Environ(), "MLFLOW_TRACKING_URI="+s.url, "MLFLOW_HTTP_REQUEST_TIMEOUT=60")
	s.reader.Dir, s.reader.Stderr = s.dir, os.Stderr
	if s.in, err = s.reader.StdinPipe(); err != nil {
		return err
	}
	out, err := s.reader.StdoutPipe()
	if err != nil {
		return err
	}
	s.out = bufio.NewReader(out)
	return s.reader.Start()
}

func (s *server) stop() {
	if s.reader != nil {
		_ = s.in.Close()
		_ = s.reader.Wait()
	}
	s.process.stop()
}

// ask sends a request to the reader.
func (s *server) ask(t *testing.T, request, answer any) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.in.Write(append(body, '\n')); err != nil {
		t.Fatal(err)
	}
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("read answer of MLflow's client: %v\n%s", err, s.text())
	}
	var failed struct{ Error string }
	if err := json.Unmarshal(line, &failed); err != nil {
		t.Fatalf("read answer %s: %v", line, err)
	}
	if failed.Error != "" {
		t.Fatalf("ask MLflow for %s: %s", body, failed.Error)
	}
	if err := json.Unmarshal(line, answer); err != nil {
		t.Fatalf("read answer: %v", err)
	}
}

// state is what MLflow holds, as dump.py says it.
type state struct {
	Runs   []run
	Traces []trace
	Linked map[string][]string // run id → ids of traces that a search by run finds
}

type run struct {
	RunID       string `json:"run_id"`
	Experiment  string
	Name        string
	Status      string
	Deleted     bool
	StartMS     int64 `json:"start_ms"`
	EndMS       int64 `json:"end_ms"`
	Params      map[string]string
	Tags        map[string]string
	Metrics     map[string]float64
	Prompts     []string
	ArtifactURI string `json:"artifact_uri"`
	Artifacts   map[string]string
	Datasets    []string // name@digest
}

type trace struct {
	ID         string
	Experiment string
	Name       string
	State      string
	RequestMS  int64 `json:"request_ms"`
	DurationMS int64 `json:"duration_ms"`
	Session    string
	User       string
	SourceRun  string           `json:"source_run"`
	TokenUsage map[string]int64 `json:"token_usage"`
	CostUSD    float64          `json:"cost_usd"`
	Tags       map[string]string
	Prompts    []string
	// Assessments are as in fixture.Trace.
	Assessments []string
	Request     string
	Response    string
	Spans       []span
}

type span struct {
	ID, Parent, Name, Type, Status string
	Inputs, Outputs                bool
	Attributes                     []string
	Events                         int
}

// registerPrompts puts the prompts that fixtures name into the registry.
func (s *server) registerPrompts(t *testing.T) {
	t.Helper()
	s.prompts.Do(func() {
		var nothing struct{}
		s.ask(t, map[string]any{"register_prompts": fixture.Prompts}, &nothing)
	})
}

func (s *server) dump(t *testing.T, experiments ...string) state {
	t.Helper()
	var held state
	s.ask(t, map[string]any{"dump": experiments}, &held)
	return held
}

func (s *server) search(t *testing.T, filter string, experiments ...string) []string {
	t.Helper()
	var found struct{ Names []string }
	s.ask(t, map[string]any{"search": filter, "experiments": experiments}, &found)
	return found.Names
}
