package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

const partialPrefix = ".partial-"

// A backup's name sorts by its time.
var name = regexp.MustCompile(`^backup-\d{8}T\d{6}Z(-\d)?$`)

// free returns a folder for a backup of a time that is not there yet.
func free(to string, t time.Time) (string, error) {
	dir := filepath.Join(to, "backup-"+t.UTC().Format("20060102T150405Z"))
	for n := 2; n < 10; n++ {
		if !isThere(dir) {
			return dir, nil
		}
		dir = fmt.Sprintf("%s-%d", strings.TrimSuffix(dir, fmt.Sprintf("-%d", n-1)), n)
	}
	return "", fmt.Errorf("there are 9 backups of this second in %s already", to)
}

// lock keeps a second backup out of a folder.
func lock(to string) (unlock func() error, err error) {
	l := flock.New(filepath.Join(to, ".lock"), flock.SetPermissions(0o600))
	free, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", to, err)
	}
	if !free {
		return nil, fmt.Errorf("another backup is being made in %s; wait until it has ended", to)
	}
	return l.Unlock, nil
}

// removePartial removes what backups left that did not end. The caller holds the lock.
func removePartial(to string) error {
	partial, err := filepath.Glob(filepath.Join(to, partialPrefix+"backup-*"))
	if err != nil {
		return err
	}
	for _, dir := range partial {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove a backup that did not end: %w", err)
		}
	}
	return nil
}

// Listed is a backup in a folder of backups.
type Listed struct {
	Dir      string
	Manifest Manifest
	Err      error // of reading the manifest
}

// List returns the backups in a folder, the oldest first. Other things there are left alone.
func List(to string) ([]Listed, error) {
	entries, err := os.ReadDir(to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	var all []Listed
	for _, e := range entries {
		if !e.IsDir() || !name.MatchString(e.Name()) {
			continue
		}
		l := Listed{Dir: filepath.Join(to, e.Name())}
		l.Manifest, l.Err = ReadManifest(l.Dir)
		all = append(all, l)
	}
	return all, nil
}

// newest is the newest backup whose files may be linked to.
func newest(to string) (earlier, error) {
	all, err := List(to)
	if err != nil {
		return earlier{}, err
	}
	for _, l := range slices.Backward(all) {
		if l.Err != nil {
			continue
		}
		e := earlier{dir: filepath.Join(l.Dir, filesName), files: map[string]File{}}
		for _, f := range l.Manifest.Files {
			if !f.Modified.IsZero() {
				e.files[f.Path] = f
			}
		}
		return e, nil
	}
	return earlier{}, nil
}

// rotate removes the oldest backups so that keep stay. What cannot be read as a backup is not
// ours to remove, and does not count.
func rotate(to string, keep int) (removed []string, err error) {
	if keep <= 0 {
		return nil, nil
	}
	all, err := List(to)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(l Listed) bool { return l.Err != nil })
	for _, l := range all[:max(0, len(all)-keep)] {
		if err := os.RemoveAll(l.Dir); err != nil {
			return removed, fmt.Errorf("remove an old backup: %w", err)
		}
		removed = append(removed, l.Dir)
	}
	return removed, nil
}
