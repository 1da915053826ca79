// Package wholefile replaces files whole: whoever reads one finds what was there before or all that is
// there now, also after a loss of power, and what is noted of it afterwards is true then.
//
// github.com/google/renameio does not sync the folder, and the name that it writes under is longer than
// that of the file: names of artifacts may be as long as the file system takes.
package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// temporary is the name that is written under, in the folder of the file: hidden, and without the
// ending by which readers of the folder know their files.
const temporary = ".tmp-*"

// Write writes a file in the place of what has its name. Its folder must be there. A link is replaced,
// not what it leads to. The mode is the file's, whatever the umask and that of the file before.
func Write(path string, content []byte, mode fs.FileMode) error {
	f, err := Beside(path, content, mode)
	if err != nil {
		return err
	}
	return f.Replace()
}

// WriteUnsynced is Write without waiting for the disk, which takes longer than all else: after a loss of
// power the file may be empty.
func WriteUnsynced(path string, content []byte, mode fs.FileMode) error {
	f, err := create(path, content, mode, false)
	if err != nil {
		return err
	}
	return f.Replace()
}

// File is written beside the one whose place it takes.
type File struct {
	name, path string
	waits      bool // for the disk
}

// Beside does all of Write but to replace the file: for several that are replaced when all are written.
// The caller ends it with Replace or Discard.
func Beside(path string, content []byte, mode fs.FileMode) (*File, error) {
	return create(path, content, mode, true)
}

func create(path string, content []byte, mode fs.FileMode, waits bool) (*File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), temporary)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(content); err == nil && waits {
		err = sync(f)
	}
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()))
	}
	return &File{f.Name(), path, waits}, nil
}

// Replace puts the file in its place.
func (f *File) Replace() error {
	if err := os.Rename(f.name, f.path); err != nil {
		return errors.Join(err, os.Remove(f.name))
	}
	if !f.waits {
		return nil
	}
	return syncFolder(filepath.Dir(f.path))
}

// Discard removes the file, unless it is in its place.
func (f *File) Discard() { _ = os.Remove(f.name) }

// CheckFolder writes a file into a folder for a try, and removes it.
func CheckFolder(dir string) error {
	f, err := os.CreateTemp(dir, temporary)
	if err != nil {
		return err
	}
	_, err = f.WriteString("probe") // a full disk still has names
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// sync waits until the disk holds a file or a folder; a test looks at what it is called with.
var sync = (*os.File).Sync

// syncFolder makes the names in a folder last. Some file systems cannot, and who may write into a
// folder may not be allowed to read it: the file is in its place all the same.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return nil // as said above
	}
	defer f.Close()
	if err := sync(f); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
