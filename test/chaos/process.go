//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/technoshare/commentator/test/sandbox"
)

// program is one of the three under test, in a process group of its own. It can be killed
// and started again.
type program struct {
	name    victim
	dir     string // its working directory and log
	env     []string
	command []string
	health  string            // address that answers 200 when it is ready; "": it is ready at once
	started func()            // called when it is ready, if not nil
	died    func(text string) // called when it ends by itself

	mu      sync.Mutex
	cmd     *exec.Cmd
	done    chan struct{} // closed when the process of cmd has ended
	wanted  bool          // it is not to end by itself
	isReady bool
	logged  int64 // size of its log when it was started last
}

// start starts the program and returns before it is ready.
func (p *program) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	out, err := os.OpenFile(p.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	if info, err := out.Stat(); err == nil {
		p.logged = info.Size()
	}
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, out, out
	cmd.Env = append(sandbox.Environ(), p.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done, p.wanted, p.isReady = cmd, done, true, false
	go func() {
		err := cmd.Wait()
		close(done)
		p.mu.Lock()
		wanted := p.wanted && p.cmd == cmd
		p.mu.Unlock()
		if wanted {
			p.died(fmt.Sprintf("%s ended by itself (%v)\n%s", p.name, err, p.tail()))
		}
	}()
	go p.await(done)
	return nil
}

// await marks the program as ready when it answers.
func (p *program) await(done <-chan struct{}) {
	for p.health != "" && !answers(p.health) {
		select {
		case <-done:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	if p.started != nil {
		p.started()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == done {
		p.isReady = true
	}
}

func (p *program) ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isReady
}

// kill ends the whole group with a signal that nothing can catch.
func (p *program) kill() { p.end(syscall.SIGKILL) }

func (p *program) end(signal syscall.Signal) {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.cmd, p.wanted, p.isReady = nil, false, false
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = syscall.Kill(-cmd.Process.Pid, signal)
	select {
	case <-done:
	case <-time.After(stopPatience):
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-done
}

// stopPatience is how long a program may take to end in peace.
const stopPatience = time.Minute

func (p *program) stop() { p.end(syscall.SIGTERM) }

func (p *program) log() string { return filepath.Join(p.dir, string(p.name)+".log") }

// said reports whether the program has logged a text since it was started last.
func (p *program) said(text string) bool {
	b, err := os.ReadFile(p.log())
	p.mu.Lock()
	defer p.mu.Unlock()
	return err == nil && strings.Contains(string(b[min(p.logged, int64(len(b))):]), text)
}

func (p *program) tail() string {
	b, err := os.ReadFile(p.log())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

func answers(url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode == http.StatusOK
}
