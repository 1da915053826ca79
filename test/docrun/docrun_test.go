package docrun

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("DOCRUN_TEST_ORPHAN") != "" {
		s, err := Open(Config{Dir: os.TempDir(), Environ: os.Environ()})
		if err != nil {
			panic(err)
		}
		fmt.Println(s.cmd.Process.Pid)
		select {} // until it is killed
	}
	goleak.VerifyTestMain(m)
}

// A shell whose process is killed ends by itself: nobody closes it.
func TestAnOrphanEnds(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "DOCRUN_TEST_ORPHAN=1", "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the shell does not run: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	deadline := time.Now().Add(time.Minute)
	for running(pid) {
		if time.Now().After(deadline) {
			t.Fatal("the shell outlives its process")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// running: is it there, and more than a zombie? In a container nobody may collect the dead.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

const page = "# Page\n" +
	"\n" +
	"```sh\n" +
	"greeting=hello; cd sub\n" +
	"say() { echo \"$greeting, $1\"; }\n" +
	"```\n" +
	"\n" +
	"Something else.\n" +
	"\n" +
	"## Greet\n" +
	"\n" +
	"   ```sh\n" +
	"   say world; echo id 4711 at port 5000\n" +
	"   pwd >&2\n" +
	"   ```\n" +
	"\n" +
	"   ```text\n" +
	"   hello, world\n" +
	"   id … at port …\n" +
	"   ```\n" +
	"\n" +
	"```yaml\n" +
	"not: run\n" +
	"```\n" +
	"\n" +
	"### Far away\n" +
	"\n" +
	"```sh\n" +
	"# not run in tests: needs a Slack workspace\n" +
	"exit 7\n" +
	"```\n"

func TestReadFindsTheBlocks(t *testing.T) {
	p, err := parse("docs/PAGE.md", page)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Blocks) != 3 {
		t.Fatalf("found %d blocks: %v", len(p.Blocks), p.Blocks)
	}
	second := p.Blocks[1]
	if second.String() != "PAGE.md:13 (Greet)" || second.Text != "say world; echo id 4711 at port 5000\npwd >&2\n" ||
		second.Output != "hello, world\nid … at port …\n" {
		t.Errorf("the second block is %+v", second)
	}
	if got := p.Skipped(); !slices.Equal(got, []string{"needs a Slack workspace"}) {
		t.Errorf("skipped: %q", got)
	}
	if got := p.Section("Greet"); len(got) != 1 || got[0] != second {
		t.Errorf("section Greet holds %v", got)
	}
}

func TestMistakesOfAPageAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"\n```bash\nls\n```\n":                    "P.md:2: the block is marked bash: mark it sh",
		"```sh\nls\n":                             "P.md:1: the block has no end",
		"```sh\n\n```\n":                          "P.md:2: the block is empty",
		"```sh\n# not run in tests:\nls\n```\n":   "wants a reason",
		"~~~console\n$ ls\n~~~\n```sh\nls\n```\n": "P.md:1: the block is marked console",
	} {
		if _, err := parse("P.md", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

func shell(t *testing.T, cfg Config) *Shell {
	t.Helper()
	cfg.Dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(cfg.Dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg.Environ = os.Environ()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func blocks(t *testing.T, text string) []Block {
	t.Helper()
	p, err := parse("P.md", text)
	if err != nil {
		t.Fatal(err)
	}
	return p.Blocks
}

// Variables, functions and the folder are those of the block before, as for somebody who types.
func TestBlocksShareAShell(t *testing.T) {
	s := shell(t, Config{Replace: []string{"port 5000", "port 6000"}})
	var out string
	for _, b := range blocks(t, page) {
		text, err := s.Run(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		out += text
	}
	if want := "hello, world\nid 4711 at port 6000\n" + filepath.Join(s.cfg.Dir, "sub") + "\n"; out != want {
		t.Errorf("printed %q; want %q", out, want)
	}
	if left := s.Close(); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestAFailingCommandIsNamedWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"\n```sh\ntrue\nfalse # no\necho not reached\n```\n": `P.md:4: "false # no" ends with status 1`,
		"```sh\nfalse | true\n```\n":                         `P.md:2: "false | true" ends with status 1`,
		"```sh\nf() { (exit 3); }\nf\n```\n":                 "ends with status 3",
		"```sh\nexit 5\n```\n":                               "it ends the shell, with status 5",
		"```sh\nno-such-program\n```\n":                      "ends with status 127",
		"```sh\nif true; then\n```\n":                        "bash does not understand it",
		"```sh\necho 1\n```\n```text\n2\n```\n":              `the page shows the line "2", which was not printed`,
		"```sh\n# not run in tests: x\nif\n```\n":            "bash does not understand it",
		"```sh\nsleep 60\n```\n":                             "deadline exceeded",
	} {
		var cfg Config
		if strings.Contains(text, "sleep") {
			cfg.Timeout = 2 * time.Second
		}
		s := shell(t, cfg)
		out, err := s.Run(t.Context(), blocks(t, text)[0])
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
		if strings.Contains(out, "not reached") {
			t.Errorf("%q: it went on", text)
		}
		s.Close()
	}
}

// What a page leaves running is killed, also in a process group of its own, and named.
func TestNothingOutlivesTheShell(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("there is no /proc")
	}
	s := shell(t, Config{})
	if _, err := s.Run(t.Context(), blocks(t, "```sh\nsleep 4711 &\nsetsid sleep 4712 &\n```\n")[0]); err != nil {
		t.Fatal(err)
	}
	// One of the two may not have become its program yet, which is all the same.
	if left := s.Close(); len(left) < 2 {
		t.Errorf("left: %q", left)
	}
	if still := s.descendants(); len(still) != 0 {
		t.Errorf("still running: %v", still)
	}
}

// A second command for the shell fails instead of hanging when a first one ended it.
func TestAShellThatEndedSaysSo(t *testing.T) {
	s := shell(t, Config{})
	defer s.Close()
	b := blocks(t, "```sh\nfalse\n```\n")[0]
	for range 2 {
		if _, err := s.Run(t.Context(), b); err == nil {
			t.Fatal("no error")
		}
	}
}

func TestCheckoutCopiesWhatACloneHas(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copy")
	if err := Checkout(t.Context(), "../..", dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Makefile", "test/docrun/shell.sh", ".gitignore"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{".git", "bin", ".cache"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was copied", name)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "scripts", "start_mlflow.sh"))
	if err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Errorf("the script cannot be run: %v %v", info, err)
	}
}
