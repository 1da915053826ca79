package deploy

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// whatTheySay is what the units of Collector and MLflow have in the journal, as journalctl prints it:
// lines of zap's console form, of MLflow's loggers, of uvicorn, of gunicorn and of systemd.
const whatTheySay = `Nov 28 22:16:50 host systemd[1]: Started otelcol-mlflow.service - OpenTelemetry Collector that writes to MLflow.
Nov 28 22:16:50 host otelcol-mlflow[7]: 2026-11-28T22:16:50.139Z	info	service@v0.161.0/service.go:233	Starting otelcol-mlflow...	{"error_type": "none"}
Nov 28 22:16:50 host otelcol-mlflow[7]: 2026-11-28T22:16:50.352Z	warn	mlflowexporter/status.go:104	MLflow is away	{"otelcol.component.id": "mlflow"}
Nov 28 22:16:51 host otelcol-mlflow[7]: 2026-11-28T22:16:51.352Z	error	internal/queue_sender.go:49	Exporting failed. Dropping data.	{"dropped_items": 3}
Nov 28 22:16:52 host otelcol-mlflow[8]: Error: invalid configuration: exporters::mlflow: :bad is not an address
Nov 28 22:16:50 host python[9]: INFO:     Uvicorn running on http://127.0.0.1:5000 (Press CTRL+C to quit)
Nov 28 22:16:50 host python[9]: INFO:     127.0.0.1:50000 - "POST /api/2.0/mlflow/runs/create HTTP/1.1" 200 OK
Nov 28 22:16:51 host python[9]: [2026-11-28 22:16:51 +0000] [9] [CRITICAL] WORKER TIMEOUT (pid:10)
Nov 28 22:16:51 host python[9]: ERROR:    Exception in ASGI application
Nov 28 22:16:51 host python[9]: 2026/11/28 22:16:51 INFO mlflow.store.db.utils: Updating database tables
Nov 28 22:16:51 host python[9]: 2026/11/28 22:16:51 WARNING mlflow.tracking: the artifact store is slow
`

// Whoever is woken sees with the first commands of the runbooks what the three programs warn of.
func TestTheFirstCommandsOfTheRunbooksShowWarnings(t *testing.T) {
	page, err := os.ReadFile("../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "needs the deployment that the alert is about\n")
	block, _, _ = strings.Cut(block, "```")
	file := ""
	for _, setting := range options(t, unitFile)["Service.Environment"] {
		if path, found := strings.CutPrefix(setting, "LOG_FILE="); found {
			file = strings.ReplaceAll(path, "%L", "/var/log")
		}
	}
	if file == "" || !strings.Contains(block, file) {
		t.Fatalf("the worker's log is %s, which is not in\n%s", file, block)
	}
	dir := t.TempDir()
	var own bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&own, nil))
	log.Info("all is well, no error")
	log.Warn("telemetry messages are given up")
	log.Error("a job failed")
	for name, text := range map[string]string{"worker.log": own.String(), "journal": whatTheySay} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A journal in which all has the level info, as that of plain lines has.
	stub := "#!/bin/sh\ncase \" $* \" in *' -p '*|*priority*) ;; *) cat '" + filepath.Join(dir, "journal") + "' ;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "journalctl"), []byte(stub), 0o755); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(block, file, filepath.Join(dir, "worker.log"))) {
		if !strings.Contains(line, "grep") && !strings.Contains(line, "mlflow -u") {
			continue // needs the deployment, or shows what the unit says
		}
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", line)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
		said.Write(out)
	}
	for _, want := range []string{"are given up", "a job failed", "MLflow is away", "Dropping data", "invalid configuration", "WORKER TIMEOUT", "ASGI application", "store is slow", "Started otelcol-mlflow.service"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("they do not show %q", want)
		}
	}
	for _, other := range []string{"all is well", "Starting otelcol-mlflow...", "Uvicorn running", "200 OK", "Updating database"} {
		if strings.Contains(said.String(), other) {
			t.Errorf("they show %q", other)
		}
	}
}
