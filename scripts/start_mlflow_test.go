package scripts

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/technoshare/commentator/test/sandbox"
)

// checkout is a folder with the scripts, in which stubs stand for the programs.
type checkout struct {
	t   *testing.T
	dir string
	env []string
}

func newCheckout(t *testing.T) checkout {
	t.Helper()
	c := checkout{t: t, dir: t.TempDir(), env: append(sandbox.Environ(), "COMMENTATOR_CACHE=cache")}
	scripts, err := filepath.Glob("*.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		c.program("scripts/"+script, string(text))
	}
	return c
}

func (c checkout) path(name string) string { return filepath.Join(c.dir, filepath.FromSlash(name)) }

func (c checkout) program(name, text string) {
	c.t.Helper()
	if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(c.path(name), []byte(text), 0o755); err != nil {
		c.t.Fatal(err)
	}
}

// run runs a script in the folder.
func (c checkout) run(name string, args ...string) (stdout, stderr string, err error) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), c.path("scripts/"+name), args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, c.env, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// says runs a script that has to end well, or badly, and say something.
func (c checkout) says(well bool, want, name string, args ...string) {
	c.t.Helper()
	stdout, stderr, err := c.run(name, args...)
	if (err == nil) != well || !strings.Contains(stderr, want) {
		c.t.Fatalf("%s %q: %v, want %q\n%s%s", name, args, err, want, stdout, stderr)
	}
}

// newServers has a server that answers and a Collector that stays, unless there is a file refuse.
func newServers(t *testing.T) checkout {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3")
	}
	c := newCheckout(t)
	c.program("scripts/mlflow/install.py", "import sys\nprint(sys.argv[1] + '/python')\n")
	c.program("cache/python", `#!/usr/bin/env python3
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
of = lambda option: sys.argv[sys.argv.index(option) + 1]
http.server.ThreadingHTTPServer((of("--host"), int(of("--port"))), Handler).serve_forever()
`)
	c.program("bin/otelcol-mlflow", "#!/bin/sh\n[ ! -e refuse ] || { echo 'the port is taken'; exit 1; }\nexec sleep 600\n")
	address, err := sandbox.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	c.env = append(c.env, "MLFLOW_PORT="+port)
	t.Cleanup(func() {
		stop := exec.Command(c.path("scripts/start_mlflow.sh"), "--stop") // the test's own has ended
		stop.Dir, stop.Env = c.dir, c.env
		if out, err := stop.CombinedOutput(); err != nil {
			t.Errorf("stop: %v\n%s", err, out)
		}
	})
	return c
}

// pid is the process of a name in the folder of process ids; 0: none.
func (c checkout) pid(name string) int {
	c.t.Helper()
	text, err := os.ReadFile(c.path(".mlflow/" + name + ".pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.Fields(string(text))[0])
	if err != nil {
		c.t.Fatal(err)
	}
	return pid
}

// kill ends a process and waits until it is gone.
func (c checkout) kill(name, gone string) {
	c.t.Helper()
	if err := syscall.Kill(-c.pid(name), syscall.SIGKILL); err != nil {
		c.t.Fatal(err)
	}
	for c.t.Context().Err() == nil {
		if _, stderr, _ := c.run("start_mlflow.sh", "--status"); !strings.Contains(stderr, gone) {
			return
		}
	}
}

const (
	mlflowRuns    = "MLflow is running on"
	collectorRuns = "The Collector is running."
)

func TestASecondStartStartsWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := newServers(t)
	start := []string{"--background", "--with-collector"}
	c.says(true, mlflowRuns, "start_mlflow.sh", start...)
	mlflow, collector := c.pid("mlflow"), c.pid("collector")

	c.kill("collector", collectorRuns)
	c.says(true, collectorRuns, "start_mlflow.sh", start...)
	if now := c.pid("collector"); now == collector || c.pid("mlflow") != mlflow {
		t.Errorf("the Collector is process %d as before, or MLflow another one", now)
	}

	collector = c.pid("collector")
	c.kill("mlflow", mlflowRuns)
	c.says(true, "The Collector is running already.", "start_mlflow.sh", start...)
	if now := c.pid("collector"); now != collector {
		t.Errorf("process %d is the Collector, and %d still runs", now, collector)
	}
	c.says(true, collectorRuns, "start_mlflow.sh", "--status")
}

func TestACollectorThatEndsIsTold(t *testing.T) {
	t.Parallel()
	c := newServers(t)
	c.program("refuse", "")
	const want = "the port is taken\nstart_mlflow: the Collector ended while it started"
	c.says(false, want, "start_mlflow.sh", "--background", "--with-collector")
	if pid := c.pid("mlflow"); pid != 0 {
		t.Errorf("MLflow is left behind as process %d", pid)
	}
	c.says(true, mlflowRuns, "start_mlflow.sh", "--background")
	c.says(false, want, "start_mlflow.sh", "--background", "--with-collector")
	c.says(true, mlflowRuns, "start_mlflow.sh", "--status") // which somebody else started
}

func TestTheCacheMayBeARelativePath(t *testing.T) {
	t.Parallel()
	c := newServers(t)
	stdout, stderr, err := c.run("start_mlflow.sh", "--python")
	if want := c.path("cache/python"); err != nil || strings.TrimSpace(stdout) != want {
		t.Errorf("Python is %q, want %s; %v\n%s", stdout, want, err, stderr)
	}
}

// When there is no backup, nothing is removed, and how to go on as before is said.
func TestAFailedBackupSaysHowToStartAgain(t *testing.T) {
	t.Parallel()
	c := newServers(t)
	c.program("mlflowctl", "#!/bin/sh\ncase \"$*\" in rollback*|*--dry-run*) ;; *) exit 1 ;; esac\n")
	c.env = append(c.env, "MLFLOWCTL="+c.path("mlflowctl"))
	again := c.path("scripts/start_mlflow.sh") + " --background"
	c.says(true, mlflowRuns, "start_mlflow.sh", "--background")
	c.says(false, "MLflow is stopped; start it again: "+again+"\nrollback: there is no backup", "rollback.sh", "--yes")
	c.says(true, mlflowRuns, "start_mlflow.sh", "--background", "--with-collector")
	c.says(false, "MLflow and the Collector are stopped; start them again: "+again+" --with-collector\nrollback: ", "rollback.sh", "--yes")
}

// What would keep the backup from being made is found while everything runs, and stays so.
func TestNothingIsStoppedForABackupThatCannotBeMade(t *testing.T) {
	t.Parallel()
	c := newServers(t)
	c.program("mlflowctl", `#!/bin/sh
case "$*" in
rollback\ --dry-run*) echo "would remove mlflow.db" ;;
backup\ create\ --dry-run\ --to\ README.md\ --without\ jobs) echo "mkdir README.md: not a directory" >&2; exit 1 ;;
backup\ create\ --dry-run\ --to\ unsure) echo "warning: there is no folder mlartifacts" >&2; echo "would make a backup" ;;
backup\ create\ --dry-run*) echo "would make a backup" ;;
*) echo "asked: $*" >&2; exit 1 ;;
esac
`)
	c.env = append(c.env, "MLFLOWCTL="+c.path("mlflowctl"))
	c.says(true, mlflowRuns, "start_mlflow.sh", "--background")
	c.says(false, "rollback: the backup may lack something, so nothing was stopped or removed.", "rollback.sh", "--yes", "--backup-to", "unsure")
	const refused = "not a directory\nrollback: no backup can be made, so nothing was stopped or removed."
	c.says(false, refused, "rollback.sh", "--yes", "--backup-to", "README.md", "--", "--without", "jobs")
	c.says(false, refused, "rollback.sh", "--dry-run", "--backup-to", "README.md", "--", "--without", "jobs")
	c.says(true, mlflowRuns, "start_mlflow.sh", "--status")

	// With --yes it is done at once, so there is no word of what would be done.
	stdout, stderr, err := c.run("rollback.sh", "--yes")
	if err == nil || strings.Contains(stdout+stderr, "would") {
		t.Errorf("%v\n%s%s", err, stdout, stderr)
	}
}

// Likewise when the removal itself refuses. Which MLflow is asked is handed on to it.
func TestAFailedRemovalSaysHowToStartAgain(t *testing.T) {
	t.Parallel()
	c := newServers(t)
	c.program("mlflowctl", `#!/bin/sh
case "$*" in
rollback\ --dry-run*--tracking-uri\ http://here*) ;;
backup*--dry-run*) ;;
backup*) echo '{"dir": "made"}' ;;
*) echo "asked: $*" >&2; exit 1 ;;
esac
`)
	c.env = append(c.env, "MLFLOWCTL="+c.path("mlflowctl"))
	c.says(true, mlflowRuns, "start_mlflow.sh", "--background")
	c.says(false, "asked: rollback --backup made --tracking-uri http://here\nMLflow is stopped; start it again: "+c.path("scripts/start_mlflow.sh")+" --background\nrollback: it was not taken back",
		"rollback.sh", "--yes", "--", "--tracking-uri", "http://here")
}
