package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/lookback"
	"github.com/technoshare/commentator/internal/retention"
)

const (
	retentionUnit  = "systemd/technoshare-retention.service"
	retentionTimer = "systemd/technoshare-retention.timer"
)

// The timer starts the unit of its own name, once a week, and the unit removes by a rule that
// is one, from where its settings say.
func TestRetentionRunsEveryWeek(t *testing.T) {
	timer := options(t, retentionTimer)
	if got := timer["Timer.OnCalendar"]; len(got) != 1 || !strings.HasPrefix(got[0], "Sun ") || timer["Timer.Persistent"][0] != "yes" || timer["Install.WantedBy"][0] != "timers.target" {
		t.Errorf("%v", timer)
	}
	if strings.TrimSuffix(retentionTimer, ".timer") != strings.TrimSuffix(retentionUnit, ".service") || timer["Timer.Unit"] != nil {
		t.Error("the timer starts another unit")
	}
	got := options(t, retentionUnit)
	if got["Service.Type"][0] != "oneshot" || got["Service.User"][0] == "root" {
		t.Errorf("%v", got)
	}
	command := strings.Fields(got["Service.ExecStart"][0])
	at := slices.Index(command, "--keep-for")
	if command[1] != "retention" || !slices.Contains(command, "--apply") || at < 0 {
		t.Fatalf("%v", command)
	}
	if age, err := lookback.Parse(command[at+1]); err != nil || age < retention.MinAge {
		t.Errorf("%v, %v", age, err)
	}
	writes := got["Service.ReadWritePaths"][0]
	for _, line := range got["Service.Environment"] {
		name, value, _ := strings.Cut(line, "=")
		if !slices.Contains(config.Names(), name) || !strings.HasPrefix(strings.TrimPrefix(value, "sqlite:///"), writes+"/") {
			t.Errorf("%s is no setting, or outside of %s", line, writes)
		}
	}
	if _, err := retention.StorePath("sqlite:////var/lib/mlflow/mlflow.db"); err != nil {
		t.Error(err)
	}
}

func TestSystemdAcceptsRetention(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "mlflowctl")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, unit := range []string{retentionUnit, retentionTimer} {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("/usr/local/bin/mlflowctl"), []byte(program))
		path := filepath.Join(dir, filepath.Base(unit))
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, paths...)...).CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err = exec.Command(analyze, "security", "--offline=yes", "--threshold=25", "--no-pager", paths[0]).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
