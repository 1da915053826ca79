//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// mlflowResult is what became of jobs that came while MLflow was down.
type mlflowResult struct {
	Jobs         int      `json:"jobs"`
	DownSeconds  float64  `json:"down_seconds"`
	StartSeconds float64  `json:"start_seconds"` // MLflow's own, until it answered
	RunsSeconds  float64  `json:"runs_seconds"`  // from then until the runs of all jobs had ended
	Said         int      `json:"said"`          // warnings and errors of the worker
	Lost         int      `json:"lost"`
	Doubled      int      `json:"doubled"`
	Wrong        int      `json:"wrong"`
	Findings     findings `json:"findings"`
	Compared     compared `json:"compared"`
	Goals        []goal   `json:"goals"`
}

// soakMLflow kills a real MLflow, lets three jobs come, and starts it again.
func soakMLflow(ctx context.Context, o soakOptions, dir string) (*mlflowResult, error) {
	const jobs = 3
	o.options.jobs = jobs
	s, err := newSiege(o.options, dir)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := s.start(watching); err != nil {
		return nil, err
	}
	put := 0
	give := func(n int) error {
		in := input{EventID: fmt.Sprintf("EvSOAK%d", put), TS: fmt.Sprintf("1795000000.%06d", put)}
		for range n {
			in.Links = append(in.Links, s.site.link("article", put))
			put++
		}
		return enqueue(ctx, s.programs[worker], in)
	}
	until := func(what string, met func(progress) bool) error {
		return s.trouble.until(ctx, what, deliverPatience, func() bool { return met(s.observer.look()) })
	}
	if err := errors.Join(give(1), until("a first job in MLflow", func(p progress) bool { return p.inMLflow == 1 })); err != nil {
		return nil, err
	}

	r := &mlflowResult{Jobs: jobs}
	quiet := warnings(s.programs[worker])
	s.programs[mlflow].kill()
	s.gate.close()
	began := time.Now()
	err = errors.Join(give(jobs), until("the jobs to end and to be sent", func(p progress) bool { return p.final == 1+jobs && p.unsent == 0 }))
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Until(began.Add(o.down))):
	}
	r.DownSeconds = time.Since(began).Seconds()
	began = time.Now()
	if err := s.programs[mlflow].start(); err != nil {
		return nil, err
	}
	if err := s.trouble.until(ctx, "MLflow to start", startPatience, s.programs[mlflow].ready); err != nil {
		return nil, err
	}
	r.StartSeconds = time.Since(began).Seconds()
	began = time.Now()
	if err := until("the runs", func(p progress) bool { return p.inMLflow == 1+jobs }); err != nil {
		return nil, err
	}
	r.RunsSeconds = time.Since(began).Seconds()
	// Detail spans and artifacts may come behind the end of a run.
	for last := -1; last != s.bell.total()[eventRequest]; {
		last = s.bell.total()[eventRequest]
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(3 * time.Second):
		}
	}
	r.Said = warnings(s.programs[worker]) - quiet
	cancel()
	s.stop()
	return r, r.judge(s)
}

func (r *mlflowResult) judge(s *siege) error {
	var err error
	if _, r.Findings, r.Compared, err = s.judged(); err != nil {
		return err
	}
	r.Lost, r.Doubled, r.Wrong = len(r.Findings.Lost), len(r.Findings.Doubled), len(r.Findings.Wrong)
	letters, err := filepath.Glob(filepath.Join(s.queue(), "dead-letter", "*.json"))
	if err != nil {
		return err
	}
	r.Goals = []goal{
		atMost("seconds until the runs were in MLflow", exactly(r.RunsSeconds), 30),
		atMost("warnings of the worker meanwhile", exactly(float64(r.Said)), 1),
		atMost("lost, doubled or wrong", exactly(float64(r.Lost+r.Doubled+r.Wrong)), 0),
		atMost("dead letters", exactly(float64(len(letters))), 0),
	}
	return nil
}
