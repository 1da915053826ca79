package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/technoshare/commentator/internal/sqlitefile"
)

// Check finds out whether Create could make a backup, as far as that shows without copying anything,
// and makes none. Whoever has to stop programs for a backup asks first.
func Check(ctx context.Context, cfg CreateConfig) (warnings []string, err error) {
	if warnings, err = possible(ctx, cfg); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	return warnings, nil
}

func possible(ctx context.Context, cfg CreateConfig) (warnings []string, err error) {
	to, err := filepath.Abs(cfg.To)
	if err != nil {
		return nil, err
	}
	if err := canHold(to); err != nil {
		return nil, err
	}
	s := cfg.Source
	if !s.without(PartJobs) {
		file, err := s.jobFile()
		if err == nil {
			err = markJobs.isOn(ctx, file)
		}
		if err != nil {
			return nil, err
		}
	}
	if file := s.evaluationsFile(); file != "" {
		if err := markEvaluations.isOn(ctx, file); err != nil {
			return nil, err
		}
	}
	store := ""
	if !s.without(PartMLflow) {
		if store, err = s.storeFile(); err == nil {
			err = markMLflow.isOn(ctx, store)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := s.included(); err != nil {
		return nil, err
	}
	if s.without(PartArtifacts) {
		return nil, nil
	}
	root, err := s.artifactFolder()
	if err == nil {
		err = apart(to, root)
	}
	if err != nil || store == "" {
		return nil, err
	}
	err = reading(store, func(db *sql.DB) error {
		warning, err := missingRoot(ctx, db, root, cfg.HasFiles)
		if warning != "" {
			warnings = append(warnings, warning)
		}
		return err
	})
	return warnings, err
}

// canHold makes sure that a folder is there and can be written to, or could be made. What it makes
// for that is gone when it returns.
func canHold(folder string) error {
	there := folder
	for !isThere(there) && there != filepath.Dir(there) {
		there = filepath.Dir(there)
	}
	info, err := os.Stat(there)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: folder, Err: fmt.Errorf("%s is not a folder", there)}
	}
	probe, err := os.MkdirTemp(there, partialPrefix+"check-*")
	if err != nil {
		return err
	}
	return os.Remove(probe)
}

// apart makes sure that a backup is not made in what it is to hold.
func apart(to, folder string) error {
	if inside(to, folder) {
		return fmt.Errorf("backups would be made in %s, which is backed up; choose another folder with --to", folder)
	}
	return nil
}

// isOn reads from a database that others may write to whether it is the one.
func (m mark) isOn(ctx context.Context, file string) error {
	if err := sqlitefile.Check(file); err != nil {
		return err
	}
	return reading(file, func(db *sql.DB) error {
		tables := map[string]int64{}
		name, err := text(ctx, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name = '`+m.table+`'`)
		if err != nil {
			return fmt.Errorf("read database %s: %w", file, err)
		}
		tables[name] = 0
		return m.on(file, tables)
	})
}

// reading opens a database that others may write to, and closes it again.
func reading(file string, read func(*sql.DB) error) error {
	db, err := openBusy(file)
	if err != nil {
		return err
	}
	return errors.Join(read(db), db.Close())
}
