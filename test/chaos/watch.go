//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	_ "modernc.org/sqlite" // reads the databases of the worker and of MLflow

	"github.com/technoshare/commentator/internal/sqlitefile"
)

// progress is how far the jobs are.
type progress struct {
	jobs     int // in the database
	started  int // of those that are recorded
	final    int
	finalOff int // of which nothing is recorded
	open     int // attempts that run
	stages   int // recorded attempts at stages
	messages int // put into the outbox so far
	unsent   int
	inMLflow int // jobs with a final run
}

// underway is how many jobs are between their start and their final state in MLflow.
func (p progress) underway() int { return p.started - p.inMLflow }

// observer looks at the two databases and rings for what the worker writes into its own.
type observer struct {
	bell *bell
	jobs *sql.DB
	runs *sql.DB

	mu   sync.Mutex
	last progress
}

func openReadOnly(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", sqlitefile.Source(path, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(2000)", "query_only(1)"}}))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

func newObserver(b *bell, jobs, runs string) (*observer, error) {
	o := &observer{bell: b}
	var err error
	if o.jobs, err = openReadOnly(jobs); err != nil {
		return nil, err
	}
	if o.runs, err = openReadOnly(runs); err != nil {
		return nil, errors.Join(err, o.jobs.Close())
	}
	return o, nil
}

func (o *observer) close() { _ = errors.Join(o.jobs.Close(), o.runs.Close()) }

// run looks again and again until ctx ends. What cannot be read just now is read the next time.
func (o *observer) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		before := o.progress()
		_ = o.lookAtJobs(ctx)
		if n%20 == 0 {
			_ = o.lookAtRuns(ctx)
		}
		now := o.progress()
		for e, came := range map[event]int{
			eventStage: now.stages - before.stages, eventMessage: now.messages - before.messages,
			eventSent: now.messages - now.unsent - before.messages + before.unsent,
		} {
			if came > 0 {
				o.bell.ring(e, came)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (o *observer) progress() progress {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

func (o *observer) lookAtJobs(ctx context.Context) error {
	var p progress
	err := o.jobs.QueryRowContext(ctx, `
		SELECT count(*), count(*) FILTER (WHERE started_at IS NOT NULL AND detail <> 'off'),
			count(*) FILTER (WHERE state = 'final'), count(*) FILTER (WHERE state = 'final' AND detail = 'off'),
			count(*) FILTER (WHERE attempt_open),
			(SELECT coalesce(max(id), 0) FROM stages), (SELECT coalesce(max(id), 0) FROM outbox),
			(SELECT count(*) FROM outbox WHERE sent_at IS NULL AND refused_at IS NULL)
		FROM jobs`).Scan(&p.jobs, &p.started, &p.final, &p.finalOff, &p.open, &p.stages, &p.messages, &p.unsent)
	if err != nil {
		return fmt.Errorf("look at jobs: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p.inMLflow = o.last.inMLflow
	o.last = p
	return nil
}

func (o *observer) lookAtRuns(ctx context.Context) error {
	var n int
	err := o.runs.QueryRowContext(ctx, `
		SELECT count(*) FROM tags t JOIN runs r ON r.run_uuid = t.run_uuid
		WHERE t.key = 'component' AND t.value = 'pipeline' AND r.status IN ('FINISHED', 'FAILED', 'KILLED')`).Scan(&n)
	if err != nil {
		return fmt.Errorf("look at runs: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last.inMLflow = n
	return nil
}

// look reads both anew, as far as they can be read.
func (o *observer) look() progress {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = o.lookAtJobs(ctx)
	_ = o.lookAtRuns(ctx)
	return o.progress()
}

// refused counts messages that the worker set aside.
func (o *observer) refused(ctx context.Context) (n int, err error) {
	err = o.jobs.QueryRowContext(ctx, `SELECT count(*) FROM outbox WHERE refused_at IS NOT NULL`).Scan(&n)
	return n, err
}
