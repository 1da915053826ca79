package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/technoshare/commentator/internal/boundedfile"
	"github.com/technoshare/commentator/internal/wholefile"
)

// LastSamplingPath is where the last good content of a sampling file is kept: whoever writes the
// file, or finds that it has changed and can be read, copies it there. It holds when the file cannot
// be read and a process knows no later one, such as after a start.
func LastSamplingPath(path string) string { return behindLinks(path) + lastSuffix }

const lastSuffix = ".last"

// LastSampling reads the last good content of a sampling file. Without any it has no revision.
func LastSampling(path string) (s Sampling, revision string, err error) {
	last := LastSamplingPath(path)
	body, err := boundedfile.ReadRegular(last, maxSampling)
	if errors.Is(err, fs.ErrNotExist) {
		return Sampling{}, "", nil
	}
	if err == nil {
		s, err = parseSampling(body)
	}
	if err != nil {
		return Sampling{}, "", fmt.Errorf("read what the sampling file held last, %s: %w", last, err)
	}
	return s, revisionOf(body), nil
}

// keepSampling copies what a sampling file holds, unless somebody changes the file at present, who
// does it then. It returns the revision of the copy that is there now.
func keepSampling(path string, body []byte, mode fs.FileMode) (revision string, err error) {
	last := LastSamplingPath(path)
	if revision = keptRevision(last); revision == revisionOf(body) {
		if info, err := os.Stat(last); err == nil && info.Mode().Perm() == mode {
			return revision, nil
		}
	}
	lock := samplingLock(path)
	locked, err := lock.TryLock()
	if err != nil || !locked {
		return revision, explainWriting(path, err)
	}
	defer func() { _ = lock.Close() }()
	if now, err := boundedfile.ReadRegular(path, maxSampling); err != nil || !bytes.Equal(now, body) {
		return revision, nil // it has changed since, which the next job sees
	}
	if err := wholefile.Write(last, body, mode); err != nil {
		return revision, explainWriting(last, err)
	}
	return revisionOf(body), nil
}

// forgetSampling removes the copy of a sampling file that was removed. Where only a link to the file
// was, the copy stays with the file, for whoever has another link to it.
func forgetSampling(last string) error {
	if _, err := os.Lstat(last); err != nil {
		return nil // there is none, as nearly always
	}
	file := strings.TrimSuffix(last, lastSuffix)
	lock := samplingLock(file)
	locked, err := lock.TryLock()
	if err != nil || !locked {
		return explainWriting(file, err)
	}
	defer func() { _ = lock.Close() }()
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return nil // it is shared, or was written meanwhile
	}
	if err := os.Remove(last); !errors.Is(err, fs.ErrNotExist) {
		return explainWriting(last, err)
	}
	return nil
}

// keptRevision is the revision of a copy, be it good or not; empty: there is none to read.
func keptRevision(last string) string {
	body, err := boundedfile.ReadRegular(last, maxSampling)
	if err != nil {
		return ""
	}
	return revisionOf(body)
}
