package retention

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// pages is how much of the database file is used.
type pages struct {
	size, total, free int64
	incremental       bool // the file is in the form that can be shortened step by step
}

func (p pages) bytes() int64 { return p.size * p.total }

func readPages(ctx context.Context, q querier) (pages, error) {
	var p pages
	var vacuum int
	for name, into := range map[string]any{"page_size": &p.size, "page_count": &p.total, "freelist_count": &p.free, "auto_vacuum": &vacuum} {
		if err := q.QueryRowContext(ctx, `PRAGMA `+name).Scan(into); err != nil {
			return p, fmt.Errorf("read %s: %w", name, err)
		}
	}
	p.incremental = vacuum == 2
	return p, nil
}

// worth is the share of free pages below which the file stays as it is: MLflow fills them again.
const worth = 0.05

// giveBack shortens the file by the pages that are free. The first time it writes the file
// anew, for which MLflow has to wait, at most for lock, and which takes as much disk as twice
// the file; it takes on the form that is then shortened step by step. note says why nothing
// was done, if so.
func (d *database) giveBack(ctx context.Context, lock time.Duration) (note string, err error) {
	conn, err := d.sql.Conn(ctx)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	p, err := readPages(ctx, conn)
	if err != nil {
		return "", err
	}
	switch {
	case float64(p.free) < worth*float64(p.total):
		return fmt.Sprintf("%d of %d pages are free: too few to write the file anew, MLflow fills them again", p.free, p.total), nil
	case p.incremental:
		return "", d.shorten(ctx, conn, p.free)
	}
	if note, err := d.room(p); note != "" || err != nil {
		return note, err
	}
	note, err = d.rewrite(ctx, conn, lock)
	if err != nil || note != "" {
		return note, err
	}
	// In WAL mode the file itself shrinks with a checkpoint; without WAL this does nothing.
	_, err = conn.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return "", err
}

// shorten gives back free pages in short transactions.
func (d *database) shorten(ctx context.Context, conn *sql.Conn, free int64) error {
	const step = 2000
	for free > 0 {
		if err := drain(ctx, conn, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, step)); err != nil {
			return fmt.Errorf("shorten the database: %w", err)
		}
		p, err := readPages(ctx, conn)
		if err != nil {
			return err
		}
		if p.free >= free {
			break // somebody else frees as fast
		}
		free = p.free
	}
	_, err := conn.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}

// drain runs a statement that works while its rows are fetched.
func drain(ctx context.Context, q querier, statement string) error {
	rows, err := q.QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() { // there is nothing in them
	}
	return rows.Err()
}

// room says so when the disks have no room for a second copy of the file: one is made in the
// temporary directory, and what is overwritten is kept beside the file until the end.
func (d *database) room(p pages) (string, error) {
	used := p.size * (p.total - p.free)
	need := map[string]int64{}
	need[filepath.Dir(d.path)] += p.bytes()
	need[os.TempDir()] += used
	devices := map[uint64]int64{}
	for dir, bytes := range need {
		var s syscall.Stat_t
		var fs syscall.Statfs_t
		if err := errors.Join(syscall.Stat(dir, &s), syscall.Statfs(dir, &fs)); err != nil {
			return "", fmt.Errorf("look at the disk of %s: %w", dir, err)
		}
		devices[uint64(s.Dev)] += bytes                                         //nolint:unconvert // its type differs between systems
		if have := int64(fs.Bavail) * fs.Bsize; devices[uint64(s.Dev)] > have { //nolint:unconvert // likewise
			return fmt.Sprintf("the database stays as long as it is: to write it anew takes %d bytes of disk at %s, which has %d", devices[uint64(s.Dev)], dir, have), nil //nolint:unconvert // likewise
		}
	}
	return "", nil
}

// rewrite writes the file anew, within the time for which MLflow waits.
func (d *database) rewrite(ctx context.Context, conn *sql.Conn, lock time.Duration) (string, error) {
	// Takes effect with the next VACUUM, on the same connection.
	if _, err := conn.ExecContext(ctx, `PRAGMA auto_vacuum = INCREMENTAL`); err != nil {
		return "", fmt.Errorf("choose the form of the file: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, lock)
	defer cancel()
	_, err := conn.ExecContext(bounded, `VACUUM`)
	switch {
	case err != nil && ctx.Err() == nil && bounded.Err() != nil:
		return fmt.Sprintf("the database stays as long as it is: to write it anew takes longer than %v, for which MLflow cannot write; --lock-for allows more", lock), nil
	case err != nil:
		return "", fmt.Errorf("write the database anew: %w", err)
	}
	return "", nil
}
