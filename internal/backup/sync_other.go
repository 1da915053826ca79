//go:build !unix

package backup

// syncDisks leaves it to the system when files reach the disk: it has no call for all of them.
var syncDisks = func() {}
