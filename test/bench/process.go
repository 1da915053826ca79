//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
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

// launch starts a program. prepare may take its pipes.
func launch(dir, name string, env []string, prepare func(*exec.Cmd) error, command string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(command, args...), log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	p.cmd.Env = append(sandbox.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if prepare != nil {
		p.cmd.Stdout = nil
		if err := prepare(p.cmd); err != nil {
			return nil, err
		}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	groups.Store(p.cmd.Process.Pid, true)
	go func() { _, _ = p.cmd.Process.Wait(); close(p.done) }()
	return p, nil
}

// groups are the process groups that run, by the id of their leader.
var groups sync.Map

// endOnSignal ends all groups when a person, or the system, ends the benchmark: MLflow's
// processes would go on for ever.
func endOnSignal(scratch string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		groups.Range(func(pid, _ any) bool {
			_ = syscall.Kill(-pid.(int), syscall.SIGKILL)
			return true
		})
		_ = os.RemoveAll(scratch)
		os.Exit(1)
	}()
}

// stop ends the group gently, then at once.
func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	groups.Delete(p.cmd.Process.Pid)
}

// kill ends the group with a signal that nothing can catch.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	groups.Delete(p.cmd.Process.Pid)
}

// answers waits until an address answers 200.
func (p *process) answers(url string) error {
	client := &http.Client{Timeout: 5 * time.Second}
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		r, err := client.Get(url)
		if err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("wait for %s: the program ended\n%s", url, p.tail())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for %s: %w\n%s", url, os.ErrDeadlineExceeded, p.tail())
		}
	}
}

func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// cpu is the processor time of the whole group so far.
func (p *process) cpu() (all time.Duration) {
	for _, took := range p.cpus() {
		all += took
	}
	return all
}

// cpus is the processor time so far of each process of the group, by its id.
func (p *process) cpus() map[string]time.Duration {
	out := map[string]time.Duration{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid pgrp …: fields are counted behind the name, which may hold anything.
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(f) < 15 || f[2] != strconv.Itoa(p.cmd.Process.Pid) {
			continue
		}
		for _, i := range []int{11, 12} { // utime, stime
			n, _ := strconv.ParseInt(f[i], 10, 64)
			out[name] += time.Duration(n) * time.Second / 100 // USER_HZ
		}
	}
	return out
}

// anonymous is the memory of the process that no file stands behind, in bytes.
func (p *process) anonymous() int64 {
	n, _ := sandbox.Anonymous(p.cmd.Process.Pid) // gone when it ended
	return n
}

// busyCPU is the processor time that all programs and the system have had.
func busyCPU() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	var ticks int64
	for i, field := range strings.Fields(string(line)) {
		// cpu user nice system idle iowait irq softirq steal guest guest_nice: guests are in user and nice.
		if n, err := strconv.ParseInt(field, 10, 64); err == nil && i != 4 && i != 5 && i < 9 {
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// diskUse is the size of all files below a directory, in bytes.
func diskUse(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a journal that came and went
		}
		if err != nil || d.IsDir() {
			return err
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum, err
}
