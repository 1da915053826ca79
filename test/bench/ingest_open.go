//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/technoshare/commentator/internal/store"
)

// open counts the jobs that wait or run. The worker may run beside it.
func (b *ingestBench) open(ctx context.Context) (n int, err error) {
	s, err := store.Open(ctx, b.database)
	if err != nil {
		return 0, err
	}
	jobs, err := s.OpenJobs(ctx)
	return len(jobs), errors.Join(err, s.Close())
}

// note writes down how many jobs are open.
func (b *ingestBench) note(ctx context.Context, r *ingestRaw, when string) error {
	n, err := b.open(ctx)
	r.Open = append(r.Open, openJobs{when, n})
	return err
}

// waiting notes the open jobs, and is an error when they are fewer than what is promised to wait.
func (b *ingestBench) waiting(ctx context.Context, r *ingestRaw, when string) error {
	if err := b.note(ctx, r, when); err != nil {
		return err
	}
	if n := r.Open[len(r.Open)-1].Jobs; n < b.o.jobs {
		return fmt.Errorf("%s %d jobs wait; %d are to", when, n, b.o.jobs)
	}
	return nil
}

// spareJobs may end without a page being asked for: a worker that was killed had it already.
func (b *ingestBench) spareJobs() int { return queueWorkers * (b.o.rounds + 1) }

// refill puts in as many jobs as were worked off meanwhile. No worker may run.
func (b *ingestBench) refill(ctx context.Context) error {
	n, err := b.open(ctx)
	if err != nil {
		return err
	}
	p, err := openPlant(ctx, b.database)
	if err != nil {
		return err
	}
	defer p.store.Close()
	for ; n < b.o.jobs+b.spareJobs(); n++ {
		if _, err := p.ingest(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// grant lets the site answer one page more, unless the worker has not come to those that it may have.
func (b *ingestBench) grant() {
	select {
	case b.pages <- struct{}{}:
	default:
	}
}

// release lets the site answer whatever is asked for.
func (b *ingestBench) release() {
	b.counted.Store(false)
	for range cap(b.pages) { // those that wait are as many at most
		b.grant()
	}
}
