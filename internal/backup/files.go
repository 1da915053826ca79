package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// copyFile copies a regular file and returns its description. A file that is written meanwhile
// is copied again, so that the copy is one of its states if it has any.
func copyFile(from, to string) (File, error) {
	for tries := 0; ; tries++ {
		f, again, err := copyOnce(from, to)
		if err != nil {
			return f, fmt.Errorf("copy %s: %w", from, err)
		}
		if !again || tries == 5 {
			return f, nil
		}
	}
}

func copyOnce(from, to string) (f File, changed bool, err error) {
	source, err := os.Open(from)
	if err != nil {
		return f, false, err
	}
	defer source.Close()
	before, err := source.Stat()
	if err != nil {
		return f, false, err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return f, false, err
	}
	hash := sha256.New()
	f.Size, err = io.Copy(io.MultiWriter(target, hash), source)
	if err = errors.Join(err, target.Close()); err != nil {
		return f, false, err
	}
	after, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		after, err = before, nil // removed when all of it was read
	}
	if err != nil {
		return f, false, err
	}
	f.SHA256, f.Modified = hex.EncodeToString(hash.Sum(nil)), before.ModTime().UTC()
	return f, after.Size() != f.Size || !after.ModTime().Equal(before.ModTime()), nil
}

// hashFile returns the size and the checksum of a file.
func hashFile(path string) (File, error) {
	var f File
	source, err := os.Open(path)
	if err != nil {
		return f, err
	}
	defer source.Close()
	hash := sha256.New()
	if f.Size, err = io.Copy(hash, source); err != nil {
		return f, err
	}
	f.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return f, nil
}

// earlier are the files of the backup before, for links.
type earlier struct {
	dir   string // its files/; empty: there is none
	files map[string]File
}

// link makes a hard link to the file of the backup before when it is the same, and reports
// whether it did. Where the file system has no links the file is copied.
func (e earlier) link(path string, info fs.FileInfo, to string) (File, bool) {
	f, known := e.files[path]
	if !known || f.Size != info.Size() || !f.Modified.Equal(info.ModTime()) {
		return f, false
	}
	old := filepath.Join(e.dir, filepath.FromSlash(path))
	if held, err := os.Lstat(old); err != nil || !held.Mode().IsRegular() || held.Size() != f.Size {
		return f, false
	}
	return f, os.Link(old, to) == nil
}

// tree copies the regular files of a folder. Those that vanish meanwhile are left out: whoever
// deletes an artifact has deleted what refers to it first.
type tree struct {
	target string // files/
	before earlier
	take   func(path string, d fs.DirEntry) bool // nil: all; path is relative to the folder
	follow bool                                  // files and folders behind symbolic links are taken too

	files  []File
	linked int64
	odd    []string // neither files nor folders
}

func (t *tree) copy(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if errors.Is(err, fs.ErrNotExist) && path != from {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		link := d.Type()&fs.ModeSymlink != 0
		if link && t.follow {
			if info, err := os.Stat(path); err == nil {
				d = fs.FileInfoToDirEntry(info)
			}
		}
		if t.take != nil && rel != "." && !t.take(filepath.ToSlash(rel), d) {
			if d.IsDir() && !link {
				return filepath.SkipDir
			}
			return nil
		}
		switch {
		case d.IsDir() && link && rel != ".":
			return t.behind(ctx, path, rel, to)
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			t.odd = append(t.odd, path)
			return nil
		}
		return t.file(path, filepath.ToSlash(filepath.Join(to, rel)))
	})
}

// behind copies the folder that a symbolic link leads to, and what in it is linked, but no further
// folder behind a link: they may lead in circles.
func (t *tree) behind(ctx context.Context, path, rel, to string) error {
	take := t.take
	inner := tree{target: t.target, before: t.before, follow: true, take: func(below string, d fs.DirEntry) bool {
		linked, err := os.Lstat(filepath.Join(path, below))
		if err == nil && linked.Mode()&fs.ModeSymlink != 0 && d.IsDir() {
			return false
		}
		return take == nil || take(filepath.ToSlash(rel)+"/"+below, d)
	}}
	err := inner.copy(ctx, path+string(filepath.Separator), filepath.ToSlash(filepath.Join(to, rel)))
	t.files, t.odd = append(t.files, inner.files...), append(t.odd, inner.odd...)
	return err
}

// file copies one file to a path below the target.
func (t *tree) file(from, path string) error {
	to := filepath.Join(t.target, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	info, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f, linked := t.before.link(path, info, to)
	if linked {
		t.linked++
	} else if f, err = copyFile(from, to); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	f.Path = path
	t.files = append(t.files, f)
	return nil
}

// inside reports whether a path is a folder or lies below it.
func inside(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
