package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/technoshare/commentator/internal/config"
)

const unitFile = "systemd/technoshare-commentator.service"

// options reads a unit file: the values of each option of each section, in order.
func options(t *testing.T, path string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all, err := unit.DeserializeOptions(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	out := map[string][]string{}
	for _, o := range all {
		out[o.Section+"."+o.Name] = append(out[o.Section+"."+o.Name], o.Value)
	}
	return out
}

func TestUnitHardensTheWorker(t *testing.T) {
	got := options(t, unitFile)
	for name, want := range map[string]string{
		"Unit.StartLimitIntervalSec":       "0",
		"Service.Type":                     "exec",
		"Service.DynamicUser":              "yes",
		"Service.Restart":                  "on-failure",
		"Service.RestartPreventExitStatus": "2",
		"Service.ExecReload":               "/bin/kill -HUP $MAINPID",
		"Service.KillMode":                 "mixed",
		"Service.CapabilityBoundingSet":    "",
		"Service.NoNewPrivileges":          "yes",
		"Service.ProtectSystem":            "strict",
		"Service.ProtectHome":              "yes",
		"Service.PrivateTmp":               "yes",
		"Service.PrivateDevices":           "yes",
		"Service.PrivateUsers":             "yes",
		"Service.ProtectKernelTunables":    "yes",
		"Service.ProtectKernelModules":     "yes",
		"Service.ProtectControlGroups":     "yes",
		"Service.RestrictNamespaces":       "yes",
		"Service.RestrictSUIDSGID":         "yes",
		"Service.LockPersonality":          "yes",
		"Service.SystemCallArchitectures":  "native",
		"Service.UMask":                    "0077",
		"Install.WantedBy":                 "multi-user.target",
	} {
		if values := got[name]; len(values) != 1 || values[0] != want {
			t.Errorf("%s is %q; want %q", name, values, want)
		}
	}
	// It writes where it may: below its own directories.
	state, logs, caches := "%S/"+got["Service.StateDirectory"][0], "%L/"+got["Service.LogsDirectory"][0], "%C/"+got["Service.CacheDirectory"][0]
	settings := map[string]string{}
	for _, line := range got["Service.Environment"] {
		name, value, _ := strings.Cut(line, "=")
		settings[name] = value
		if !slices.Contains(config.Names(), name) {
			t.Errorf("%s is no setting", name)
		}
	}
	if got["Service.WorkingDirectory"][0] != state || !strings.HasPrefix(settings["DB_PATH"], state+"/") || !strings.HasPrefix(settings["LOG_FILE"], logs+"/") {
		t.Errorf("directories %s and %s, settings %v", state, logs, settings)
	}
	// What lies there is code that is run.
	if !strings.HasPrefix(settings["RETRIEVAL_PDF_CACHE"], caches+"/") || got["Service.CacheDirectoryMode"][0] != "0700" {
		t.Errorf("directory %s with mode %s, settings %v", caches, got["Service.CacheDirectoryMode"], settings)
	}
	if !strings.HasPrefix(settings["METRICS_ADDR"], "127.0.0.1:") {
		t.Errorf("metrics are answered on %s", settings["METRICS_ADDR"])
	}
}

// programs are the units, with the command that each starts a program by.
var programs = map[string]string{
	unitFile:                         "/usr/local/bin/commentator serve",
	"systemd/otelcol-mlflow.service": "/usr/local/bin/otelcol-mlflow",
	"systemd/mlflow.service":         "/opt/mlflow/bin/python",
}

// systemd itself finds nothing wrong and nothing unknown in them, and rates what the services
// may do as little. Where there is no systemd the other tests have to do.
func TestSystemdAcceptsTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	for file, command := range programs {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\nExecStart="+command) {
			t.Fatalf("%s does not start %s", file, command)
		}
		program, _, _ := strings.Cut(command, " ")
		there := filepath.Join(dir, filepath.Base(program))
		if err := os.WriteFile(there, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), program, there)), 0o644); err != nil {
			t.Fatal(err)
		}
		// It says what it does not know and goes on, so what it says counts.
		out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput()
		if err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("systemd-analyze verify %s: %v\n%s", file, err, out)
		}
		// The scale is 0 (may do nothing) to 100.
		out, err = exec.Command(analyze, "security", "--offline=yes", "--threshold=20", "--no-pager", path).CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze security %s: %v\n%s", file, err, out)
		}
	}
}

// The log that is rotated is the one that the service writes, and the service is told.
func TestLogrotateFitsTheUnit(t *testing.T) {
	text, err := os.ReadFile("logrotate/technoshare-commentator")
	if err != nil {
		t.Fatal(err)
	}
	rotated := regexp.MustCompile(`(?m)^(/\S+) \{$`).FindStringSubmatch(string(text))
	if rotated == nil {
		t.Fatal("it rotates nothing")
	}
	for _, line := range options(t, unitFile)["Service.Environment"] {
		if path, ok := strings.CutPrefix(line, "LOG_FILE="); ok {
			path = strings.ReplaceAll(path, "%L", "/var/log")
			if match, err := filepath.Match(rotated[1], path); !match || err != nil {
				t.Errorf("%s is rotated, %s is written", rotated[1], path)
			}
		}
	}
	for _, want := range []string{"delaycompress", "nocreate", "systemctl reload " + filepath.Base(unitFile)} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing", want)
		}
	}
	logrotate, err := exec.LookPath("logrotate")
	if err != nil {
		return // not installed: what is above has to do
	}
	if out, err := exec.Command(logrotate, "--debug", "--state", filepath.Join(t.TempDir(), "state"), "logrotate/technoshare-commentator").CombinedOutput(); err != nil {
		t.Errorf("logrotate --debug: %v\n%s", err, out)
	}
}
