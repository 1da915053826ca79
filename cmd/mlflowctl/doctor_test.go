package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/doctor"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// runDoctor runs the command in a folder with a .env.
func runDoctor(t *testing.T, dotenv string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(dotenv), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, err bytes.Buffer
	code = run(t.Context(), args, nil, dir, &out, &err)
	return code, out.String(), err.String()
}

func TestDoctorExitsByTheWorstProbe(t *testing.T) {
	s := startMLflow(t)
	seed(t, s, "technoshare_commentator", false)
	down := mlflowtest.Start()
	down.Close()
	for _, c := range []struct {
		name, dotenv string
		args         []string
		code         int
		stdout       []string
		stderr       string
	}{
		{"all well", "MLFLOW_TRACKING_URI=" + s.URL + "\n", []string{"--probe", "settings,mlflow-traces", "--probe", "mlflow-version"}, 0, []string{"ok    mlflow-traces", "wrote trace tr-", "3 ok, 0 to warn of, 0 failed, 0 skipped"}, ""},
		{"a warning", "MLFLOW_ENABLE_TRACING=true\n", []string{"--probe", "settings"}, 0, []string{"warn  settings", "means ", "fix   ", "0 ok, 1 to warn of"}, ""},
		{"a failure", "MLFLOW_ENABLE_TRACKING=true\nMLFLOW_TRACKING_URI=" + down.URL + "\n", []string{"--probe", "mlflow-version"}, exitFailed, []string{"fail  mlflow-reachable", "skip  mlflow-version"}, ""},
		{"address by a flag", "MLFLOW_ENABLE_TRACKING=true\nMLFLOW_TRACKING_URI=" + down.URL + "\n", []string{"--tracking-uri", s.URL, "--probe", "mlflow-version"}, 0, []string{"ok    mlflow-version"}, ""},
		{"experiment by a flag", "MLFLOW_TRACKING_URI=" + s.URL + "\n", []string{"--experiment", "elsewhere", "--probe", "mlflow-access"}, 0, []string{"there is no experiment elsewhere yet"}, ""},
		{"settings that other commands refuse", "MLFLOW_TRACKING_URI=localhost:5000\nMAX_LINKS_PER_MESSAGE=many\n", nil, exitFailed, []string{"fail  settings", "write http://localhost:5000", `"many" is not a whole number`, "skip  mlflow-reachable  MLFLOW_TRACKING_URI is no address"}, ""},
		{"a .env that cannot be read", "no sign of equality\n", []string{"--probe", "settings"}, exitFailed, []string{"this line has no ="}, ""},
		{"unknown probe", "", []string{"--probe", "everything"}, exitUsage, nil, `there is no probe "everything"; use settings, sampling, ports,`},
		{"unknown flag", "", []string{"--josn"}, exitUsage, nil, "unknown flag"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var flags, own []string
			for i := 0; i < len(c.args); i++ {
				if c.args[i] == "--tracking-uri" || c.args[i] == "--experiment" {
					flags = append(flags, c.args[i], c.args[i+1])
					i++
					continue
				}
				own = append(own, c.args[i])
			}
			code, stdout, stderr := runDoctor(t, c.dotenv, append(append(flags, "doctor"), own...)...)
			if code != c.code || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit %d, want %d; stderr: %s", code, c.code, stderr)
			}
			for _, want := range c.stdout {
				if !strings.Contains(stdout, want) {
					t.Errorf("stdout lacks %q:\n%s", want, stdout)
				}
			}
		})
	}
}

func TestDoctorPrintsOneJSONObject(t *testing.T) {
	code, stdout, stderr := runDoctor(t, "MLFLOW_ENABLE_TRACING=true\n", "doctor", "--json", "--probe", "settings")
	var report doctor.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 || stderr != "" {
		t.Fatalf("exit %d, %v: %s%s", code, err, stdout, stderr)
	}
	if report.Status != doctor.Warn || report.Warn != 1 || len(report.Probes) != 1 || report.Probes[0].Fix == "" || report.Time.IsZero() {
		t.Errorf("%+v", report)
	}
}

func TestDoctorListsItsProbes(t *testing.T) {
	code, stdout, _ := runDoctor(t, "", "doctor", "--list")
	for _, p := range doctor.Probes() {
		if !strings.Contains(stdout, p.ID) || !strings.Contains(stdout, p.About) {
			t.Errorf("%s is not listed", p.ID)
		}
	}
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	code, stdout, _ = runDoctor(t, "", "doctor", "--list", "--json", "--probe", "outbox")
	var all []struct{ ID, Title, About string }
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || code != 0 || len(all) != 1 || all[0].ID != "outbox" {
		t.Errorf("exit %d, %v: %s", code, err, stdout)
	}
}
