//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// validated is what `mlflowctl validate --json` says.
type validated struct {
	Mode   string
	Phase  int
	Passed bool
	Checks []struct{ Name, Status, Evidence string }
	// Criteria are those of the guide.
	Criteria []struct{ Criterion, Status, Evidence string }
}

func (v validated) failed() []string {
	var names []string
	for _, c := range v.Checks {
		if c.Status == "fail" {
			names = append(names, c.Name)
		}
	}
	return names
}

// validate runs the command, which ends with a code.
func (w *worker) validate(t *testing.T, s *server, experiment string, code int, args ...string) (v validated) {
	t.Helper()
	args = append([]string{"--tracking-uri", s.url, "--experiment", experiment, "validate", "--json", "--commentator", w.program}, args...)
	w.operate(t, &v, code, append(w.env(), "TMPDIR="+t.TempDir()), args...)
	return v
}

// TestDeploymentIsValidated in each phase, beside a job of a person, with the Collector there and
// gone. Slack's token must not be used: its address leads nowhere.
func TestDeploymentIsValidated(t *testing.T) {
	const experiment = "validated"
	s := sharedServer(t)
	c := startCollector(t, s.url, experiment, t.TempDir())
	w := newWorker(t, c)
	w.settings = []string{"SLACK_BOT_TOKEN=xoxb-none", "SLACK_API_URL=http://127.0.0.1:1/"}
	w.run(t, "replay", w.page)
	w.flushed(t)
	page := filepath.Join(t.TempDir(), "report.md")

	w.validate(t, s, experiment, 0, "--record", "--jobs", "2")
	// What is busy beside a test differs from minute to minute.
	v := w.validate(t, s, experiment, 0, "--jobs", "2", "--bound", "10", "--markdown", page)
	if v.Mode != "tracing" || v.Phase != 2 || !v.Passed || len(v.Checks) != 9 || len(v.Criteria) != 12 {
		t.Errorf("phase 2: %+v", v)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "2 traces of 2 jobs") || !strings.Contains(string(text), "of the last day 1 job of") {
		t.Errorf("page %v:\n%s", err, text)
	}
	held := s.dump(t, experiment, experiment+"_validation")
	in := map[string]int{}
	for _, r := range held.Runs {
		if r.Tags["mlflow.parentRunId"] == "" {
			in[r.Experiment+" "+r.Params["channel_id"]]++
		}
	}
	if in[experiment+" replay"] != 1 || in[experiment+"_validation VALIDATION"] != 2 || len(in) != 2 {
		t.Errorf("jobs by experiment and channel: %v", in)
	}

	w.settings = append(w.settings, "MLFLOW_ENABLE_TRACING=false")
	if v = w.validate(t, s, experiment, 0, "--jobs", "1", "--bound", "10"); v.Phase != 1 || !v.Passed {
		t.Errorf("phase 1: %+v", v)
	}
	w.settings = append(w.settings, "MLFLOW_ENABLE_TRACKING=false")
	if v = w.validate(t, s, experiment, 1, "--jobs", "1", "--bound", "10"); !slices.Contains(v.failed(), "they are recorded") {
		t.Errorf("phase 0: %v", v.failed())
	}
	c.stop()
	w.settings = []string{"MLFLOW_ENABLE_TRACING=true"}
	if v = w.validate(t, s, experiment, 1, "--jobs", "1", "--bound", "10", "--wait", "1s"); !slices.Contains(v.failed(), "the Collector takes their messages") {
		t.Errorf("without a Collector: %v", v.failed())
	}
}
