package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/compare"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// desk is a folder of prompts in a git repository, and a registry.
type desk struct {
	t      *testing.T
	server *mlflowtest.Server
	folder string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, server: startMLflow(t), folder: filepath.Join(t.TempDir(), "prompts")}
	d.write(data.Default().StageA)
	d.write(data.Default().StageB)
	d.git("init", "-q")
	d.git("add", ".")
	d.git("-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-q", "-m", "prompts")
	return d
}

func (d *desk) git(args ...string) string {
	d.t.Helper()
	out, err := exec.Command("git", append([]string{"-C", d.folder}, args...)...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (d *desk) write(p data.Prompt) {
	d.t.Helper()
	if err := data.WritePrompts(d.folder, p); err != nil {
		d.t.Fatal(err)
	}
}

// run runs a command of prompts and returns what it printed, both streams together.
func (d *desk) run(code int, args ...string) string {
	d.t.Helper()
	got, stdout, stderr := mlflowctl(d.t, append([]string{"--tracking-uri", d.server.URL, "prompts", args[0], "--dir", d.folder}, args[1:]...)...)
	if got != code {
		d.t.Fatalf("prompts %v: exit %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	return stdout + stderr
}

func (d *desk) says(out string, wants ...string) {
	d.t.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			d.t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

// verdict writes a file as `eval gate` does.
func (d *desk) verdict(v compare.Verdict, prompts ...data.Prompt) string {
	d.t.Helper()
	r := compare.Result{Format: compare.ResultFormat, Verdict: v, Reasons: []string{"because"}, Config: compare.Config{Threshold: 0.8}}
	r.Cand.EvaluationID = "7f1c2a34"
	for _, p := range prompts {
		r.Cand.Prompts = append(r.Cand.Prompts, evaluation.PromptRef{Name: p.Name, SHA256: p.SHA256()})
	}
	text, err := json.Marshal(r)
	if err != nil {
		d.t.Fatal(err)
	}
	path := filepath.Join(d.t.TempDir(), "verdict.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// A prompt's way: pushed, refused, evaluated, promoted, pulled elsewhere.
func TestPromptsGoThroughTheGate(t *testing.T) {
	d := newDesk(t)
	a, b := data.Default().StageA, data.Default().StageB

	d.says(d.run(0, "push", "-m", "the first"), "stage_a_extract_facts  version 1", "new, now candidate")
	d.says(d.run(0, "push"), "the registry had it, candidate already")
	d.says(d.run(1, "promote"), "needs --verdict")
	d.says(d.run(0, "promote", "--force"), "stage_b_compose_reply  version 1", "is prod now; there was none")
	d.run(0, "diff")

	a.Content += "Be brief.\n"
	d.write(a)
	d.says(d.run(1, "diff"), "+Be brief.", "stage_a_extract_facts version 1 (prod)")
	d.says(d.run(0, "push", "--json"), `"version":"2"`, `-dirty"`, `"new":true`)
	d.says(d.run(1, "promote", "--verdict", d.verdict(compare.Fail, a, b)), "not promoted: the verdict is FAIL: because")
	d.says(d.run(1, "promote", "--verdict", d.verdict(compare.Pass, data.Default().StageA, b)), "another text of prompt stage_a_extract_facts")
	d.says(d.run(0, "promote", "--verdict", d.verdict(compare.Pass, a, b)), "version 2", "is prod now; it was version 1", "stage_b_compose_reply  version 1 is prod already")
	d.run(0, "diff")

	list := d.run(0, "list")
	d.says(list, "candidate prod (file)", "the first", d.git("rev-parse", "HEAD")[:12])
	d.says(d.run(0, "list", "--json"), `"promoted_evaluation":"7f1c2a34"`, `"promoted_forced":"true"`, `"file":true`)

	// Elsewhere there is no folder yet.
	other := &desk{t: t, server: d.server, folder: filepath.Join(t.TempDir(), "data", "prompts")}
	d.says(other.run(0, "pull"), "stage_a_extract_facts  version 2", "written")
	d.says(other.run(0, "pull"), "as it was")
	got, err := data.LoadPrompts(t.Context(), filepath.Dir(other.folder))
	if err != nil || got.StageA != a || got.StageB != b {
		t.Errorf("pulled %+v, %v", got, err)
	}
	a.Content += "And kind.\n"
	other.write(a)
	d.says(other.run(1, "pull"), "the registry does not have the text of the file")
	d.says(other.run(0, "list"), "not pushed")
	d.says(other.run(0, "pull", "--force", "stage_a_extract_facts"), "version 2", "written")
	d.says(other.run(0, "pull", "--alias", "1"), "version 1", "written")
}

// Whoever pushes before there is an experiment, or names none, is told when its page lists the prompts.
func TestPushSaysWhenAPageListsThePrompts(t *testing.T) {
	d := newDesk(t)
	c := clientOf(t, d.server)
	push := func(args ...string) (stdout, stderr string) {
		t.Helper()
		args = append([]string{"--tracking-uri", d.server.URL}, append(args, "prompts", "push", "--json", "--dir", d.folder)...)
		code, stdout, stderr := mlflowctl(t, args...)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		return stdout, stderr
	}
	const tab = "lists a prompt from its first job on"
	_, stderr := push("--experiment", "team")
	d.says(stderr, "experiment team does not exist yet", tab)
	_, stderr = push()
	d.says(stderr, "no experiment is named", "--experiment", tab)

	id, err := c.CreateExperiment(t.Context(), "team")
	if err != nil {
		t.Fatal(err)
	}
	if stdout, stderr := push("--experiment", "team"); stderr != "" || strings.Contains(stdout, `"new":true`) {
		t.Errorf("it says %q, %s", stderr, stdout)
	}
	p, err := c.GetPrompt(t.Context(), data.Default().StageA.Name)
	if err != nil || p.Tag(mlflow.TagPromptExperiments) != ","+id+"," {
		t.Errorf("listed by %q, want %s, %v", p.Tag(mlflow.TagPromptExperiments), id, err)
	}
}

// Without files the worker has the copies in the program, which doctor says to push.
func TestPromptsWithoutFilesArePushedFromTheProgram(t *testing.T) {
	d := newDesk(t)
	t.Chdir(t.TempDir())
	prompts := func(code int, args ...string) string {
		t.Helper()
		got, stdout, stderr := mlflowctl(t, append([]string{"--tracking-uri", d.server.URL, "prompts"}, args...)...)
		if got != code {
			t.Fatalf("prompts %v: exit %d, want %d\n%s%s", args, got, code, stdout, stderr)
		}
		return stdout + stderr
	}
	d.says(prompts(0, "push", "stage_b_compose_reply"), "stage_b_compose_reply  version 1", "new, now candidate, from the copy in the program")
	d.says(prompts(0, "push"), "stage_a_extract_facts  version 1", "the registry had it")
	prompts(0, "diff", "--alias", "candidate")
	d.says(prompts(1, "push", "other"), "there is no prompt other in")

	// A file goes before the copy of its name, and only that.
	a := data.Default().StageA
	a.Content += "Be brief.\n"
	if err := data.WritePrompts(filepath.Join("data", data.PromptsFolder), a); err != nil {
		t.Fatal(err)
	}
	out := prompts(0, "push")
	d.says(out, "stage_a_extract_facts  version 2", "stage_b_compose_reply  version 1")
	if strings.Count(out, "from the copy") != 1 {
		t.Errorf("what is from the program:\n%s", out)
	}
	// A folder that is named is none of a worker.
	d.says(prompts(1, "push", "--dir", "elsewhere"), "there is no prompt stage_a_extract_facts in elsewhere")
}

// One prompt of two is promoted only beside the other one that was evaluated.
func TestAPromptIsPromotedBesideWhatItWasEvaluatedWith(t *testing.T) {
	d := newDesk(t)
	a, b := data.Default().StageA, data.Default().StageB
	d.run(0, "push")
	d.run(0, "promote", "--force")
	a.Content += "Be brief.\n"
	b.Content += "Be kind.\n"
	d.write(a)
	d.write(b)
	d.run(0, "push")
	file := d.verdict(compare.Pass, a, b)
	d.says(d.run(1, "promote", "--verdict", file, a.Name), "a text of prompt stage_b_compose_reply", "promote it too")
	d.says(d.run(0, "promote", "--verdict", file), "version 2")
}

func TestPromptsExplainsWhatIsWrong(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{1, "has no candidate", []string{"promote", "--force"}},
		{1, `has no version "prod"`, []string{"pull"}},
		{1, "there is no prompt other in", []string{"push", "other"}},
		{1, "it is no verdict.json", []string{"promote", "--verdict", filepath.Join(d.folder, "stage_a_extract_facts.yaml")}},
		{2, "must be one of", []string{"push", "--alias", "prod"}},
	} {
		if c.args[0] == "promote" && len(c.args) == 3 {
			d.run(0, "push")
		}
		d.says(d.run(c.code, c.args...), c.says)
	}
	if err := os.WriteFile(filepath.Join(d.folder, "broken.yaml"), []byte("name: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	d.says(d.run(1, "push"), "broken.yaml")
}
