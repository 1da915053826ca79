//go:build linux || darwin

package doctor

import (
	"fmt"
	"syscall"
)

// disk is the file system that a directory is on.
type disk struct {
	free             int64 // bytes, for who is not root
	files, freeFiles uint64
	readOnly         bool
}

const (
	mountedReadOnly = 1 // ST_RDONLY of Linux, MNT_RDONLY of macOS
	forWriting      = 2 // W_OK
)

func readDisk(dir string) (disk, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return disk{}, fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	return disk{
		free:  int64(s.Bavail) * int64(s.Bsize), //nolint:unconvert // sizes of a disk; their types differ between systems
		files: s.Files, freeFiles: s.Ffree,
		readOnly: s.Flags&mountedReadOnly != 0,
	}, nil
}

func writable(dir string) bool { return syscall.Access(dir, forWriting) == nil }
