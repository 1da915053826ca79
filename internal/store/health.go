package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const metaWritten = "written" // JSON: when Writable wrote last

// Writable makes sure that the database takes a write, by a write, and that the write lasts.
func (s *Store) Writable(ctx context.Context) error {
	if err := s.inPlace(); err != nil {
		return err
	}
	if err := writeNote(ctx, s.db, metaWritten, s.clock().UTC()); err != nil {
		return fmt.Errorf("write to the job database: %w", explain(err))
	}
	return nil
}

// inPlace says by an error that the SQLite file was removed or replaced: what is written goes into the old
// file then, which nobody finds any more and which is gone when this process ends.
func (s *Store) inPlace() error {
	if s.file == nil {
		return nil
	}
	now, err := os.Stat(s.path)
	const remedy = "what this process writes goes into the old file, which is gone when it ends; stop it, put the right file in its place then, and start it again"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the job database %s was removed: %s", s.path, remedy)
	case err == nil && !os.SameFile(s.file, now):
		return fmt.Errorf("the job database %s was replaced by another file: %s", s.path, remedy)
	}
	return nil
}
