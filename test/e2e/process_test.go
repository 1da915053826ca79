//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/technoshare/commentator/test/sandbox"
)

// process is a program in a process group of its own.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// running holds every program that was started and not ended yet.
var running sync.Map // of *process

func killAll() {
	running.Range(func(p, _ any) bool {
		_ = syscall.Kill(-p.(*process).cmd.Process.Pid, syscall.SIGKILL)
		return true
	})
}

func start(dir, name string, env []string, command string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(command, args...), log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	p.cmd.Env = append(sandbox.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	running.Store(p, nil)
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	return p, nil
}

// kill ends the group at once.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	running.Delete(p)
}

// stop ends the group gently, then at once.
func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
	}
	p.kill()
}

func (p *process) text() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// answers waits until an address answers 200.
func (p *process) answers(url string) error {
	client := &http.Client{Timeout: 5 * time.Second}
	return p.until(url+" to answer", func() bool {
		r, err := client.Get(url)
		if err != nil {
			return false
		}
		defer r.Body.Close()
		_, _ = io.Copy(io.Discard, r.Body)
		return r.StatusCode == http.StatusOK
	})
}

// until waits for a condition, as long as the program runs.
func (p *process) until(what string, met func() bool) error {
	deadline := time.Now().Add(patience)
	for !met() {
		select {
		case <-p.done:
			return fmt.Errorf("wait for %s: the program ended\n%s", what, p.text())
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for %s: %w\n%s", what, os.ErrDeadlineExceeded, p.text())
		}
	}
	return nil
}
