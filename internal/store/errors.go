package store

import (
	"errors"
	"fmt"
)

// What a caller can tell apart with errors.Is.
var (
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("not found")

	// ErrFenced: the attempt no longer owns its job, because a newer attempt has begun
	// or somebody made the job final. Whoever gets it stops and writes nothing more.
	ErrFenced = errors.New("the attempt no longer owns the job")

	// ErrFinal: the job is final and never reopens. It is an ErrFenced too.
	ErrFinal = fmt.Errorf("the job is final: %w", ErrFenced)

	// ErrNoDatabase: there is no job database yet, and it was not to be made.
	ErrNoDatabase = errors.New("there is no job database yet")

	// ErrUnreachable: PostgreSQL does not let us in.
	ErrUnreachable = errors.New("cannot be reached")

	// ErrNotDatabase: the file is there and is no SQLite database.
	ErrNotDatabase = errors.New("not a SQLite database")

	// ErrOldDeployment: the file is the job database of the Python deployment.
	ErrOldDeployment = errors.New("job database of the earlier Python deployment")

	// ErrForeign: the file is the SQLite database of another program.
	ErrForeign = errors.New("database of another program")

	// ErrNewerSchema: the file was written by a newer release.
	ErrNewerSchema = errors.New("written by a newer release")

	// ErrOlderSchema: an older release wrote it and nobody has upgraded it; Open does.
	ErrOlderSchema = errors.New("written by an older release")

	// ErrReadOnly: the file or its directory cannot be written.
	ErrReadOnly = errors.New("cannot be written")
)
