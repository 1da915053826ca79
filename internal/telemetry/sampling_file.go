package telemetry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"go.yaml.in/yaml/v3"
)

// ReadSampling reads a sampling file and its revision, the beginning of its SHA-256. A file
// that does not exist holds no rules and has no revision.
func ReadSampling(path string) (s Sampling, revision string, err error) {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Sampling{}, "", nil
	}
	if err != nil {
		return Sampling{}, "", fmt.Errorf("read sampling file: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	decoder.KnownFields(true)
	if err = decoder.Decode(&s); err == nil || errors.Is(err, io.EOF) {
		err = s.Validate()
	}
	if err != nil {
		return Sampling{}, "", fmt.Errorf("read sampling file %s: %w; mend it, or `commentator tracing reset` writes it anew", path, err)
	}
	for i, r := range s.Rules { // as jobs have it, when people wrote the file
		s.Rules[i].Domain = strings.TrimSuffix(strings.ToLower(r.Domain), ".")
	}
	sum := sha256.Sum256(body)
	return s, hex.EncodeToString(sum[:4]), nil
}

// WriteSampling replaces a sampling file in one step: whoever reads it sees the old rules
// or the new ones. A link stays, and the file that it leads to is replaced.
func WriteSampling(path string, s Sampling) (err error) {
	if err := s.Validate(); err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString("# Written by `commentator tracing`; it takes effect for jobs that start from now on.\n")
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(s), encoder.Close()); err != nil {
		return fmt.Errorf("encode sampling file: %w", err)
	}
	path = behindLinks(path)
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write sampling file: %w", explainFolder(path, err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write sampling file: %w", err), os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

const (
	samplingLockPoll = 10 * time.Millisecond
	samplingLockWait = 10 * time.Second // who has the lock reads and writes a small file
)

// LockSampling makes others that call it wait until unlock is called: who changes a sampling
// file holds the lock from the reading to the writing, so that no rule of another one is lost.
// It is a file beside the sampling file. Who only reads needs none.
func LockSampling(ctx context.Context, path string) (unlock func(), err error) {
	path = behindLinks(path)
	// Anyone who may write the folder may change the rules, so everyone may open the lock.
	lock := flock.New(path+".lock", flock.SetPermissions(0o644))
	waiting, stop := context.WithTimeout(ctx, samplingLockWait)
	defer stop()
	_, err = lock.TryLockContext(waiting, samplingLockPoll)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("lock sampling file: another process has held %s for %v; end it and try again", lock.Path(), samplingLockWait)
	case err != nil:
		return nil, fmt.Errorf("lock sampling file: %w", explainFolder(path, err))
	}
	return func() { _ = lock.Close() }, nil
}

// explainFolder says what to do when the folder of a sampling file is missing.
func explainFolder(path string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w; make the folder %s, or set SAMPLING_FILE, which otherwise is beside DB_PATH", err, filepath.Dir(path))
}

// maxLinks is how many links Linux follows, too.
const maxLinks = 40

// behindLinks returns the path that a path leads to, also when nothing is there yet. What is
// wrong with a path, who opens it will find.
func behindLinks(path string) string {
	for range maxLinks {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return path
		}
		path = filepath.Join(dir, filepath.Base(path))
		to, err := os.Readlink(path)
		if err != nil {
			return path // no link
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(dir, to)
		}
		path = to
	}
	return path
}
