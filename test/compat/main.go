//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
)

// patience bounds the writing on one version, which takes seconds: what MLflow cannot take now
// is sent for ever.
const patience = 5 * time.Minute

// results is everything that one go found out.
type results struct {
	Time     time.Time
	Revision string // of the checkout
	Versions []result
}

// result is what was found on one version.
type result struct {
	Version string
	Cells   []cell // one per column
}

// cell is the result of one check. The zero cell is a check that found all as it must be.
type cell struct {
	Refused bool   `json:",omitempty"` // the server takes no traces, and the log says so in one line
	Wrong   string `json:",omitempty"` // what is not as it must be
	Figure  string `json:",omitempty"` // what there is to tell when nothing is wrong
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "compat:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("compat", flag.ContinueOnError)
	some := flags.String("versions", "", "versions to check, separated by spaces; empty = all")
	if err := flags.Parse(args); err != nil {
		return err
	}
	versions, err := knownVersions("scripts/mlflow")
	if err != nil {
		return err
	}
	page := filepath.Join("docs", "COMPATIBILITY.md")
	if *some != "" {
		versions = strings.Fields(*some)
		page = filepath.Join(".bench", "COMPATIBILITY.md") // the one of docs is all of one go
	}
	all := results{Time: time.Now().UTC(), Revision: revision(ctx)}
	var failed []error
	for _, version := range versions {
		began := time.Now()
		r := check(ctx, version)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("check MLflow %s: %w", version, err)
		}
		all.Versions = append(all.Versions, r)
		fmt.Printf("MLflow %-7s %s  %3.0f s\n", version, r.summary(), time.Since(began).Seconds())
		for i, c := range r.Cells {
			if c.Wrong != "" {
				failed = append(failed, fmt.Errorf("MLflow %s, %s: %s", version, columns[i].name, c.Wrong))
			}
		}
	}
	if err := os.MkdirAll(".bench", 0o755); err != nil { //nolint:gosec // results, for everybody to read
		return err
	}
	raw, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	if err := os.WriteFile(filepath.Join(".bench", "compat.json"), append(raw, '\n'), 0o644); err != nil { //nolint:gosec // results, for everybody to read
		return err
	}
	if err := os.WriteFile(page, []byte(all.page()), 0o644); err != nil { //nolint:gosec // a page of the documentation
		return err
	}
	fmt.Println("written:", page)
	return errors.Join(failed...)
}

// check lets the exporter write on one version, and runs all checks.
func check(ctx context.Context, version string) result {
	r := result{Version: version}
	err := visitVersion(ctx, version, func(v *visit) {
		for _, c := range columns {
			r.Cells = append(r.Cells, v.cell(ctx, c))
		}
	})
	if err != nil {
		r.Cells = slices.Repeat([]cell{{Wrong: err.Error()}}, len(columns))
	}
	return r
}

// visitVersion starts a version, lets the exporter write, and gives what came of it to look.
func visitVersion(ctx context.Context, version string, look func(*visit)) error {
	python, err := install(ctx, version)
	if err != nil {
		return err
	}
	server, err := mlflowtest.StartReal(ctx, mlflowtest.RealConfig{Python: python})
	if err != nil {
		return err
	}
	defer server.Stop()
	if server.Version != version {
		return fmt.Errorf("it says that it is %q", server.Version)
	}
	v, err := newVisit(server.URL)
	if err != nil {
		return err
	}
	defer v.close()
	writing, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := v.write(writing); err != nil {
		return err
	}
	look(v)
	return nil
}

// install installs a version, once, and gives its Python.
func install(ctx context.Context, version string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join("scripts", "start_mlflow.sh"), "--python")
	cmd.Env = append(os.Environ(), "MLFLOW_VERSION="+version)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("install: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// knownVersions lists the versions that can be installed, oldest first: those of
// versions.txt, and the one of requirements.txt, which is the newest.
func knownVersions(dir string) ([]string, error) {
	var versions []string
	older, err := os.ReadFile(filepath.Join(dir, "versions.txt"))
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	for line := range strings.Lines(string(older)) {
		if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(line, "#") {
			versions = append(versions, fields[0])
		}
	}
	pinned, err := os.ReadFile(filepath.Join(dir, "requirements.txt"))
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	for line := range strings.Lines(string(pinned)) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "mlflow=="); ok {
			return append(versions, version), nil
		}
	}
	return nil, errors.New("list versions: requirements.txt pins no mlflow")
}

func revision(ctx context.Context) string {
	out, _ := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty").Output() // "" outside a checkout
	return strings.TrimSpace(string(out))
}
