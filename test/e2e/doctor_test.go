//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/doctor"
	"github.com/technoshare/commentator/internal/wire/fixture"
	"github.com/technoshare/commentator/test/sandbox"
)

// doctor runs mlflowctl doctor where a worker is, and gives what it found by probe.
func (w *worker) doctor(t *testing.T, settings ...string) (map[string]doctor.Result, doctor.Report) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, "mlflowctl"), "doctor", "--json")
	cmd.Dir, cmd.Env = w.dir, append(append(sandbox.Environ(), w.env()...), settings...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var report doctor.Report
	if jsonErr := json.Unmarshal(out, &report); jsonErr != nil {
		t.Fatalf("mlflowctl doctor: %v, %v: %s%s", err, jsonErr, out, &stderr)
	}
	if failed := report.Fail > 0; failed != (err != nil) {
		t.Errorf("%d probes failed, and the program ended with %v", report.Fail, err)
	}
	byID := map[string]doctor.Result{}
	for _, one := range report.Probes {
		byID[one.ID] = one
	}
	return byID, report
}

// Worker, Collector and MLflow as they are: nothing is wrong.
func TestDoctorOnTheWholeChain(t *testing.T) {
	s := sharedServer(t)
	c := startCollector(t, s.url, "doctored", t.TempDir())
	w := newWorker(t, c)
	w.run(t, "replay", w.page)
	w.flushed(t)
	c.deliveredAtLeast(t, 1)
	found, report := w.doctor(t, append(c.settings, "MLFLOW_TRACKING_URI="+s.url, "MLFLOW_EXPERIMENT_NAME=doctored")...)
	for _, one := range report.Probes {
		if one.Status == doctor.Fail || one.Status == doctor.Warn {
			t.Errorf("%s: %s, %s", one.ID, one.Status, one.Found)
		}
	}
	for _, id := range []string{"ports", "mlflow-traces", "mlflow-artifacts", "mlflow-store", "mlflow-workers", "collector-up", "collector-takes", "collector-queue", "dead-letters", "database", "outbox", "disk"} {
		if found[id].Status != doctor.OK {
			t.Errorf("%s: %s, %s", id, found[id].Status, found[id].Found)
		}
	}
}

// MLflow is away, the Collector's queue fills up, and at last the Collector is gone.
func TestDoctorSeesTheCollectorFillUp(t *testing.T) {
	requests, _, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	ports, err := sandbox.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	nowhere := "http://127.0.0.1:" + strconv.Itoa(ports[0])
	full := startCollector(t, nowhere, "doctored", t.TempDir(),
		"--config="+filepath.Join(checkout, "cmd", "otelcol-mlflow", "default.yaml"), "--set=exporters::mlflow::sending_queue::queue_size=100000")
	for n := 0; ; n++ { // until one is refused
		if n == 1000 {
			t.Fatal("the queue does not fill up")
		}
		if _, err := full.export(requests[n%len(requests)]); err != nil {
			break
		}
	}
	w := newWorker(t, full)
	var found map[string]doctor.Result
	where := append(full.settings, "MLFLOW_TRACKING_URI="+nowhere)
	err = full.until("the exporter to be ill", func() bool {
		found, _ = w.doctor(t, where...)
		return found["collector-up"].Status == doctor.Fail
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"mlflow-reachable": "nothing answers on " + nowhere, "collector-up": "exporter:mlflow StatusRecoverableError", "collector-queue": "mlflow traces",
	} {
		if got := found[id]; got.Status != doctor.Fail || !strings.Contains(got.Found, want) || got.Fix == "" {
			t.Errorf("%s: %s, want a failure with %q: %s", id, got.Status, want, got.Found)
		}
	}
	full.stop()
	found, _ = w.doctor(t, where...)
	for _, id := range []string{"collector-up", "collector-takes"} {
		if got := found[id]; got.Status != doctor.Fail || !strings.Contains(got.Found, "connection refused") {
			t.Errorf("%s of a Collector that is gone: %s, %s", id, got.Status, got.Found)
		}
	}
}
