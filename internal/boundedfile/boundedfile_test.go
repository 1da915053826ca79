package boundedfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestNothingIsReadBeyondTheLimit(t *testing.T) {
	if _, err := ReadAll(endless{}, 1<<20); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "more than the 1 MiB that are read") {
		t.Errorf("an endless reader: %v", err)
	}
	path := filepath.Join(t.TempDir(), "file")
	for _, read := range []func(string, int64) ([]byte, error){Read, ReadRegular} {
		if _, err := read(path, 3); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file that is not there: %v", err)
		}
		if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
			t.Fatal(err)
		}
		if body, err := read(path, 3); string(body) != "abc" || err != nil {
			t.Errorf("a file as large as the limit: %q, %v", body, err)
		}
		if _, err := read(path, 2); !errors.Is(err, ErrTooLarge) || err.Error() != "read "+path+": too large: it holds more than the 2 bytes that are read" {
			t.Errorf("a larger one: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnlyRegularFilesAndLinksToThemAreReadAtOnce(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(at("file"), []byte("abc"), 0o600), os.Symlink("file", at("link")), syscall.Mkfifo(at("pipe"), 0o600),
		os.Symlink("pipe", at("link to pipe"))); err != nil {
		t.Fatal(err)
	}
	if body, err := ReadRegular(at("link"), 3); string(body) != "abc" || err != nil {
		t.Errorf("a link: %q, %v", body, err)
	}
	for path, want := range map[string]string{at("pipe"): "a named pipe", at("link to pipe"): "a named pipe", os.DevNull: "a device"} {
		if _, err := ReadRegular(path, 3); !errors.Is(err, ErrNotRegular) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := ReadRegular(dir, 3); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a folder: %v", err)
	}
}
