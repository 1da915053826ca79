//go:build realserver

package apply_test

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
)

// The contract also runs over a real server: MLFLOW_TEST_ENDPOINT is the address of a
// running one on this machine, or else MLFLOW_TEST_PYTHON names a Python that has mlflow
// installed, and one is started, on MLFLOW_TEST_STORE if that is set. It serves all tests;
// each has an experiment of its own.
func init() { servers["real"] = realServer }

var realURL = sync.OnceValues(startReal)

func realServer(t *testing.T) string {
	url, err := realURL()
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// startReal starts MLflow in a directory of its own, on SQLite unless a store is named; stopReal ends it. With one
// worker there is no supervisor that kills workers which a busy machine keeps from
// answering.
func startReal() (string, error) {
	if endpoint := os.Getenv("MLFLOW_TEST_ENDPOINT"); endpoint != "" {
		return endpoint, nil
	}
	python := os.Getenv("MLFLOW_TEST_PYTHON")
	if python == "" {
		return "", fmt.Errorf("set MLFLOW_TEST_PYTHON to a Python with mlflow installed")
	}
	dir, err := os.MkdirTemp("", "mlflow-contract-*")
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		return "", err
	}
	out, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return "", err
	}
	store := cmp.Or(os.Getenv("MLFLOW_TEST_STORE"), "sqlite:///"+filepath.Join(dir, "mlflow.db"))
	cmd := exec.Command(python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", fmt.Sprint(addr.Port), "--workers", "1",
		"--backend-store-uri", store, "--artifacts-destination", filepath.Join(dir, "artifacts"))
	cmd.Env = append(os.Environ(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false") // as start_mlflow.sh does
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stopReal = func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = os.RemoveAll(dir)
	}
	client, err := mlflow.New(mlflow.Config{Endpoint: "http://" + addr.String()})
	if err != nil {
		return "", err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for {
		version, err := client.Version(ctx)
		if err == nil {
			_, err = client.GetExperimentByName(ctx, "Default") // the database is there too
		}
		if err == nil {
			log.Printf("MLflow %s on %s", version, addr)
			return client.Endpoint(), nil
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(out.Name())
			return "", fmt.Errorf("MLflow did not start: %s", text)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
