//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// mutation is a fault of the programs, as a patch of the source.
type mutation struct {
	name string // of the file, without its ending
	text string // what it says before the patch
	path string
}

// mutationsIn reads the patches of a folder.
func mutationsIn(dir string) ([]mutation, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("find mutations: %d files in %s, %w", len(names), dir, err)
	}
	var all []mutation
	for _, path := range names {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		text, _, _ := strings.Cut(string(b), "diff --git ")
		all = append(all, mutation{
			name: strings.TrimSuffix(filepath.Base(path), ".patch"), path: path,
			text: strings.Join(strings.Fields(text), " "),
		})
	}
	return all, nil
}

var patched = regexp.MustCompile(`(?m)^\+\+\+ b/(.+)$`)

// overlay applies the patch to copies of the files that it changes, and writes the file that
// lets go build take them instead of those of the checkout.
func (m mutation) overlay(ctx context.Context, top, dir string) (string, error) {
	patch, err := os.ReadFile(m.path)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for _, match := range patched.FindAllSubmatch(patch, -1) {
		from, to := filepath.Join(top, string(match[1])), filepath.Join(dir, string(match[1]))
		source, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(to, source, 0o600); err != nil {
			return "", err
		}
		replace[from] = to
	}
	apply := exec.CommandContext(ctx, "git", "apply", m.path)
	apply.Dir = dir
	apply.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir)) // it is in no repository
	if out, err := apply.CombinedOutput(); err != nil {
		return "", fmt.Errorf("apply %s: %w\n%s", m.name, err, out)
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}

// build builds the programs into a folder, with an overlay if there is one.
func build(ctx context.Context, top, bin, overlay string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", bin+string(filepath.Separator), "./cmd/commentator", "./cmd/otelcol-mlflow")
	cmd.Dir = top
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build programs: %w\n%s", err, out)
	}
	return nil
}

// programs builds the programs with the mutation into a folder below one, and says which ones a run
// takes. Those without one are there.
func (m mutation) programs(ctx context.Context, o options, dir string) (options, error) {
	if m.path == "" {
		o.bin, o.relief = o.relief, "" // nothing may be wrong, so nothing is to be made good
		return o, nil
	}
	source := filepath.Join(dir, "source")
	o.bin = filepath.Join(dir, "bin")
	if err := errors.Join(os.MkdirAll(source, 0o700), os.MkdirAll(o.bin, 0o700)); err != nil {
		return o, err
	}
	overlay, err := m.overlay(ctx, o.top, source)
	if err != nil {
		return o, err
	}
	return o, build(ctx, o.top, o.bin, overlay)
}

// sensitivity is what chaos-sensitivity.json holds: what came of programs with a fault.
type sensitivity struct {
	Time     time.Time `json:"time"`
	Revision string    `json:"revision"`
	Seed     uint64    `json:"seed"`
	Jobs     int       `json:"jobs"`
	Rounds   []round   `json:"rounds"`
}

// round is one run. Without a mutation nothing may be found, with one something has to.
type round struct {
	Mutation string `json:"mutation"` // "": none
	Text     string `json:"text,omitempty"`
	Passed   bool   `json:"passed"`
	result
}

// asItShould reports whether a fault was found that is there, and none that is not. A run that
// came to no end in time, or a program that ended by itself, is no such finding, nor is what waits in
// a database or a queue because of that.
func (r round) asItShould() bool {
	if r.Mutation == "" {
		return r.Passed
	}
	if len(r.Trouble) > 0 && !r.Relieved {
		return false
	}
	return r.Lost+r.Doubled+r.Wrong > 0
}

// latePatience is for how long what is lost is waited for. It is much longer than delivery
// takes, which the run without a mutation shows.
const latePatience = time.Minute

// probe runs with each of the mutations; an empty one stands for the programs as they are.
func probe(ctx context.Context, o options, mutations []mutation, dir string) error {
	s := sensitivity{Time: time.Now().UTC(), Revision: revision(o.top), Seed: o.seed, Jobs: o.jobs}
	o.patience = latePatience
	o.relief = filepath.Join(dir, "as-they-are")
	if err := os.MkdirAll(o.relief, 0o700); err != nil {
		return err
	}
	if err := build(ctx, o.top, o.relief, ""); err != nil {
		return err
	}
	var blind []string
	for _, m := range mutations {
		r, err := probeOne(ctx, o, m, filepath.Join(dir, "run-"+m.name))
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		fmt.Fprintf(os.Stderr, "mutation %q: %d lost, %d doubled, %d wrong, as it should be: %t\n", m.name, r.Lost, r.Doubled, r.Wrong, r.asItShould())
		if !r.asItShould() {
			blind = append(blind, m.name)
		}
		s.Rounds = append(s.Rounds, r)
		b, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return fmt.Errorf("encode results: %w", err)
		}
		if err := os.WriteFile(filepath.Join(o.out, "chaos-sensitivity.json"), append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	if len(blind) > 0 {
		return fmt.Errorf("not as they should be: %q", blind)
	}
	return nil
}

func probeOne(ctx context.Context, o options, m mutation, dir string) (round, error) {
	r := round{Mutation: m.name, Text: m.text}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return r, err
	}
	var err error
	if o, err = m.programs(ctx, o, dir); err != nil {
		return r, err
	}
	if r.result, err = siegeOf(ctx, o, data); err != nil {
		return r, err
	}
	fmt.Fprint(os.Stderr, r.result)
	r.Passed = r.passed()
	return r, nil
}
