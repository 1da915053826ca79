//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
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

// The page, and what it is made of.
const (
	pageFile = "docs/COMPATIBILITY.md"
	rawFile  = "test/compat/results.json"
)

// patience bounds the writing on one version, which takes seconds: what MLflow cannot take now
// is sent for ever.
const patience = 5 * time.Minute

// results is what was found on each version, in order.
type results []result

// result is what was found on one version.
type result struct {
	Version  string
	Time     time.Time
	Revision string          // of the checkout
	Cells    map[string]cell // by name of the column
}

// cell is the result of one check. The zero cell is a check that found all as it must be.
type cell struct {
	Refused bool   `json:",omitempty"` // the server takes no traces, and the log says so in one line
	Wrong   string `json:",omitempty"` // what is not as it must be
	Figure  string `json:",omitempty"` // what there is to tell when nothing is wrong
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
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
	var failed []error
	versions, err := knownVersions("scripts/mlflow")
	if err != nil {
		return err
	}
	chosen := versions
	if *some != "" {
		chosen = strings.Fields(*some)
	}
	all, err := readResults(rawFile)
	if err != nil {
		return err
	}
	built := revision(ctx) // before the files of the checkout are written
	for _, version := range chosen {
		r := check(ctx, version, built)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("check MLflow %s: %w", version, err)
		}
		all = all.with(r).of(versions)
		if err := all.write(); err != nil { // also of a run that is ended before its end
			return err
		}
		fmt.Printf("MLflow %-7s %s  %3.0f s\n", version, r.summary(), time.Since(r.Time).Seconds())
		for _, c := range columns {
			if wrong := r.Cells[c.name].Wrong; wrong != "" {
				failed = append(failed, fmt.Errorf("MLflow %s, %s: %s", version, c.name, wrong))
			}
		}
	}
	fmt.Println("written:", rawFile, pageFile)
	return errors.Join(failed...)
}

// write writes the raw results and the page.
func (all results) write() error {
	raw, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	return errors.Join(os.WriteFile(rawFile, append(raw, '\n'), 0o644), os.WriteFile(pageFile, []byte(all.page()), 0o644))
}

// readResults reads what was found before.
func readResults(name string) (all results, err error) {
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("read results %s: %w", name, err)
	}
	return all, nil
}

// with is the results with those of one version replaced.
func (all results) with(r result) results {
	rest := slices.DeleteFunc(slices.Clone(all), func(o result) bool { return o.Version == r.Version })
	return append(rest, r)
}

// of is the results of some versions, in their order.
func (all results) of(versions []string) (some results) {
	for _, version := range versions {
		if i := slices.IndexFunc(all, func(r result) bool { return r.Version == version }); i >= 0 {
			some = append(some, all[i])
		}
	}
	return some
}

// check lets the exporter write on one version, and runs all checks.
func check(ctx context.Context, version, built string) result {
	r := result{Version: version, Time: time.Now().UTC().Truncate(time.Second), Revision: built, Cells: map[string]cell{}}
	err := visitVersion(ctx, version, func(v *visit) {
		for _, c := range columns {
			r.Cells[c.name] = v.cell(ctx, c)
		}
	})
	if err != nil {
		for _, c := range columns {
			r.Cells[c.name] = cell{Wrong: err.Error()}
		}
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
