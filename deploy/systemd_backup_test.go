package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/backup"
)

const (
	backupService = "systemd/technoshare-backup.service"
	backupTimer   = "systemd/technoshare-backup.timer"
)

// The timer starts the service that has its name, also after a night without power.
func TestBackupTimerStartsTheBackup(t *testing.T) {
	got := options(t, backupTimer)
	if strings.TrimSuffix(backupTimer, ".timer") != strings.TrimSuffix(backupService, ".service") || got["Timer.Unit"] != nil {
		t.Errorf("%s starts something else: %v", backupTimer, got["Timer.Unit"])
	}
	if len(got["Timer.OnCalendar"]) != 1 || got["Timer.Persistent"][0] != "yes" || got["Install.WantedBy"][0] != "timers.target" {
		t.Errorf("%v", got)
	}
	if _, ok := options(t, backupService)["Install.WantedBy"]; ok {
		t.Error("the service is enabled by itself")
	}
}

// The backup reads the files that the worker's unit writes.
func TestBackupUnitReadsWhatTheWorkerWrites(t *testing.T) {
	worker, got := options(t, unitFile), options(t, backupService)
	for _, name := range []string{"DB_PATH=", "DATA_DIR=", "EnvironmentFile"} {
		option := "Service.Environment"
		if name == "EnvironmentFile" {
			option, name = "Service.EnvironmentFile", ""
		}
		want := first(worker[option], name)
		if want == "" || first(got[option], name) != want {
			t.Errorf("%s is %q; the worker's unit has %q", name, first(got[option], name), want)
		}
	}
	for name, want := range map[string]string{
		"Service.Type": "oneshot", "Service.UMask": "0077", "Service.StateDirectoryMode": "0700",
		"Service.WorkingDirectory": worker["Service.WorkingDirectory"][0], "Service.PrivateNetwork": "yes",
	} {
		if values := got[name]; len(values) != 1 || values[0] != want {
			t.Errorf("%s is %q; want %q", name, values, want)
		}
	}
	start := got["Service.ExecStart"][0]
	if to := "--to %S/" + got["Service.StateDirectory"][0] + " "; !strings.Contains(start, to) || !strings.Contains(start, "--keep ") {
		t.Errorf("%q does not put a number of backups into its own directory", start)
	}
	if env := strings.TrimPrefix(got["Service.EnvironmentFile"][0], "-"); !strings.Contains(start, "--include="+backup.MayBeAbsent+env) {
		t.Errorf("%q does not keep the settings of %s", start, env)
	}
}

// It reads what the units of MLflow and the Collector write, too.
func TestBackupUnitReadsMLflowAndTheCollector(t *testing.T) {
	got := options(t, backupService)["Service.Environment"]
	mlflow, collector := options(t, "systemd/mlflow.service"), options(t, "systemd/otelcol-mlflow.service")
	_, store, _ := strings.Cut(first(mlflow["Service.Environment"], "MLFLOW_BACKEND_STORE_URI="), "=")
	_, root, _ := strings.Cut(mlflow["Service.ExecStart"][0], "--artifacts-destination ")
	root, _, _ = strings.Cut(root, " ")
	for _, want := range []string{"MLFLOW_BACKEND_STORE=" + store, "MLFLOW_ARTIFACT_ROOT=" + root, first(collector["Service.Environment"], "OTELCOL_DATA_DIR=")} {
		if first(got, want) != want || strings.HasSuffix(want, "=") {
			t.Errorf("it lacks %q; it has %q", want, got)
		}
	}
	start := options(t, backupService)["Service.ExecStart"][0]
	for _, unit := range []map[string][]string{mlflow, collector} {
		if env := strings.TrimPrefix(unit["Service.EnvironmentFile"][0], "-"); !strings.Contains(start, "--include="+backup.MayBeAbsent+env) {
			t.Errorf("%q does not keep the settings of %s", start, env)
		}
	}
}

func first(values []string, prefix string) string {
	for _, v := range values {
		if strings.HasPrefix(v, prefix) {
			return v
		}
	}
	return ""
}

// systemd finds nothing wrong in the two, and rates what the service may do as little.
func TestSystemdAcceptsTheBackupUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	const program = "/usr/local/bin/mlflowctl"
	dir := t.TempDir()
	there := filepath.Join(dir, "mlflowctl")
	if err := os.WriteFile(there, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var units []string
	for _, file := range []string{backupService, backupTimer} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		units = append(units, filepath.Join(dir, filepath.Base(file)))
		if err := os.WriteFile(units[len(units)-1], bytes.ReplaceAll(text, []byte(program), []byte(there)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err = exec.Command(analyze, "security", "--offline=yes", "--threshold=35", "--no-pager", units[0]).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
