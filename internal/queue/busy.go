package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gofrs/flock"
)

// Busy reports whether a process works off the jobs of a database. It holds a shared lock for
// a moment; a process that starts meanwhile waits for it, see LockWait.
func Busy(lockPath string) (bool, error) {
	if _, err := os.Stat(lockPath); errors.Is(err, fs.ErrNotExist) {
		return false, nil // nobody ever did
	}
	lock := flock.New(lockPath, flock.SetFlag(os.O_RDONLY))
	free, err := lock.TryRLock()
	if err != nil {
		return false, fmt.Errorf("look for a worker: %w", err)
	}
	return !free, lock.Unlock()
}
