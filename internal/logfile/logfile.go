// Package logfile writes lines to a file that may be moved away, as logrotate does, and opens
// it anew when told so. No line is lost or torn: what is written before goes to the old file,
// wherever it is then.
package logfile

import (
	"fmt"
	"os"
	"sync"
	"syscall"
)

// File is a log file. It is safe for concurrent use.
type File struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// Open opens the file at path for appending and creates it, readable by its owner and group,
// if there is none.
func Open(path string) (*File, error) {
	f, err := open(path, 0)
	if err != nil {
		return nil, err
	}
	return &File{path: path, file: f}, nil
}

func open(path string, more int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|more, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open log file: %w", err)
	}
	return f, nil
}

// Write writes one line, or several.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Write(p)
}

// Reopen opens the file at the path anew and closes the old one, which gets nothing more once the
// new one is there. When it cannot be opened, the old one goes on to be used.
func (f *File) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	next, err := open(f.path, syscall.O_NONBLOCK) // a pipe that nobody reads holds up no line
	if err != nil {
		return err
	}
	old := f.file
	f.file = next
	return old.Close()
}

// Close closes the file; what is written later fails.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}
