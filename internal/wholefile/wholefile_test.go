package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// synced replaces the waiting for the disk and returns what it was asked for, with what had the file's
// name by then.
func synced(t *testing.T, path string, fails func(folder bool) error) *[]string {
	t.Helper()
	var calls []string
	sync = func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		what := "file"
		if info.IsDir() {
			what = "folder"
		}
		there, _ := os.ReadFile(path)
		calls = append(calls, what+" while "+string(there)+" is there")
		return fails(info.IsDir())
	}
	t.Cleanup(func() { sync = (*os.File).Sync })
	return &calls
}

func never(bool) error { return nil }

// After a loss of power there is the old file or all of the new one, and the new one once Write has
// returned.
func TestContentIsOnDiskBeforeItsNameIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	calls := synced(t, path, never)
	if err := Write(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if want := []string{"file while old is there", "folder while new is there"}; !slices.Equal(*calls, want) {
		t.Errorf("synced %q, want %q", *calls, want)
	}
}

func TestUnsyncedWritesDoNotWaitForTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	calls := synced(t, path, never)
	if err := WriteUnsynced(path, []byte("new"), 0o644); err != nil || len(*calls) != 0 {
		t.Errorf("synced %q, %v", *calls, err)
	}
	if got, err := os.ReadFile(path); string(got) != "new" || err != nil {
		t.Errorf("there is %q, %v", got, err)
	}
}

func TestFileThatCannotBeWrittenLeavesTheOldOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	synced(t, path, func(folder bool) error { return syscall.EIO })
	if err := Write(path, []byte("new"), 0o600); !errors.Is(err, syscall.EIO) {
		t.Errorf("error %v, want that of the disk", err)
	}
	got, _ := os.ReadFile(path)
	if string(got) != "old" || len(names(t, dir)) != 1 {
		t.Errorf("there is %q among %v", got, names(t, dir))
	}
}

// A folder that cannot be synced is no reason to call a written file missing; a broken disk is.
func TestFoldersThatCannotBeSynced(t *testing.T) {
	for err, want := range map[error]error{syscall.EINVAL: nil, syscall.ENOTSUP: nil, syscall.EIO: syscall.EIO} {
		path := filepath.Join(t.TempDir(), "f")
		synced(t, path, func(folder bool) error {
			if folder {
				return err
			}
			return nil
		})
		if got := Write(path, nil, 0o600); !errors.Is(got, want) {
			t.Errorf("%v: error %v, want %v", err, got, want)
		}
	}
}

func TestModeIsThatWhichIsAskedFor(t *testing.T) {
	old := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(old) })
	path := filepath.Join(t.TempDir(), "f")
	for _, mode := range []fs.FileMode{0o644, 0o600, 0o640} {
		if err := Write(path, nil, mode); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("mode %v, %v, want %v", info.Mode(), err, mode)
		}
	}
}

func TestLinkIsReplacedAndNotWhatItLeadsTo(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("old"), 0o600), os.Symlink(file, link), Write(link, []byte("new"), 0o600)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if behind, _ := os.ReadFile(file); err != nil || !info.Mode().IsRegular() || string(behind) != "old" {
		t.Errorf("%v, %v; behind it %q", info.Mode(), err, behind)
	}
}

// The name that is written under must not be longer than what the file system takes.
func TestNameMayBeAsLongAsTheFileSystemTakes(t *testing.T) {
	if err := Write(filepath.Join(t.TempDir(), strings.Repeat("n", 255)), []byte("new"), 0o600); err != nil {
		t.Error(err)
	}
}

func TestSeveralAreReplacedWhenAllAreWritten(t *testing.T) {
	dir := t.TempDir()
	first, err := Beside(filepath.Join(dir, "a"), []byte("a"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Beside(filepath.Join(dir, "b"), []byte("b"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names(t, dir) {
		if !strings.HasPrefix(name, ".") {
			t.Errorf("%s is there already", name)
		}
	}
	if err := first.Replace(); err != nil {
		t.Fatal(err)
	}
	first.Discard()
	second.Discard()
	if got := names(t, dir); !slices.Equal(got, []string{"a"}) {
		t.Errorf("there are %v", got)
	}
}

func TestFolderIsTriedWithoutATrace(t *testing.T) {
	dir := t.TempDir()
	if err := CheckFolder(dir); err != nil || len(names(t, dir)) > 0 {
		t.Errorf("%v, there are %v", err, names(t, dir))
	}
	if err := CheckFolder(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v for a folder that is not there", err)
	}
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
