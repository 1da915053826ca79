//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/technoshare/commentator/test/sandbox"
)

// server is MLflow, started by way of scripts/start_mlflow.sh.
type server struct {
	*process
	url string
	dir string // database and artifacts
}

// startServer starts MLflow; store is the address of its database, "" meaning SQLite. args are
// further arguments of `mlflow server`.
func startServer(top, dir, store string, args ...string) (*server, error) {
	ports, err := sandbox.FreePorts(1)
	if err != nil {
		return nil, err
	}
	return startServerAt(top, dir, store, ports[0], args...)
}

func startServerAt(top, dir, store string, port int, args ...string) (*server, error) {
	s := &server{url: fmt.Sprintf("http://127.0.0.1:%d", port), dir: filepath.Join(dir, "mlflow")}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	env := []string{fmt.Sprintf("MLFLOW_PORT=%d", port)}
	if store != "" {
		env = append(env, "MLFLOW_BACKEND_STORE="+store)
	}
	var err error
	if s.process, err = launch(s.dir, "server", env, nil, filepath.Join(top, "scripts", "start_mlflow.sh"), args...); err != nil {
		return nil, err
	}
	if err := s.answers(s.url + "/health"); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// python is the Python that has MLflow's client.
func python(top string) (string, error) {
	cmd := exec.Command(filepath.Join(top, "scripts", "start_mlflow.sh"), "--python")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
