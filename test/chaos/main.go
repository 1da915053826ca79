//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

type options struct {
	jobs int
	seed uint64
	top  string // of the checkout
	bin  string // folder of the programs
	out  string // folder of the results
	keep bool   // keep the databases and logs
	// mutations is a folder of patches: each is applied, and has to be found.
	mutations string
	only      string // the one of them that is tried; "": all, and the programs as they are before
	// relief is a folder of the programs as they are: they finish what others left. "": nobody does.
	relief string
	// patience is how long everything may take to be there after the last kill.
	patience time.Duration
}

func main() {
	command, args := run, os.Args[1:]
	if len(args) > 0 && args[0] == "soak" {
		command, args = runSoak, args[1:]
	} else if len(args) > 0 && args[0] == "slack" {
		command, args = runSlack, args[1:]
	}
	if err := command(args); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o := options{patience: deliverPatience}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.IntVar(&o.jobs, "jobs", 25, "jobs to put in; from 100 on MLflow is away for minutes too")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "chooses jobs and kills; the default is another one each time")
	flags.StringVar(&o.bin, "bin", "bin", "folder of commentator and otelcol-mlflow")
	flags.StringVar(&o.out, "out", ".bench", "folder of the results")
	flags.BoolVar(&o.keep, "keep", false, "keep databases and logs when nothing is wrong, too")
	flags.StringVar(&o.mutations, "mutations", "", "folder of patches; the programs are built with each, and what it breaks has to be found")
	flags.StringVar(&o.only, "only", "", "name of the one mutation to try")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := o.prepare("chaos")
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Fprintf(os.Stderr, "seed %d, databases and logs in %s\n", o.seed, dir)
	if o.mutations != "" {
		return probeAll(ctx, o, dir)
	}
	r, err := siegeOf(ctx, o, dir)
	if err == nil {
		err = save(filepath.Join(o.out, "chaos.json"), r)
	}
	if err != nil {
		return fmt.Errorf("%w (see %s)", err, dir)
	}
	fmt.Print(r)
	if !r.passed() {
		return errors.New("not what was promised; databases and logs are in " + dir)
	}
	if o.keep {
		return nil
	}
	return os.RemoveAll(dir)
}

// prepare makes the paths absolute, the folder of the results, and a folder of what the programs write.
func (o *options) prepare(name string) (dir string, err error) {
	o.top = "."
	for _, folder := range []*string{&o.top, &o.bin, &o.out, &o.mutations} {
		if *folder == "" {
			continue
		}
		if *folder, err = filepath.Abs(*folder); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp("", "commentator-"+name+"-")
}

func probeAll(ctx context.Context, o options, dir string) error {
	mutations, err := mutationsIn(o.mutations)
	if err != nil {
		return err
	}
	if o.only == "" {
		mutations = append([]mutation{{}}, mutations...)
	} else {
		mutations = slices.DeleteFunc(mutations, func(m mutation) bool { return m.name != o.only })
	}
	if len(mutations) == 0 {
		return fmt.Errorf("no mutation is called %q", o.only)
	}
	if err := probe(ctx, o, mutations, dir); err != nil {
		return fmt.Errorf("%w (see %s)", err, dir)
	}
	if o.keep {
		return nil
	}
	return os.RemoveAll(dir)
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address) // it comes from a listener
	return port
}
