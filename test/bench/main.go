//go:build linux

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// options are what the commands share.
type options struct {
	rounds int
	jobs   int
	store  string // address of MLflow's database; "" = SQLite
	fake   bool   // an MLflow in memory takes the backlog
	out    string // folder of the results
	top    string // of the checkout
	dir    string // scratch
}

// leastRounds is from how many on the median of a ratio has 95 % bounds: with five it lies outside of
// all of them in 6 of 100 cases.
const leastRounds = 6

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) (err error) {
	command := "bridge"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	if command == "collector" {
		return runCollector(args)
	}
	var o options
	flags := flag.NewFlagSet("bench "+command, flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", leastRounds, "rounds, in each of which every way has its turn; fewer than six prove nothing about a ratio")
	flags.IntVar(&o.jobs, "jobs", 0, "jobs of a round, of the backlog, or that wait; 0 = 24, 10000 for the backlog and ingest, 2000 of each kind of worker, 834 that retention removes")
	flags.StringVar(&o.store, "store", "", "database of MLflow, empty = SQLite; of ingest a PostgreSQL database of the worker, empty = SQLite alone")
	flags.BoolVar(&o.fake, "fake", false, "write the backlog to an MLflow in memory")
	flags.StringVar(&o.out, "out", ".bench", "folder of the results")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.top, err = filepath.Abs("."); err != nil {
		return err
	}
	if o.out, err = filepath.Abs(o.out); err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	if o.dir, err = os.MkdirTemp("", "commentator-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.dir)
	endOnSignal(o.dir)
	switch command {
	case "bridge":
		return benchBridge(o)
	case "traces":
		return benchTraces(o)
	case "backlog":
		return benchBacklog(o)
	case "worker":
		return benchWorker(o)
	case "ingest":
		return benchIngest(o)
	case "gate":
		return benchGate(o)
	case "retention":
		return benchRetention(o)
	default:
		return fmt.Errorf("unknown command %q: want bridge, traces, backlog, worker, ingest, gate or retention", command)
	}
}
