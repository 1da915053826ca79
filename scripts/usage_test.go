package scripts

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Who asks a script what it does, or mistypes, starts nothing.
func TestScriptsExplainThemselves(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	for _, program := range []string{"make", "go", "git", "python3"} {
		c.program("stubs/"+program, "#!/bin/sh\necho \"started $0\" >&2\nexit 1\n")
	}
	c.env = append(c.env, "PATH="+c.path("stubs")+":"+os.Getenv("PATH"))
	for _, name := range []string{"demo.sh", "bench.sh", "python_env.sh"} {
		stdout, stderr, err := c.run(name, "--help")
		if err != nil || !strings.HasPrefix(stdout, "Usage: scripts/"+name) || stderr != "" {
			t.Errorf("%s --help: %v\n%s%s", name, err, stdout, stderr)
		}
		stdout, stderr, err = c.run(name, "--nonsense")
		if err == nil || !strings.HasPrefix(stderr, "Usage: scripts/"+name) || strings.Contains(stderr, "started") || strings.Contains(stderr, "unbound") || stdout != "" {
			t.Errorf("%s --nonsense: %v\n%s%s", name, err, stdout, stderr)
		}
	}
	for _, args := range [][]string{nil, {"name"}, {"name", "nowhere.txt"}, {"name", "bin", "more"}} {
		c.says(false, "Usage: scripts/python_env.sh NAME REQUIREMENTS", "python_env.sh", args...)
	}
}

func TestAnUnknownVersionOfMLflowNamesThoseThatThereAre(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	if exec.Command(python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))").Run() != nil {
		t.Skip("this Python is too old for MLflow")
	}
	out, err := exec.CommandContext(t.Context(), python, "mlflow/install.py", t.TempDir(), "9.9.9").CombinedOutput()
	for _, want := range []string{"MLFLOW_VERSION is '9.9.9'", " (the default), 2.14.3, ", "scripts/mlflow/versions.txt"} {
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v, want %q\n%s", err, want, out)
		}
	}
}
