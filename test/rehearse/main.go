//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/test/docrun"
)

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rehearse:", err)
		os.Exit(1)
	}
}

func command(args []string) (err error) {
	var o options
	flags := flag.NewFlagSet("rehearse", flag.ContinueOnError)
	flags.StringVar(&o.bin, "bin", "bin", "folder of the programs")
	flags.StringVar(&o.out, "out", ".bench", "folder of the protocol")
	flags.StringVar(&o.old, "old-mlflow", "2.14.3", "version of the old deployment's MLflow, one of scripts/mlflow/versions.txt")
	flags.IntVar(&o.links, "links", 20, "links that are shared in each phase")
	flags.BoolVar(&o.keep, "keep", false, "keep databases, logs and settings when all went well, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.top = "."
	for _, folder := range []*string{&o.top, &o.bin, &o.out} {
		if *folder, err = filepath.Abs(*folder); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "commentator-rehearse-")
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p, err := rehearse(ctx, o, dir, os.Stdout)
	if p != nil {
		err = errors.Join(err, p.save(o.out))
	}
	if err != nil {
		return fmt.Errorf("%w\ndatabases and logs are in %s", err, dir)
	}
	fmt.Printf("\n%d steps in %.0f s; the protocol is %s\n", len(p.Steps), p.Seconds, filepath.Join(o.out, "rehearse.md"))
	if o.keep {
		fmt.Println("databases and logs are in", dir)
		return nil
	}
	return os.RemoveAll(dir)
}

// rehearse takes the steps one by one, until one fails. Nothing that it started is left.
func rehearse(ctx context.Context, o options, dir string, out io.Writer) (_ *protocol, err error) {
	r := &rehearsal{options: o, old: old{version: o.old}, followed: map[int]bool{}}
	if r.guide, err = docrun.Read(filepath.Join(o.top, "docs", "MIGRATION.md")); err != nil {
		return nil, err
	}
	if r.place, err = newPlace(o.top, o.bin, dir); err != nil {
		return nil, fmt.Errorf("prepare a place: %w", err)
	}
	if r.world, err = newWorld(o.top, r.place.events); err != nil {
		return nil, fmt.Errorf("prepare Slack and pages: %w", err)
	}
	defer r.world.close()
	r.place.env, r.place.page = append(r.place.env, r.world.env...), r.world.pages[0]
	defer r.stopOld()
	for folder, shell := range map[string]**docrun.Shell{r.place.new: &r.shell, r.place.top: &r.builder} {
		if *shell, err = docrun.Open(docrun.Config{Dir: folder, Environ: r.place.env, Replace: r.place.replaced()}); err != nil {
			return nil, err
		}
		defer func() { (*shell).Close() }() // the one that there is then; it ends what the guide's commands left running
	}
	if r.client, err = mlflow.New(mlflow.Config{Endpoint: "http://" + r.place.mlflow}); err != nil {
		return nil, err
	}
	defer r.client.Close()
	revision, _ := exec.CommandContext(ctx, "git", "-C", o.top, "rev-parse", "--short", "HEAD").Output() // a release has none
	r.protocol = &protocol{Revision: strings.TrimSpace(string(revision)), Began: time.Now(), OldStore: o.old, out: out}
	for _, st := range r.steps() {
		if err := r.protocol.run(st.title, func(s *step) error { return st.do(ctx, s) }); err != nil {
			return r.protocol, err
		}
	}
	r.protocol.OK = true
	return r.protocol, nil
}

// planned is a step that is to be taken.
type planned struct {
	title string
	do    func(context.Context, *step) error
}

func (r *rehearsal) steps() []planned {
	return []planned{
		{"An old deployment", r.oldDeployment},
		{"Look", r.look},
		{"Back the old deployment up", r.backupOld},
		{"Phase 0: the new worker, nothing recorded", r.phase0},
		{"The old MLflow store is upgraded", r.upgrade},
		{"Phase 1: runs", r.phase1},
		{"Phase 2: runs and traces", r.phase2},
		{"MLflow is killed and comes back", r.outage},
		{"Quick rollback", r.quickRollback},
		{"Forward again", r.forward},
		{"Day to day", r.dayToDay},
		{"A backup while everything runs", r.backupUnderLoad},
		{"Everything is deleted and restored", r.restore},
		{"Validate", r.validate},
		{"Complete rollback, and back to the old deployment", r.completeRollback},
		{"Every command of the guide has been run", r.allRun},
	}
}

func (r *rehearsal) allRun(_ context.Context, s *step) error {
	if err := r.left(); err != nil {
		return err
	}
	s.checked("%d blocks of commands", len(r.guide.Blocks))
	return nil
}
