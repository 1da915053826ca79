//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/technoshare/commentator/test/sandbox"
)

// What the guide says, and what stands for it here.
const (
	guideMLflow = "127.0.0.1:5000"
	guideHealth = "127.0.0.1:9465"
	guideEvents = "127.0.0.1:3000"
	guidePage   = "https://sqlite.org/wal.html"
	guideOld    = "/srv/technoshare_commentator"
)

// place is the reader's machine: a folder of the old deployment, one of the new one that looks
// like a checkout, ports and environment.
type place struct {
	top     string // the checkout
	old     string
	new     string
	mlflow  string // address of MLflow, host:port
	health  string // that of the worker's health and metrics
	events  string // where the worker takes Slack's events
	metrics string // address of the Collector's own metrics
	page    string // address of a page
	env     []string
}

func newPlace(top, bin, dir string) (*place, error) {
	p := &place{top: top, old: filepath.Join(dir, "old"), new: filepath.Join(dir, "new")}
	ports, err := sandbox.FreePorts(11)
	if err != nil {
		return nil, err
	}
	address := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	p.mlflow, p.health, p.events, p.metrics = address(0), address(1), address(2), "http://"+address(3)+"/metrics"
	if err := os.MkdirAll(p.old, 0o755); err != nil {
		return nil, err
	}
	if err := p.clone(bin); err != nil {
		return nil, err
	}
	cache := os.Getenv("COMMENTATOR_CACHE")
	if cache == "" {
		cache = filepath.Join(top, ".cache")
	}
	p.env = append(sandbox.Environ(),
		"COMMENTATOR_CACHE="+cache, "RETRIEVAL_PDF_CACHE="+filepath.Join(cache, "pdf"), "GIT_CONFIG_GLOBAL=/dev/null",
		// Ports of this machine that are free.
		fmt.Sprintf("MLFLOW_PORT=%d", ports[0]), "SLACK_EVENTS_ADDR="+p.events,
		fmt.Sprintf("OTELCOL_METRICS_PORT=%d", ports[3]), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+address(4), "OTELCOL_GRPC_ENDPOINT="+address(4),
		"OTELCOL_HTTP_ENDPOINT="+address(5), "OTELCOL_HEALTH_ENDPOINT="+address(6), "OTELCOL_PROMETHEUS_ENDPOINT="+address(7),
		"OTELCOL_REPLAY_ENDPOINT="+address(8), "OTELCOL_STATUS_ENDPOINT="+address(9),
		// The same pages again and again, and they are on loopback.
		"LINK_COOLDOWN=0", "RETRIEVAL_ALLOW_HOSTS=loopback",
	)
	return p, nil
}

// clone makes the folder of the new deployment: links to all of the checkout but its own .env,
// which must not be read, and to the programs.
func (p *place) clone(bin string) error {
	if err := os.MkdirAll(p.new, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(p.top)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if name == "bin" || strings.HasPrefix(name, ".") && !strings.HasPrefix(name, ".env.") {
			continue
		}
		if err := os.Symlink(filepath.Join(p.top, name), filepath.Join(p.new, name)); err != nil {
			return err
		}
	}
	return os.Symlink(bin, filepath.Join(p.new, "bin"))
}

// replaced are texts of the guide with what stands for them here.
func (p *place) replaced() []string {
	return []string{guideMLflow, p.mlflow, guideHealth, p.health, guideEvents, p.events, guideOld, p.old, guidePage, p.page}
}

// here is a text of the guide on this machine.
func (p *place) here(text string) string { return strings.NewReplacer(p.replaced()...).Replace(text) }

// command is one that runs to its end, in a process group of its own that is killed with the context.
func (p *place) command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, slices.Clone(p.env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// output runs it and returns what it prints; an error says what it complained about.
func output(cmd *exec.Cmd) ([]byte, error) {
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, last(string(out), 2000), last(complaints.String(), 4000))
	}
	return out, err
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

// python runs a script by the Python that has a version of MLflow; "": the current one.
func (p *place) python(ctx context.Context, version, dir string, env, args []string) ([]byte, error) {
	interpreter, err := p.interpreter(ctx, version)
	if err != nil {
		return nil, err
	}
	cmd := p.command(ctx, dir, interpreter, args...)
	cmd.Env = append(cmd.Env, env...)
	return output(cmd)
}

func (p *place) interpreter(ctx context.Context, version string) (string, error) {
	cmd := p.command(ctx, p.top, filepath.Join(p.top, "scripts", "start_mlflow.sh"), "--python")
	cmd.Env = append(cmd.Env, "MLFLOW_VERSION="+version)
	out, err := output(cmd)
	return strings.TrimSpace(string(out)), err
}

// until waits for a condition.
func until(ctx context.Context, what string, met func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := met()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// there reports whether a file exists.
func there(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
