package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Several goroutines write while the file is moved away and opened anew again and again.
// Every line is in one of the files, once and whole.
func TestNoLineIsLostWhenTheFileIsRotated(t *testing.T) {
	const writers, lines, rotations = 4, 2000, 50
	dir := t.TempDir()
	path := filepath.Join(dir, "worker.log")
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range lines {
				if _, err := fmt.Fprintf(f, "%d %d end\n", w, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range rotations {
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Fatal(err)
		}
		if err := f.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	writing.Wait()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != rotations+1 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	seen := map[string]int{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			seen[line]++
		}
	}
	if len(seen) != writers*lines {
		t.Errorf("%d different lines; want %d", len(seen), writers*lines)
	}
	for line, n := range seen {
		if n != 1 || !strings.HasSuffix(line, " end\n") {
			t.Errorf("line %q is there %d times", line, n)
		}
	}
}

func TestAFileThatCannotBeOpenedAnewIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "worker.log")
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	moved := dir + ".old"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err == nil {
		t.Error("a folder that is gone is no error")
	}
	if _, err := f.Write([]byte("still here\n")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(moved, "worker.log"))
	if err != nil || string(text) != "still here\n" {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := os.Stat(filepath.Join(moved, "worker.log")); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Open(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
