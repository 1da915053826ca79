//go:build linux

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFullDiskCutsWritesOff of a running program and of what it starts, and of no other.
func TestFullDiskCutsWritesOff(t *testing.T) {
	for name, c := range map[string]struct {
		freed bool
		want  int64
	}{"full": {false, fullAt}, "free again": {true, 4 * fullAt}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := &program{
				name: worker, dir: dir, died: func(text string) { t.Error(text) },
				command: []string{"sh", "-c", "read line < start; head -c 262144 /dev/zero > big; echo done > end; sleep 600"},
			}
			for _, pipe := range []string{"start", "end"} {
				if err := syscall.Mkfifo(filepath.Join(dir, pipe), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.start(); err != nil {
				t.Fatal(err)
			}
			defer p.kill()
			if err := p.fill(); err != nil {
				t.Fatal(err)
			}
			if c.freed {
				if err := p.free(); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "start"), []byte("go\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := os.ReadFile(filepath.Join(dir, "end")); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(filepath.Join(dir, "big")); err != nil || info.Size() != c.want {
				t.Errorf("%v, %v; want a file of %d bytes", info, err, c.want)
			}
			if err := os.WriteFile(filepath.Join(dir, "ours"), make([]byte, 2*fullAt), 0o600); err != nil {
				t.Errorf("another program is cut off too: %v", err)
			}
		})
	}
}
