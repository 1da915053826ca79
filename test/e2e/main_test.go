//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for another program. It is generous because the first start
// of MLflow on a busy machine takes minutes.
const patience = 5 * time.Minute

// checkout is the root of the module.
var checkout = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

var scratch string // holds the programs and the shared server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "commentator-e2e-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		defer stopShared()
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
		go func() {
			<-stop
			killAll() // nothing that was started outlives an interrupted test
			os.Exit(1)
		}()
		return m.Run()
	}())
}

// programs builds the three programs once and returns their folder.
var programs = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "bin") + string(filepath.Separator)
	cmd := exec.Command("go", "build", "-o", dir, "./cmd/...")
	cmd.Dir = checkout
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build programs: %w\n%s", err, out)
	}
	return dir, nil
})

func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// python is the Python that has MLflow's client: the one that start_mlflow.sh installed.
var python = sync.OnceValues(func() (string, error) {
	if p := os.Getenv("MLFLOW_TEST_PYTHON"); p != "" {
		return p, nil
	}
	cmd := exec.Command(filepath.Join(checkout, "scripts", "start_mlflow.sh"), "--python")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
})
