//go:build linux

package sandbox

import (
	"os"
	"testing"
)

func TestAnonymous(t *testing.T) {
	const size = 32 << 20
	before, err := Anonymous(os.Getpid())
	if err != nil || before <= 0 {
		t.Fatalf("%d bytes, %v", before, err)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i)
	}
	after, err := Anonymous(os.Getpid())
	if err != nil || after-before < size/2 || after-before > 8*size { // the race detector keeps more
		t.Errorf("%d bytes more after %d were written: %v", after-before, len(b), err)
	}
	if _, err := Anonymous(-1); err == nil {
		t.Error("a process that is not there has memory")
	}
}
