package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/technoshare/commentator/test/sandbox"
)

// process is a program that the demo started, in a process group of its own so that its
// helpers end with it.
type process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	// Started is the kernel's start time of the process in clock ticks: a process id that
	// was used again by somebody else's program has another one.
	Started string `json:"started"`

	done chan error
	log  processLog
}

// processLog is what a program of this run wrote into its log, to which every run adds.
type processLog struct {
	path string
	from int64 // bytes that were there before
}

// start runs a program with its output in dir/name.log, without the caller's own settings.
func start(name, dir string, env []string, command string, args ...string) (*process, error) {
	log := filepath.Join(dir, name+".log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer out.Close()
	before, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("find the end of the log: %w", err)
	}
	cmd := exec.Command(command, args...)
	cmd.Dir = dir
	cmd.Env = append(sandbox.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{Name: name, PID: cmd.Process.Pid, Started: startTime(cmd.Process.Pid), done: make(chan error, 1), log: processLog{log, before}}
	go func() { p.done <- cmd.Wait() }()
	return p, nil
}

// stop ends the process group, or the process if it is in the group of another one, as the demo
// itself is in that of make; gently first.
func (p *process) stop(patience time.Duration) {
	if !p.alive() {
		return
	}
	p.signal(syscall.SIGTERM)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if !p.alive() {
			return
		}
	}
	p.signal(syscall.SIGKILL)
}

func (p *process) signal(sig syscall.Signal) {
	if syscall.Kill(-p.PID, sig) != nil && startTime(p.PID) == p.Started {
		_ = syscall.Kill(p.PID, sig)
	}
}

func (p *process) alive() bool {
	f := statFields(fmt.Sprintf("/proc/%d/stat", p.PID))
	return groupAlive(p.PID) || len(f) >= 20 && f[19] == p.Started && f[0] != "Z"
}

// groupAlive reports whether the group has a member that is not a zombie.
func groupAlive(pgid int) bool {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return syscall.Kill(-pgid, 0) == nil // no /proc on this system
	}
	for _, stat := range stats {
		f := statFields(stat)
		if len(f) > 2 && f[2] == strconv.Itoa(pgid) && f[0] != "Z" {
			return true
		}
	}
	return false
}

// startTime is field 22 of /proc/PID/stat, empty when there is no such process.
func startTime(pid int) string {
	f := statFields(fmt.Sprintf("/proc/%d/stat", pid))
	if len(f) < 20 {
		return ""
	}
	return f[19]
}

// statFields returns the fields of a stat file after the command's name: state, ppid, pgrp, …
func statFields(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	i := bytes.LastIndexByte(text, ')')
	if i < 0 {
		return nil
	}
	var out []string
	for _, f := range bytes.Fields(text[i+1:]) {
		out = append(out, string(f))
	}
	return out
}

// waitHTTP waits until address answers 200, or the process ends.
func (p *process) waitHTTP(ctx context.Context, address string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return fmt.Errorf("build request: %w", err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-p.done:
			return fmt.Errorf("%s ended (%s); %s", p.Name, exitText(err), p.log.end())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer on %s after %s; %s", p.Name, address, patience, p.log.end())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// exitText says how a process ended; an exit with code 0 is no error.
func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// tailLines is how many lines of a log an error quotes.
const tailLines = 15

// end quotes the last lines that this run wrote.
func (l processLog) end() string {
	text, err := os.ReadFile(l.path)
	if err != nil {
		return err.Error()
	}
	text = bytes.TrimSpace(text[min(l.from, int64(len(text))):])
	if len(text) == 0 {
		return "it wrote nothing into " + l.path
	}
	lines := bytes.Split(text, []byte("\n"))
	lines = lines[max(0, len(lines)-tailLines):]
	return fmt.Sprintf("the end of %s says:\n%s", l.path, bytes.Join(lines, []byte("\n")))
}

// The file that names the running demo's processes, for `make demo-stop`.
const processesFile = "processes.json"

func saveProcesses(dir string, ps []*process) error {
	text, err := json.MarshalIndent(ps, "", "  ")
	if err != nil {
		return fmt.Errorf("encode processes: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, processesFile), text, 0o644)
}

// savedProcesses returns those of the saved processes that still run.
func savedProcesses(dir string) ([]*process, error) {
	text, err := os.ReadFile(filepath.Join(dir, processesFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	var all, running []*process
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read %s: %w", processesFile, err)
	}
	for _, p := range all {
		if p.Started != "" && startTime(p.PID) == p.Started {
			running = append(running, p)
		}
	}
	return running, nil
}
