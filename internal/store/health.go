package store

import (
	"context"
	"fmt"
)

const metaWritten = "written" // JSON: when Writable wrote last

// Writable makes sure that the database takes a write, by a write.
func (s *Store) Writable(ctx context.Context) error {
	if err := writeNote(ctx, s.db, metaWritten, s.clock().UTC()); err != nil {
		return fmt.Errorf("write to the job database: %w", explain(err))
	}
	return nil
}
