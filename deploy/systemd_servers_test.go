package deploy

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/test/sandbox"
)

func TestUnitsHardenTheServers(t *testing.T) {
	for _, file := range []string{"systemd/otelcol-mlflow.service", "systemd/mlflow.service"} {
		got := options(t, file)
		for name, want := range map[string]string{
			"Unit.StartLimitIntervalSec":    "0",
			"Service.CapabilityBoundingSet": "",
			"Service.NoNewPrivileges":       "yes",
			"Service.ProtectSystem":         "strict",
			"Service.ProtectHome":           "yes",
			"Service.PrivateTmp":            "yes",
			"Service.PrivateDevices":        "yes",
			"Service.ProtectKernelTunables": "yes",
			"Service.ProtectKernelModules":  "yes",
			"Service.ProtectControlGroups":  "yes",
			"Service.RestrictNamespaces":    "yes",
			"Service.UMask":                 "0077",
			"Service.StateDirectoryMode":    "0700",
			"Install.WantedBy":              "multi-user.target",
		} {
			if values := got[name]; len(values) != 1 || values[0] != want {
				t.Errorf("%s: %s is %q; want %q", file, name, values, want)
			}
		}
	}
}

// The three units on one host: no two listen at one address, the Collector keeps its data in its
// own directory, by names that its configuration has, and looks for MLflow where that listens.
func TestUnitsFitTogether(t *testing.T) {
	collector, mlflow, worker := options(t, "systemd/otelcol-mlflow.service"), options(t, "systemd/mlflow.service"), options(t, unitFile)
	config, err := os.ReadFile("../cmd/otelcol-mlflow/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, m := range regexp.MustCompile(`\$\{env:(\w+):-([^}]*)\}`).FindAllStringSubmatch(string(config), -1) {
		settings[m[1]] = m[2]
	}
	for _, line := range collector["Service.Environment"] {
		name, value, _ := strings.Cut(line, "=")
		if _, known := settings[name]; !known {
			t.Errorf("the Collector's configuration does not use %s", name)
		}
		settings[name] = value
	}
	state := "%S/" + collector["Service.StateDirectory"][0]
	if settings["OTELCOL_DATA_DIR"] != state || collector["Service.WorkingDirectory"][0] != state {
		t.Errorf("the Collector keeps its data in %s, its directory is %s", settings["OTELCOL_DATA_DIR"], state)
	}
	taken := map[string]string{}
	listens := func(address, who string) {
		if host, _, err := net.SplitHostPort(address); err != nil || host != "127.0.0.1" {
			t.Errorf("%s listens at %q, which is not loopback", who, address)
		}
		if other := taken[address]; other != "" {
			t.Errorf("%s and %s both listen at %s", who, other, address)
		}
		taken[address] = who
	}
	for name, value := range settings {
		switch {
		case strings.HasPrefix(name, "OTELCOL_") && strings.HasSuffix(name, "_ENDPOINT"):
			listens(value, "the Collector ("+name+")")
		case name == "OTELCOL_METRICS_PORT":
			listens("127.0.0.1:"+value, "the Collector ("+name+")")
		}
	}
	for _, line := range worker["Service.Environment"] {
		if value, found := strings.CutPrefix(line, "METRICS_ADDR="); found {
			listens(value, "the worker")
			pagesName(t, value)
		}
	}
	command := strings.Fields(mlflow["Service.ExecStart"][0])
	after := func(flag string) string {
		i := slices.Index(command, flag)
		if i < 0 || i+1 == len(command) {
			t.Fatalf("MLflow has no %s: %q", flag, command)
		}
		return command[i+1]
	}
	listens(net.JoinHostPort(after("--host"), after("--port")), "MLflow")
	if want := "http://" + net.JoinHostPort(after("--host"), after("--port")); settings["MLFLOW_TRACKING_URI"] != want {
		t.Errorf("the Collector looks for MLflow at %s, it is at %s", settings["MLFLOW_TRACKING_URI"], want)
	}
	if own := "%S/" + mlflow["Service.StateDirectory"][0]; !strings.HasPrefix(after("--artifacts-destination"), own+"/") ||
		!slices.Contains(mlflow["Service.Environment"], "MLFLOW_BACKEND_STORE_URI=sqlite:///"+own+"/mlflow.db") {
		t.Errorf("MLflow keeps its data elsewhere than in %s", own)
	}
	for _, scraped := range []string{"127.0.0.1:9465", "127.0.0.1:8888"} {
		text, err := os.ReadFile("prometheus/prometheus.yml")
		if err != nil {
			t.Fatal(err)
		}
		if taken[scraped] == "" || !strings.Contains(string(text), "["+scraped+"]") {
			t.Errorf("Prometheus is not told of %s (%s)", scraped, taken[scraped])
		}
	}
}

// pagesName looks whether the pages have the address at which the units let the worker answer.
func pagesName(t *testing.T, address string) {
	t.Helper()
	for _, page := range []string{"RUNNING.md", "OPERATIONS.md", "MIGRATION.md", "CONFIGURATION.md"} {
		text, err := os.ReadFile("../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), address) {
			t.Errorf("docs/%s does not name %s for the worker", page, address)
		}
	}
}

// Files that programs keep open and do not open anew have to be copied and emptied, and the start
// script has to append to them.
func TestLogsOfTheStartScriptAreRotated(t *testing.T) {
	text, err := os.ReadFile("logrotate/technoshare-background")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("../scripts/start_mlflow.sh")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "/.mlflow/*.log {") || !strings.Contains(string(text), "\n    copytruncate\n") {
		t.Error("it does not rotate what lies in .mlflow, or not by copying")
	}
	if !strings.Contains(string(script), `>>"$state/$name.log"`) || !strings.Contains(string(script), "setting MLFLOW_STATE_DIR ./.mlflow") {
		t.Error("the start script does not append to logs in .mlflow")
	}
	logrotate, err := exec.LookPath("logrotate")
	if err != nil {
		return // not installed: what is above has to do
	}
	if out, err := exec.Command(logrotate, "--debug", "--state", filepath.Join(t.TempDir(), "state"), "logrotate/technoshare-background").CombinedOutput(); err != nil {
		t.Errorf("logrotate --debug: %v\n%s", err, out)
	}
}

// The folder of pids and logs may stand in .env, where `mlflowctl rollback` finds it too.
func TestTheStartScriptTakesItsFolderFromDotenv(t *testing.T) {
	dir := t.TempDir()
	pid := filepath.Join(dir, "there", "mlflow.pid")
	if err := os.Mkdir(filepath.Dir(pid), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{filepath.Join(dir, ".env"): "MLFLOW_STATE_DIR=there\n", pid: "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script, err := filepath.Abs("../scripts/start_mlflow.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, "--stop")
	cmd.Dir, cmd.Env = dir, sandbox.Environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := os.Stat(pid); !os.IsNotExist(err) {
		t.Errorf("--stop does not look into the folder of .env: %v", err)
	}
}

// The doctor's timer starts its service, which looks where the worker and the Collector of the other
// units are, and systemd accepts both.
func TestDoctorLooksWhereTheOthersAre(t *testing.T) {
	const service, timer = "systemd/technoshare-doctor.service", "systemd/technoshare-doctor.timer"
	got := options(t, service)
	others := slices.Concat(options(t, unitFile)["Service.Environment"], options(t, "systemd/otelcol-mlflow.service")["Service.Environment"])
	for _, setting := range got["Service.Environment"] {
		if !slices.Contains(others, setting) {
			t.Errorf("%s: no other unit says so", setting)
		}
	}
	for _, name := range []string{"DB_PATH", "DATA_DIR", "METRICS_ADDR"} {
		if !slices.ContainsFunc(got["Service.Environment"], func(setting string) bool { return strings.HasPrefix(setting, name+"=") }) {
			t.Errorf("it does not say %s, which the worker's unit says", name)
		}
	}
	if user, state := got["Service.User"][0], got["Service.StateDirectory"][0]; user+".service" != filepath.Base(unitFile) || state != options(t, unitFile)["Service.StateDirectory"][0] {
		t.Errorf("it is %s in %s, which is not the worker", user, state)
	}
	if len(options(t, timer)["Timer.OnCalendar"]) != 1 || strings.TrimSuffix(filepath.Base(timer), ".timer") != strings.TrimSuffix(filepath.Base(service), ".service") {
		t.Error("the timer does not start it")
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mlflowctl"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"verify", "--man=no"}
	for _, file := range []string{service, timer} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte("/usr/local/bin/mlflowctl"), []byte(filepath.Join(dir, "mlflowctl"))), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if out, err := exec.Command(analyze, "security", "--offline=yes", "--threshold=20", "--no-pager", args[2]).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
