// Command demo shows the main job end to end: it starts MLflow, the Collector and the
// worker on free ports, serves the documents of data/demo on loopback, waits until the
// bridge has delivered, reads everything back from MLflow and compares it with the
// committed table. scripts/demo.sh builds and calls it.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/technoshare/commentator/data/demo"
)

// Patience with each part.
const (
	startPatience    = 120 * time.Second
	workPatience     = 120 * time.Second
	deliveryPatience = 120 * time.Second
	stopPatience     = 15 * time.Second
)

func main() {
	dir := flag.String("dir", ".demo", "folder of everything that the demo keeps")
	data := flag.String("data", "data/demo", "folder of the documents and the table")
	extra := flag.String("extra-event", "", "a Slack event of your own, added to the demo")
	wait := flag.Bool("wait", true, "keep the servers until Enter or demo-stop")
	stop := flag.Bool("stop", false, "end the servers of a demo that is still running")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if *stop {
		err = stopRunning(*dir)
	} else {
		err = outcome(ctx, run(ctx, *dir, *data, *extra, *wait))
	}
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

var errInterrupted = errors.New("interrupted; what it had started is stopped")

// outcome is the error of a demo. Where it was when somebody ended it is nobody's fault, and looks
// like a time-out.
func outcome(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// stopRunning ends the processes that an earlier demo left, and no others.
func stopRunning(dir string) error {
	running, err := savedProcesses(dir)
	if err != nil {
		return err
	}
	if len(running) == 0 {
		fmt.Println("No demo is running.")
		return nil
	}
	for _, p := range running {
		p.stop(stopPatience)
		fmt.Println("stopped", p.Name)
	}
	if err := os.Remove(filepath.Join(dir, processesFile)); !errors.Is(err, os.ErrNotExist) {
		return err // the demo itself removes it when it ends
	}
	return nil
}

func run(ctx context.Context, dir, data, extra string, wait bool) (err error) {
	began := time.Now()
	dir, err = filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find the folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	running, err := savedProcesses(dir)
	if err != nil {
		return err
	}
	if len(running) > 0 {
		return fmt.Errorf("a demo is still running in %s; end it with `make demo-stop`", dir)
	}
	cast, err := demo.Load(data)
	if err != nil {
		return err
	}
	if extra != "" {
		if _, err := os.Stat(extra); err != nil {
			return fmt.Errorf("DEMO_EXTRA_EVENT: %w", err)
		}
		cast.Inputs = append(cast.Inputs, demo.Input{Name: extraName, Event: extra})
	}
	s, err := startServers(ctx, dir, cast.Handler())
	defer s.stop()
	if err != nil {
		return err
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	seen := make(chan map[string]time.Time, 1)
	go func() { seen <- (&reader{client: s.client, experiment: experiment}).watch(watching) }()

	jobs, err := s.enact(ctx, cast.Inputs)
	if err != nil {
		return err
	}
	bad, err := s.report(ctx, began, jobs, func() map[string]time.Time { stopWatching(); return <-seen })
	if err != nil {
		return err
	}
	if wait {
		say("\nThe servers stay for you to look around. Enter ends them (or `make demo-stop` elsewhere).")
		waitForEnter(ctx)
	}
	if len(bad) > 0 {
		return fmt.Errorf("MLflow does not hold what %s says:\n  %s", filepath.Join(data, demo.ExpectedFile), strings.Join(bad, "\n  "))
	}
	return nil
}

// waitForEnter returns on a line of input or a signal. Without a terminal it waits for the
// signal that demo-stop sends.
func waitForEnter(ctx context.Context) {
	line := make(chan struct{})
	go func() {
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err == nil {
			close(line)
		}
	}()
	select {
	case <-line:
	case <-ctx.Done():
	}
}

// say prints progress.
func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
