//go:build unix

package backup

import "syscall"

// syncDisks writes to the disks what was written to files: once, where a call for each of
// thousands of files takes minutes.
var syncDisks = syscall.Sync
