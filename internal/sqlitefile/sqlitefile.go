// Package sqlitefile is what those share who open SQLite's files: names of data sources, the look
// at a file without SQLite, and SQLite's result codes.
package sqlitefile

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"

	"modernc.org/sqlite"
)

// Header is what each database that is not empty begins with (https://www.sqlite.org/fileformat.html).
const Header = "SQLite format 3\x00"

// ErrNot is in the error of Check for a file that is something else.
var ErrNot = errors.New("no SQLite database")

// Check makes sure that a file is a database that is not empty.
func Check(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(Header))
	if _, err := io.ReadFull(f, head); err != nil || string(head) != Header {
		return fmt.Errorf("%s is %w", path, ErrNot)
	}
	return nil
}

// Source is the name of a data source for the driver "sqlite". The path may hold any character; a
// relative one is relative to the working directory. Options are those of SQLite's URIs (mode,
// immutable) and of the driver (_pragma, _txlock).
func Source(path string, options url.Values) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + options.Encode()
}

// Code is the primary result code (https://www.sqlite.org/rescode.html) of an error that comes from
// SQLite; false: it comes from elsewhere.
func Code(err error) (int, bool) {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code() & 0xff, true
}
