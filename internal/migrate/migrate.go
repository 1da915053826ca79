package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/technoshare/commentator/internal/store"
)

// Config says what a migration works with.
type Config struct {
	From string // path of the old database, for the report
	Old  Tables // its rows
	Now  time.Time
	// LinkKey tells pages apart, so that a page that the old program commented on a moment
	// ago is not commented on again.
	LinkKey func(link string) string
	// Enqueue puts a job that goes on into the queue, in the migration's transaction.
	Enqueue func(ctx context.Context, tx *sql.Tx, jobID int64) error
}

// Run puts the rows of an old database into a database of ours, in one transaction. A repeated
// run adds what the old program did since: new messages and jobs, and the end of jobs that
// nobody began here.
//
// The errors are *commentator.Error with the codes of this package, final ones, when the
// database is not one that can be used; nothing is written then.
func Run(ctx context.Context, cfg Config, s *store.Store) (Report, error) {
	var r Report
	err := s.Import(ctx, func(held store.Contents) (in store.Import, err error) {
		in, r, err = plan(cfg, held)
		return in, err
	}, cfg.Enqueue)
	r.From, r.To = cfg.From, s.Path()
	if err != nil {
		return r, fmt.Errorf("migrate to %s: %w", s.Path(), err)
	}
	return r, nil
}

// Preview is Run without writing anything. A nil store is a database that is not there yet.
func Preview(ctx context.Context, cfg Config, s *store.Store) (Report, error) {
	var held store.Contents
	to := "a new database"
	if s != nil {
		var err error
		to = s.Path()
		if held, err = s.Contents(ctx); err != nil {
			return Report{}, err
		}
	}
	_, r, err := plan(cfg, held)
	r.From, r.To, r.DryRun = cfg.From, to, true
	if err != nil {
		return r, fmt.Errorf("migrate to %s: %w", to, err)
	}
	return r, nil
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// Export writes a database of ours as an old one into a new file; with dryRun it only reports.
func Export(ctx context.Context, s *store.Store, path string, dryRun bool) (Report, error) {
	if _, err := os.Lstat(path); err == nil {
		return Report{}, exists(path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Report{}, fmt.Errorf("write old database: %w", err)
	}
	held, err := s.Contents(ctx)
	if err != nil {
		return Report{}, err
	}
	t, r := back(held)
	r.From, r.To, r.DryRun = s.Path(), path, dryRun
	if dryRun {
		return r, nil
	}
	return r, Write(ctx, path, t)
}

// SameFile is the error when the old database is the file that is to be written.
func SameFile(from, to string) error {
	a, errA := os.Stat(from)
	b, errB := os.Stat(to)
	if errA == nil && errB == nil && os.SameFile(a, b) {
		return mustBe(CodeSameFile, "DB_PATH names the old database %s itself, which stays as it is; "+
			"set DB_PATH to a new file, for instance ./commentator.sqlite", from)
	}
	return nil
}
