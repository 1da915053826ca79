//go:build linux || darwin

package validate

import (
	"fmt"
	"syscall"
)

// diskSpace is what a file system has, for users without privileges.
func diskSpace(dir string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	size := int64(s.Bsize) //nolint:unconvert // its type differs between systems
	return int64(s.Bavail) * size, int64(s.Blocks) * size, nil
}
