//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/technoshare/commentator/test/sandbox"

	"github.com/technoshare/commentator/internal/wire/fixture"
)

// TestJobLooksAsTheSDKWritesIt records one job twice: by the old pipeline's calls of
// MLflow's SDK, and by spans through the Collector. What then differs for a reader who
// uses MLflow's client is listed, with reasons, in testdata/differences.yaml, ten lines at
// most; another difference fails, and so does a line that differs no more. Server and clients
// are of the version that MLFLOW_TEST_PYTHON has.
func TestJobLooksAsTheSDKWritesIt(t *testing.T) {
	const name = "model"
	interpreter, err := python()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	s, err := runServer(folder, func(port int) (*process, error) {
		return start(folder, "mlflow", []string{"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"}, interpreter, "-m", "mlflow", "server",
			"--host", "127.0.0.1", "--port", fmt.Sprint(port), "--workers", "2",
			"--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./mlartifacts", "--serve-artifacts")
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	dir, err := fixture.Dir()
	if err != nil {
		t.Fatal(err)
	}
	recordWithSDK(t, s, filepath.Join(dir, "otlp", name+".json"), "written by the SDK")

	requests, _, err := fixture.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	c := startCollector(t, s.url, "written by the bridge", t.TempDir())
	c.send(t, requests...)
	c.delivered(t)

	allowed := filepath.Join(checkout, "test", "e2e", "testdata", "differences.yaml")
	if out, err := compareJobs(t, s, allowed).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}

	// The comparison itself: what is not allowed, and what does not differ, make it fail.
	list, err := os.ReadFile(allowed)
	if err != nil {
		t.Fatal(err)
	}
	const line = `- line: "span, only by the bridge: GET, chat.postMessage"`
	changed := strings.Replace(string(list), line, `- line: "run status: FINISHED | FAILED (job_29)"`, 1)
	wrong := filepath.Join(folder, "wrong.yaml")
	if err := os.WriteFile(wrong, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := compareJobs(t, s, wrong).CombinedOutput()
	for _, complaint := range []string{"not allowed: span, only by the bridge: GET", "does not differ any more: {'line': 'run status"} {
		if err == nil || !strings.Contains(string(out), complaint) {
			t.Errorf("with another list the comparison says (%v):\n%s\nwant %q", err, out, complaint)
		}
	}
}

func compareJobs(t *testing.T, s *server, allowed string) *exec.Cmd {
	return mlflowScript(t, s, "compare.py", "written by the SDK", "written by the bridge", allowed)
}

// recordWithSDK makes the SDK's calls for the job of a fixture.
func recordWithSDK(t *testing.T, s *server, path, experiment string) {
	t.Helper()
	cmd := mlflowScript(t, s, "sdk_job.py", path, experiment)
	cmd.Stdin = strings.NewReader(`{"jobs": 1}` + "\n")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("record a job with MLflow's SDK: %v\n%s", err, complaints.String())
	}
	_, answer, _ := strings.Cut(string(out), "\n") // the first line is its version
	var took struct{ MS []float64 }
	if err := json.Unmarshal([]byte(answer), &took); err != nil || len(took.MS) != 1 {
		t.Fatalf("record a job with MLflow's SDK: it says %q\n%s", out, complaints.String())
	}
	t.Logf("the SDK took %.0f ms", took.MS[0])
}

// mlflowScript is one of scripts/mlflow, run by the Python that has MLflow.
func mlflowScript(t *testing.T, s *server, name string, args ...string) *exec.Cmd {
	t.Helper()
	interpreter, err := python()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(interpreter, append([]string{filepath.Join(checkout, "scripts", "mlflow", name)}, args...)...)
	cmd.Env = append(sandbox.Environ(), "MLFLOW_TRACKING_URI="+s.url)
	cmd.Dir = s.dir
	return cmd
}
