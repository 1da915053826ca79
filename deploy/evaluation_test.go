package deploy

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/technoshare/commentator/internal/config"
)

const (
	evaluationUnit  = "systemd/technoshare-evaluation.service"
	evaluationTimer = "systemd/technoshare-evaluation.timer"
	workflowFile    = "ci/github-evaluation.yml"
)

// build makes bin/commentator once for the tests that need it, and returns its path.
func build(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "commentator")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/commentator").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build commentator: %w\n%s", err, out)
	}
	return path, nil
})

// scratch is removed when the tests have ended.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "commentator-deploy-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

// bare is an environment without settings of whoever runs the tests.
func bare(extra ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}, extra...)
}

// workflow is as much of GitHub's form as the workflow uses.
type workflow struct {
	Jobs map[string]struct {
		Env   map[string]string `yaml:"env"`
		Steps []step            `yaml:"steps"`
	} `yaml:"jobs"`
}

type step struct {
	Name string `yaml:"name"`
	Uses string `yaml:"uses"`
	If   string `yaml:"if"`
	Run  string `yaml:"run"`
}

// ci runs the steps of the workflow as GitHub does, in a folder that has what a checkout has.
type ci struct {
	dir, summary string
	log          bytes.Buffer
}

func newCI(t *testing.T) *ci {
	t.Helper()
	c := &ci{dir: t.TempDir()}
	c.summary = filepath.Join(t.TempDir(), "summary.md")
	if err := os.CopyFS(filepath.Join(c.dir, "data"), os.DirFS("../data")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(c.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(build(t), filepath.Join(c.dir, "bin", "commentator")); err != nil {
		t.Fatal(err)
	}
	return c
}

// run returns whether the job succeeded. The build is skipped: the program is there.
func (c *ci) run(t *testing.T, env ...string) (ok bool) {
	t.Helper()
	text, err := os.ReadFile(workflowFile)
	if err != nil {
		t.Fatal(err)
	}
	var w workflow
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	job := w.Jobs["gate"]
	environ := bare("GITHUB_STEP_SUMMARY="+c.summary, "GITHUB_ACTIONS=true")
	for name, value := range job.Env {
		if strings.Contains(value, "${{") {
			value = "" // a secret that a fork does not have
		}
		environ = append(environ, name+"="+value)
	}
	ok = true
	ran := 0
	for _, s := range job.Steps {
		if s.Uses != "" || s.Name == "Build" || !ok && s.If != "always()" {
			continue
		}
		ran++
		cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", s.Run)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, append(environ, env...), &c.log, &c.log
		ok = cmd.Run() == nil && ok
	}
	if ran < 2 {
		t.Fatalf("%d steps ran; the workflow is not what this test reads", ran)
	}
	return ok
}

// The workflow lets an unchanged checkout pass, stops one whose comments are worse, says so where
// GitHub shows it, and does not take a missing baseline for a verdict.
func TestWorkflowJudgesAPullRequest(t *testing.T) {
	c := newCI(t)
	if !c.run(t) {
		t.Fatalf("an unchanged checkout does not pass:\n%s", &c.log)
	}
	summary, err := os.ReadFile(c.summary)
	if err != nil || !strings.Contains(string(summary), "PASS") || !strings.Contains(c.log.String(), "::notice title=Evaluation%3A PASS::") {
		t.Errorf("%v, summary:\n%s\nlog:\n%s", err, summary, &c.log)
	}
	for _, name := range []string{"report.html", "junit.xml", "verdict.json"} {
		if _, err := os.Stat(filepath.Join(c.dir, "evaluation", name)); err != nil {
			t.Error(err)
		}
	}

	// Themes without the words that pages use: comments relate hardly any page to one.
	themes := filepath.Join(c.dir, "data", "project_context.yaml")
	text, err := os.ReadFile(themes)
	if err != nil {
		t.Fatal(err)
	}
	var context struct {
		Themes []map[string]any `yaml:"themes"`
	}
	if err := yaml.Unmarshal(text, &context); err != nil {
		t.Fatal(err)
	}
	for i := range context.Themes {
		context.Themes[i]["keywords"] = []string{fmt.Sprintf("unheard%d", i)}
	}
	if text, err = yaml.Marshal(context); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(themes, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c.log.Reset()
	if c.run(t) || !strings.Contains(c.log.String(), "::error title=Evaluation%3A FAIL::") {
		t.Errorf("worse comments pass:\n%s", &c.log)
	}

	if err := os.Remove(filepath.Join(c.dir, "data", "eval_baseline.json")); err != nil {
		t.Fatal(err)
	}
	c.log.Reset()
	if c.run(t, "INCONCLUSIVE_PASSES=true") || !strings.Contains(c.log.String(), "there is no file data/eval_baseline.json") {
		t.Errorf("without a baseline it passes:\n%s", &c.log)
	}
}

// The unit's commands, in a folder in place of the state directory, leave results and a trend.
func TestWeeklyEvaluationLeavesATrend(t *testing.T) {
	state := t.TempDir()
	unit := options(t, evaluationUnit)
	environ := bare()
	for _, line := range unit["Service.Environment"] {
		name, value, _ := strings.Cut(line, "=")
		if !slices.Contains(config.Names(), name) {
			t.Errorf("%s is no setting", name)
		}
		value = strings.NewReplacer("%S/technoshare-evaluation", state, "%C/technoshare-evaluation", t.TempDir()).Replace(value)
		if name == "DATA_DIR" {
			data, err := filepath.Abs("../data")
			if err != nil {
				t.Fatal(err)
			}
			value = data
		}
		environ = append(environ, name+"="+value)
	}
	for _, line := range slices.Concat(unit["Service.ExecStartPre"], unit["Service.ExecStart"]) {
		line = strings.NewReplacer("/usr/local/bin/commentator", build(t), "%%", "%").Replace(line)
		cmd := exec.Command("bash", "-c", line)
		cmd.Dir, cmd.Env = state, environ
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	results, err := filepath.Glob(filepath.Join(state, "results", "20*T*Z.json"))
	if err != nil || len(results) != 1 {
		t.Errorf("results %v, %v", results, err)
	}
	page, err := os.ReadFile(filepath.Join(state, "trend", "trend.html"))
	if err != nil || !strings.Contains(string(page), "<svg ") {
		t.Errorf("%v\n%.200s", err, page)
	}
	if got := options(t, evaluationTimer); !slices.Equal(got["Timer.OnCalendar"], []string{"Mon *-*-* 05:00:00 UTC"}) || got["Timer.Persistent"][0] != "yes" || got["Install.WantedBy"][0] != "timers.target" {
		t.Errorf("timer %v", got)
	}
}

func TestSystemdAcceptsTheEvaluation(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	there := filepath.Join(dir, "commentator")
	if err := os.WriteFile(there, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, name := range []string{evaluationUnit, evaluationTimer} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/commentator", there)), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, paths...)...).CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err = exec.Command(analyze, "security", "--offline=yes", "--threshold=20", "--no-pager", paths[0]).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
