//go:build linux

package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/technoshare/commentator/internal/retention/retentiontest"
	"github.com/technoshare/commentator/internal/sqlitefile"
	"github.com/technoshare/commentator/test/sandbox"
)

// collect runs `mlflow gc` on a store, with what its documentation asks for beside a server.
func (b *retentionBench) collect(ctx context.Context, url string, store retentiontest.Store, args ...string) (out string, seconds float64, err error) {
	cmd := exec.CommandContext(ctx, b.python, append([]string{
		"-m", "mlflow", "gc", "--backend-store-uri", "sqlite:///" + store.Database, "--artifacts-destination", store.Artifacts, "--tracking-uri", url,
	}, args...)...)
	cmd.Env, cmd.Dir = sandbox.Environ(), b.o.dir
	began := time.Now()
	text, err := cmd.CombinedOutput()
	return string(text), time.Since(began).Seconds(), err
}

// gc lets MLflow remove the same runs: it removes what was deleted before.
func (b *retentionBench) gc(ctx context.Context, r *retentionResult) error {
	s, client, store, err := b.at("gc")
	if err != nil {
		return err
	}
	defer s.stop()
	defer client.Close()
	began := time.Now()
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for _, j := range b.jobs[:b.o.jobs] {
		for _, run := range j.Runs {
			g.Go(func() error { return client.DeleteRun(within, run) })
		}
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("delete runs: %w", err)
	}
	r.GC.DeleteSeconds = time.Since(began).Seconds()
	out, seconds, err := b.collect(ctx, s.url, store)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, last(out, 2000))
	}
	r.GC.Seconds = seconds
	s.stop()
	r.GC.State, err = store.State(ctx)
	return err
}

// oddities are states of a run that MLflow's users have reported.
var oddities = []struct {
	name  string
	spoil func(ctx context.Context, db *sql.DB, artifacts string, j retentiontest.Job) error
}{
	{"artifact directory missing", func(_ context.Context, _ *sql.DB, artifacts string, j retentiontest.Job) error {
		return os.RemoveAll(filepath.Join(artifacts, j.Runs[1]))
	}},
	{"no artifact address", func(ctx context.Context, db *sql.DB, _ string, j retentiontest.Job) error {
		_, err := db.ExecContext(ctx, `UPDATE runs SET artifact_uri = NULL WHERE run_uuid = ?`, j.Root)
		return err
	}},
	{"artifacts in a bucket that is not reachable from here", func(ctx context.Context, db *sql.DB, _ string, j retentiontest.Job) error {
		_, err := db.ExecContext(ctx, `UPDATE runs SET artifact_uri = 'gs://bucket/1/' || run_uuid || '/artifacts' WHERE run_uuid = ?`, j.Root)
		return err
	}},
	{"artifact address of an unknown kind", func(ctx context.Context, db *sql.DB, _ string, j retentiontest.Job) error {
		_, err := db.ExecContext(ctx, `UPDATE runs SET artifact_uri = 'httq://host/1/' || run_uuid || '/artifacts' WHERE run_uuid = ?`, j.Root)
		return err
	}},
}

// odd spoils one run in each of some tens of jobs, lets `mlflow gc` remove each ten, and then
// mlflowctl all that goes.
func (b *retentionBench) odd(ctx context.Context, r *retentionResult) error {
	s, client, store, err := b.at("odd")
	if err != nil {
		return err
	}
	defer s.stop()
	defer client.Close()
	db, err := sql.Open("sqlite", sqlitefile.Source(store.Database, url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(30000)"}}))
	if err != nil {
		return err
	}
	defer db.Close()
	e, err := client.GetExperimentByName(ctx, "bench")
	if err != nil {
		return err
	}
	count := func() (n int, err error) {
		return n, db.QueryRowContext(ctx, `SELECT count(*) FROM runs`).Scan(&n)
	}
	const jobs = 10
	for i, c := range oddities {
		some := b.jobs[min(i*jobs, b.o.jobs):min((i+1)*jobs, b.o.jobs)]
		if err := c.spoil(ctx, db, filepath.Join(store.Artifacts, e.ID), some[jobs/2]); err != nil {
			return err
		}
		var ids []string
		for _, j := range some {
			for _, run := range j.Runs {
				ids = append(ids, run)
				if err := client.DeleteRun(ctx, run); err != nil {
					return err
				}
			}
		}
		before, err := count()
		if err != nil {
			return err
		}
		one := oddResult{Name: c.name, Wanted: len(ids)}
		text, _, gcErr := b.collect(ctx, s.url, store, "--run-ids", strings.Join(ids, ","))
		if gcErr != nil {
			one.Error = gcErr.Error() + ": " + lastLine(text)
		}
		after, err := count()
		if err != nil {
			return err
		}
		one.Removed = before - after
		r.Odd = append(r.Odd, one)
	}
	if _, _, err := b.retain(ctx, s.url, store, "--apply"); err != nil {
		r.OddRetention.Error = err.Error()
	}
	end, err := count()
	r.OddRetention.Removed, r.OddRetention.Wanted = r.Before.Rows["runs"]-end, 6*b.o.jobs
	return err
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
