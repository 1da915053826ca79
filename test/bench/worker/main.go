//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"

	"github.com/technoshare/commentator/test/bench/drive"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

// heapGrowth is that of cmd/commentator.
const heapGrowth = 300

func run() error {
	debug.SetGCPercent(heapGrowth)
	var c config
	flag.StringVar(&c.dir, "dir", "", "folder of the job database")
	flag.StringVar(&c.mode, "mode", "off", "off, tracking or tracing")
	flag.StringVar(&c.collector, "collector", "", "address of the Collector")
	flag.StringVar(&c.pages, "pages", "", "address of the pages, to which a number is added")
	flag.IntVar(&c.variants, "variants", 1, "how many pages there are")
	flag.StringVar(&c.model, "model", "", "address of the model server")
	flag.StringVar(&c.slack, "slack", "", "address of Slack's Web API")
	profile := flag.String("profile", "", "file for a profile of the processor time")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ctx := context.Background()
	w, err := openWorker(ctx, c)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(map[string]bool{"ready": true}); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var request drive.Request
		if err := json.Unmarshal(in.Bytes(), &request); err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		answer, err := w.answer(ctx, request)
		if err != nil {
			return err
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return w.close(ctx)
}
