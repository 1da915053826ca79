//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"
)

// act is what was done to a program: a line of the raw log.
type act struct {
	N        int     `json:"n"`
	Seconds  float64 `json:"seconds"` // since the beginning
	What     string  `json:"what"`    // kill, kill again, fill or free
	Victim   victim  `json:"victim"`
	On       event   `json:"on,omitempty"`
	After    int     `json:"after,omitempty"`
	Underway int     `json:"jobs_underway"` // between their start and their final state in MLflow
	Attempts int     `json:"attempts_open"`
	Unsent   int     `json:"messages_unsent"`
	Counts   bool    `json:"counts"` // a kill with work under way
	// Recovering is set on a second kill that met the Collector before its queue was back.
	Recovering bool    `json:"recovering,omitempty"`
	Down       float64 `json:"down_seconds,omitempty"`
}

// run does all steps of a plan. A kill that does not count is made up for by another one.
func (s *siege) run(ctx context.Context, random *rand.Rand, plan []step) error {
	between := max(1, s.o.jobs/len(plan))
	for spare := len(plan); len(plan) > 0; plan = plan[1:] {
		st := plan[0]
		ok, err := s.do(ctx, st)
		if err != nil {
			return fmt.Errorf("step %d (%+v): %w", s.stepped+1, st, err)
		}
		if ok {
			s.mu.Lock()
			s.stepped++
			s.mu.Unlock()
			continue
		}
		if spare--; spare < 0 {
			return errors.New("too few kills meet work under way: put in more jobs")
		}
		st.aim(random, between)
		if st.Second > 0 {
			st.Second = min(st.Second, 1+random.IntN(maxSecond))
		}
		st.Down = 0
		plan = append(plan, st)
	}
	return nil
}

// do does one step and reports whether it counts.
func (s *siege) do(ctx context.Context, st step) (ok bool, err error) {
	v := s.programs[st.Victim]
	if err := s.trouble.until(ctx, string(st.Victim)+" to be there", startPatience, v.ready); err != nil {
		return false, err
	}
	if slices.Contains(inHand, st.On) {
		if err := s.trouble.until(ctx, "MLflow to be there", startPatience, func() bool { return !s.away() }); err != nil {
			return false, err
		}
	}
	done := make(chan act, 1)
	s.bell.set(st.On, st.After, func() { done <- s.strike(st) })
	waiting, enough := context.WithCancel(ctx)
	defer enough()
	var first act
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case first = <-done:
	case err := <-s.over(waiting):
		return false, fmt.Errorf("the event does not come any more: %+v, %w", s.observer.progress(), err)
	case <-time.After(s.o.patience):
		return false, fmt.Errorf("wait for the event: %+v, %w", s.observer.progress(), os.ErrDeadlineExceeded)
	}
	if st.Full > 0 {
		return s.fillFor(ctx, v, st, first)
	}
	if st.twice() {
		return s.again(ctx, v, st, first)
	}
	s.note(first)
	if st.Victim == collector {
		return first.Counts, s.startCollector(v)
	}
	if st.Down == 0 {
		return first.Counts, v.start()
	}
	go func() {
		select {
		case <-ctx.Done():
		case <-time.After(st.Down):
			if err := v.start(); err != nil {
				v.died(err.Error())
			}
		}
	}()
	return first.Counts, nil
}

// errOver: nothing is under way any more.
var errOver = errors.New("all jobs are delivered")

// over says when all that was put in is delivered, or will not be.
func (s *siege) over(ctx context.Context) <-chan error {
	over := make(chan error, 1)
	go func() {
		select {
		case <-ctx.Done():
		case <-s.fedUp:
			if err := s.delivered(ctx); err != nil {
				over <- err
				return
			}
			over <- errOver
		}
	}()
	return over
}

// strike does what a step is about to its program, while the event is held. Work under way is
// counted before MLflow is killed, since its database cannot be read for a while afterwards.
func (s *siege) strike(st step) act {
	a := act{What: "kill", Victim: st.Victim, On: st.On, After: st.After, Down: st.Down.Seconds()}
	v := s.programs[st.Victim]
	var p progress
	switch {
	case st.Full > 0:
		a.What = "fill"
		p = s.observer.look()
		if err := v.fill(); err != nil {
			v.died(err.Error())
		}
	case st.Victim == mlflow:
		p = s.observer.look()
		v.kill()
		s.gate.close()
	case st.Victim == collector:
		v.kill()
		s.intake.close()
		p = s.observer.look()
	default:
		v.kill()
		s.intake.cut()
		p = s.observer.look()
	}
	a.Seconds = time.Since(s.began).Seconds()
	a.Underway, a.Attempts, a.Unsent = p.underway(), p.open, p.unsent
	a.Counts = a.What == "kill" && a.Underway > 0
	return a
}

// fillFor keeps the disk of a program full for a while.
func (s *siege) fillFor(ctx context.Context, v *program, st step, filled act) (bool, error) {
	s.note(filled)
	select {
	case <-ctx.Done():
	case <-time.After(st.Full):
	}
	if err := v.free(); err != nil {
		return false, err
	}
	filled.What, filled.Seconds = "free", time.Since(s.began).Seconds()
	s.note(filled)
	return true, nil
}

// startCollector starts it and lets openIntake count its writes.
func (s *siege) startCollector(v *program) error {
	s.mu.Lock()
	s.writesBefore = s.bell.total()[eventWrite]
	s.mu.Unlock()
	return v.start()
}

// collectorReady is what a Collector says when all its parts have started, its queue among them.
const collectorReady = "Everything is ready"

// again starts the Collector that was killed and kills it once more before its queue is back.
func (s *siege) again(ctx context.Context, v *program, st step, first act) (bool, error) {
	s.note(first)
	second := make(chan act, 1)
	s.mu.Lock()
	on, after := eventQueue, st.Queue
	if st.Second > 0 {
		on, after = eventWrite, max(1, s.startWrites*st.Second/maxSecond)
	}
	s.writesBefore = s.bell.total()[eventWrite]
	s.mu.Unlock()
	cancel := s.bell.set(on, after, func() {
		a := s.strike(step{Victim: collector, On: on, After: after})
		a.What, a.Recovering = "kill again", !v.said(collectorReady)
		second <- a
	})
	if err := v.start(); err != nil {
		return false, err
	}
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case a := <-second:
			s.note(a)
			return a.Recovering && a.Counts && first.Counts, s.startCollector(v)
		case <-time.After(10 * time.Millisecond):
			if v.ready() && cancel() {
				return false, nil // its queue was back after fewer writes
			}
		}
	}
}

func (s *siege) note(a act) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.N = len(s.log) + 1
	s.log = append(s.log, a)
	s.struck = time.Now()
	fmt.Fprintf(os.Stderr, "%6.1f s  %-10s %-9s at %d × %s: %d jobs under way, %d attempts open, %d messages unsent\n",
		a.Seconds, a.What, a.Victim, a.After, a.On, a.Underway, a.Attempts, a.Unsent)
}
