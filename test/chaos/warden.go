//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// wardenPause is the time between two looks. Two transactions of the worker that follow each
// other are half a millisecond apart.
const wardenPause = 50 * time.Microsecond

// warden rings for recorded attempts at stages while it holds the lock that the worker needs to
// write, so that a worker which is killed then has done what the stage's transaction does, and
// nothing of what comes after it. It looks only while a trap is set for that: looking so often
// takes a processor.
type warden struct {
	bell *bell
	db   *sql.DB
	conn *sql.Conn // the lock belongs to a connection
}

func newWarden(b *bell, jobs string) (*warden, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: jobs}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(0)")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", jobs, err)
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", jobs, err), db.Close())
	}
	return &warden{b, db, conn}, nil
}

// run looks whenever somebody waits, until ctx ends.
func (w *warden) run(ctx context.Context) {
	defer func() { _ = errors.Join(w.conn.Close(), w.db.Close()) }()
	for ctx.Err() == nil {
		if !w.bell.waits(eventCommit) {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		w.watch(ctx)
	}
}

// watch rings for the attempts that are recorded from now on, as long as somebody waits.
func (w *warden) watch(ctx context.Context) {
	known, err := w.stages(ctx)
	for ; ctx.Err() == nil && w.bell.waits(eventCommit); time.Sleep(wardenPause) {
		now, e := w.stages(ctx)
		if e != nil || err != nil {
			known, err = now, e // it cannot be read just now
			continue
		}
		if now > known && w.hold(ctx, now-known) {
			known = now
		}
	}
}

// hold rings for n attempts under the lock. It reports false when the worker was faster.
func (w *warden) hold(ctx context.Context, n int) bool {
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false
	}
	w.bell.ring(eventCommit, n)
	_, err := w.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // nothing was written
	return err == nil
}

func (w *warden) stages(ctx context.Context) (n int, err error) {
	err = w.conn.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM stages").Scan(&n)
	return n, err
}
