//go:build linux

package main

import (
	"context"
	"path/filepath"
	"time"
)

// reliefQuiet is for how long nothing may be asked of MLflow until the Collector's queue counts as empty.
// Every 15 s the exporter asks whether MLflow is there.
const reliefQuiet = 10 * time.Second

// relieve starts the programs as they are in the place of those that came to no end, on the same
// databases, and waits until they have done what was left. What waits in a queue is not lost: only
// what is not there afterwards is. The context of the run must have ended, so that nothing is put in,
// killed or started besides.
func (s *siege) relieve(ctx context.Context, bin string) error {
	select { // the feed may still ask a program, which is another from here on
	case <-s.fedUp:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.bell.set("", 1, func() {}) // in place of a kill that may still be due
	order := []victim{mlflow, collector, worker}
	for _, v := range order {
		s.programs[v].kill()
	}
	s.intake.close()
	s.gate.close()
	s.trouble.forget()
	for _, v := range order {
		p := s.programs[v]
		if v != mlflow {
			p.command[0] = filepath.Join(bin, filepath.Base(p.command[0]))
		}
		if err := p.start(); err != nil {
			return err
		}
		if err := s.trouble.until(ctx, string(v)+" to start again", startPatience, p.ready); err != nil {
			return err
		}
	}
	last, since := -1, time.Now()
	return s.trouble.until(ctx, "what was left to be delivered", deliverPatience, func() bool {
		time.Sleep(500 * time.Millisecond)
		p, asked := s.observer.look(), s.bell.total()[eventRequest]
		if p.final < p.jobs || p.unsent > 0 || asked != last {
			last, since = asked, time.Now()
		}
		return time.Since(since) >= reliefQuiet
	})
}
