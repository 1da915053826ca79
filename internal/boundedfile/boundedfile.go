// Package boundedfile reads files that people name, up to a size: an endless one, such as a device or
// a pipe that nobody closes, would fill the memory.
package boundedfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// MaxSettings bounds a file of settings, rules or prices that a person writes, in bytes.
const MaxSettings = 1 << 20

// ErrTooLarge is in the error of what holds more than its limit.
var ErrTooLarge = errors.New("too large")

// ErrNotRegular is in the error of what ReadRegular refuses.
var ErrNotRegular = errors.New("not a regular file")

// Read reads a file of limit bytes at most. It may be a pipe or a device.
func Read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readFile(f, limit)
}

// ReadRegular is Read for who cannot wait: what is neither a regular file nor a link to one is
// refused, since opening or reading it may take until somebody writes to it.
func ReadRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // opening a device may already do something
	if err != nil {
		return nil, err
	}
	if err := regular(path, info); err != nil {
		return nil, err
	}
	// Another file may be there by now: O_NONBLOCK opens a pipe without waiting for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if err := regular(path, info); err != nil {
		return nil, err
	}
	return readFile(f, limit)
}

func readFile(f *os.File, limit int64) (body []byte, err error) {
	if info, statErr := f.Stat(); statErr == nil && info.Mode().IsRegular() && info.Size() > limit {
		err = tooLarge(limit) // without reading so much in vain
	} else {
		body, err = ReadAll(f, limit)
	}
	if errors.Is(err, ErrTooLarge) {
		return nil, &fs.PathError{Op: "read", Path: f.Name(), Err: err}
	}
	return body, err
}

// ReadAll reads what r still holds, limit bytes at most.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, tooLarge(limit)
	}
	return body, nil
}

func tooLarge(limit int64) error {
	return fmt.Errorf("%w: it holds more than the %s that are read", ErrTooLarge, size(limit))
}

// size writes a limit, which is a whole number of KiB or MiB or small.
func size(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

func regular(path string, info fs.FileInfo) error {
	mode := info.Mode()
	if mode.IsRegular() {
		return nil
	}
	if mode.IsDir() {
		return &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR} // as reading it would say
	}
	what := "a device"
	switch {
	case mode&fs.ModeNamedPipe != 0:
		what = "a named pipe"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	}
	return &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%w: it is %s", ErrNotRegular, what)}
}
