package docrun

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed shell.sh
var loop string

// mark is in the environment of everything that a shell starts, and tells it from what others
// started.
const mark = "DOCRUN_SHELL"

// endMark follows what a shell says of itself.
const endMark = "ended"

// killWithin bounds how long what was killed takes to end.
const killWithin = 30 * time.Second

// Config configures a Shell.
type Config struct {
	// Dir is where the first command runs.
	Dir string
	// Environ is the whole environment, as sandbox.Environ with what a test adds.
	Environ []string
	// Replace holds pairs of what a page says and what takes its place, such as addresses, since
	// those of the page may be taken on this machine.
	Replace []string
	// Timeout bounds one block. Default 5 minutes.
	Timeout time.Duration
}

// Shell is a bash in which blocks run one after the other. A command that fails ends its block,
// and the shell with it. It is not safe for concurrent use.
type Shell struct {
	cfg     Config
	id      string
	scratch string // holds the pipes, the blocks and what they print
	replace *strings.Replacer
	cmd     *exec.Cmd
	state   *os.File      // how blocks ended comes out
	next    *os.File      // names of files with blocks go in
	said    chan string   // closed once nothing more comes
	ended   chan struct{} // closed when the shell has
	n       int
}

// Open starts a shell.
func Open(cfg Config) (*Shell, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Minute
	}
	if len(cfg.Replace)%2 != 0 {
		return nil, fmt.Errorf("open shell: %d texts are no pairs", len(cfg.Replace))
	}
	scratch, err := os.MkdirTemp("", "docrun-")
	if err != nil {
		return nil, fmt.Errorf("open shell: %w", err)
	}
	s := &Shell{
		cfg: cfg, id: strconv.FormatUint(rand.Uint64(), 36), scratch: scratch,
		replace: strings.NewReplacer(cfg.Replace...), said: make(chan string), ended: make(chan struct{}),
	}
	if err := s.start(); err != nil {
		os.RemoveAll(scratch)
		return nil, fmt.Errorf("open shell: %w", err)
	}
	return s, nil
}

func (s *Shell) start() error {
	var err error
	if s.state, err = s.pipe("state"); err != nil {
		return err
	}
	if s.next, err = s.pipe("next"); err != nil {
		s.state.Close()
		return err
	}
	s.cmd = exec.Command("bash", "-c", loop, "bash", s.state.Name(), s.next.Name(), strconv.Itoa(os.Getpid()))
	s.cmd.Dir = s.cfg.Dir
	s.cmd.Env = append(append([]string{}, s.cfg.Environ...), mark+"="+s.id)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		s.state.Close()
		s.next.Close()
		return err
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait()               // the shell itself says how it ended
		fmt.Fprintln(s.state, endMark) // behind that
	}()
	go func() {
		defer close(s.said)
		for lines := bufio.NewScanner(s.state); lines.Scan() && lines.Text() != endMark; {
			s.said <- lines.Text()
		}
	}()
	return nil
}

// pipe makes a pipe with a name. It is open for both directions, so that it waits for nobody and
// has no end before it is closed.
func (s *Shell) pipe(name string) (*os.File, error) {
	path := filepath.Join(s.scratch, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

// Run runs a block and returns what it printed, on both outputs. The error says which line of the
// page failed. A block that is marked as not run is checked for its syntax only.
func (s *Shell) Run(ctx context.Context, b Block) (output string, err error) {
	s.n++
	file := filepath.Join(s.scratch, fmt.Sprintf("block%d", s.n))
	if err := os.WriteFile(file, []byte(s.replace.Replace(b.Text)), 0o600); err != nil {
		return "", fmt.Errorf("%s: %w", b, err)
	}
	if out, err := exec.CommandContext(ctx, "bash", "-n", file).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: bash does not understand it: %s", b, bytes.TrimSpace(out))
	}
	if b.Skip != "" {
		return "", nil
	}
	if err := s.run(ctx, b, file); err != nil {
		text, _ := os.ReadFile(file + ".out") // nothing when the shell had ended before
		return string(text), err
	}
	text, err := os.ReadFile(file + ".out")
	if err != nil {
		return "", fmt.Errorf("%s: %w", b, err)
	}
	if err := Match(b.Output, string(text)); err != nil {
		return string(text), fmt.Errorf("%s: %w", b, err)
	}
	return string(text), nil
}

// run hands a file to the shell and waits until it is through with it.
func (s *Shell) run(ctx context.Context, b Block, file string) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if _, err := fmt.Fprintln(s.next, file); err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", b, ctx.Err())
	case state, ok := <-s.said:
		switch {
		case !ok:
			return fmt.Errorf("%s: the shell has ended", b)
		case state == "done":
			return nil
		}
		return b.failed(state)
	}
}

// failed makes an error of what the shell said when it ended: its status, and the status and the
// line within the block of the command that failed, if one did.
func (b Block) failed(state string) error {
	said := strings.Fields(state)
	if len(said) != 3 {
		return fmt.Errorf("%s: it ends the shell, with status %s", b, state)
	}
	line, err := strconv.Atoi(said[2])
	lines := strings.Split(b.Text, "\n")
	if err != nil || line < 1 || line > len(lines) {
		return fmt.Errorf("%s: a command ends with status %s", b, said[1])
	}
	return fmt.Errorf("%s:%d: %q ends with status %s", b.Page, b.Line+line-1, strings.TrimSpace(lines[line-1]), said[1])
}

// Close ends the shell, and kills what its blocks left running, which it returns: the command
// lines. A page that cleans up leaves nothing.
func (s *Shell) Close() (left []string) {
	_ = s.cmd.Process.Kill() // unless it has ended
	<-s.ended
	killed := map[int]bool{}
	for late := time.Now().Add(killWithin); time.Now().Before(late); time.Sleep(20 * time.Millisecond) { // what is killed may just have started something
		pids := s.descendants()
		if len(pids) == 0 {
			break
		}
		for pid, command := range pids {
			if !killed[pid] {
				left = append(left, command)
			}
			killed[pid] = true
			_ = syscall.Kill(pid, syscall.SIGKILL) // unless it has ended
		}
	}
	s.next.Close()
	s.state.Close()
	for range s.said { // until its reader has ended
	}
	os.RemoveAll(s.scratch)
	return left
}

// descendants finds the processes that carry the shell's mark, with their command lines. It looks
// into /proc: elsewhere it finds none.
func (s *Shell) descendants() map[int]string {
	found := map[int]string{}
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return found
	}
	want := []byte(mark + "=" + s.id)
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !containsEntry(environ, want) {
			continue
		}
		dir := filepath.Dir(file)
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // empty once it is gone
		found[pid] = strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " "))
	}
	return found
}

func containsEntry(environ, want []byte) bool {
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.Equal(entry, want) {
			return true
		}
	}
	return false
}
