package telemetry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"go.yaml.in/yaml/v3"

	"github.com/technoshare/commentator/internal/boundedfile"
	"github.com/technoshare/commentator/internal/strictyaml"
	"github.com/technoshare/commentator/internal/wholefile"
)

// ReadSampling reads a sampling file and its revision, the beginning of its SHA-256. A file
// that does not exist holds no rules and has no revision, and so does /dev/null. Rules that fit no job are among those it
// returns, see SamplingRule.FitsNone.
func ReadSampling(path string) (s Sampling, revision string, err error) {
	_, s, revision, err = readSampling(path)
	return s, revision, err
}

// maxSampling bounds a sampling file, in bytes. It is read while a job starts, in the database's
// transaction: nothing else that people could put in its place may be waited for.
const maxSampling = boundedfile.MaxSettings

// readSampling returns the text of the file, too; nil: there is no file.
func readSampling(path string) (body []byte, s Sampling, revision string, err error) {
	body, err = boundedfile.ReadRegular(path, maxSampling)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, boundedfile.ErrNotRegular) && isNull(path) {
		return nil, Sampling{}, "", nil
	}
	if err != nil {
		return nil, Sampling{}, "", fmt.Errorf("read sampling file: %w", explainReading(path, err))
	}
	if s, err = parseSampling(body); err != nil {
		return nil, Sampling{}, "", fmt.Errorf("read sampling file %s: %w; mend it, or `commentator tracing reset` writes it anew", path, err)
	}
	return body, s, revisionOf(body), nil
}

func parseSampling(body []byte) (s Sampling, err error) {
	if err = strictyaml.NewDecoder(bytes.NewReader(body)).Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return Sampling{}, cmp.Or(wrongTimes(body), strictyaml.Explain(err, &s))
	}
	if err = s.usable(); err != nil {
		return Sampling{}, err
	}
	for i, r := range s.Rules { // as jobs have it, when people wrote the file
		if host, ok := RuleHost(r.Domain); ok {
			s.Rules[i].Domain = host // what is no host stays: a lone . without its dot would fit all jobs
		}
	}
	return s, nil
}

// wrongTimes names the rules whose until is no time, in place of the decoder's error, which quotes
// Go's layout and names neither rule nor line. Nil: there are none.
func wrongTimes(body []byte) error {
	var text struct {
		Rules []struct {
			Until yaml.Node `yaml:"until"`
		} `yaml:"rules"`
	}
	_ = yaml.Unmarshal(body, &text) // what else is wrong the decoder says
	var errs []error
	for i, r := range text.Rules {
		var t time.Time
		if !r.Until.IsZero() && r.Until.Decode(&t) != nil {
			errs = append(errs, fmt.Errorf("line %d: rule %d: until %q is no time: write one such as 2026-07-31T18:00:00Z", r.Until.Line, i+1, r.Until.Value))
		}
	}
	return errors.Join(errs...)
}

func revisionOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:4])
}

// WriteSampling replaces a sampling file in one step: whoever reads it sees the old rules
// or the new ones. A link stays, and the file that it leads to is replaced. What is written is kept
// beside it, see LastSampling.
func WriteSampling(path string, s Sampling) error {
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
	if err := replaceable(path); err != nil {
		return fmt.Errorf("write sampling file: %w", err)
	}
	const mode = 0o644
	if err := wholefile.Write(behindLinks(path), b.Bytes(), mode); err != nil {
		return fmt.Errorf("write sampling file: %w", explainWriting(path, err))
	}
	last := LastSamplingPath(path)
	if err := wholefile.Write(last, b.Bytes(), mode); err != nil {
		return fmt.Errorf("the sampling file is written, and not kept for a time when it cannot be read: %w", explainWriting(last, err))
	}
	return nil
}

// replaceable refuses a pipe, a device or a socket, and a link to one: root would put a file in the place
// of /dev/null. What is wrong with a folder, who writes will find.
func replaceable(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return fmt.Errorf("%s is %w, nor a link to one; let SAMPLING_FILE name a file", path, boundedfile.ErrNotRegular)
	}
	return nil
}

const (
	samplingLockPoll = 10 * time.Millisecond
	samplingLockWait = 10 * time.Second // who has the lock reads and writes a small file
)

// LockSampling makes others that call it wait until unlock is called: who changes a sampling
// file holds the lock from the reading to the writing, so that no rule of another one is lost.
// It is a file beside the sampling file. Who only reads needs none.
func LockSampling(ctx context.Context, path string) (unlock func(), err error) {
	if err := replaceable(path); err != nil {
		return nil, fmt.Errorf("lock sampling file: %w", err)
	}
	lock := samplingLock(path)
	waiting, stop := context.WithTimeout(ctx, samplingLockWait)
	defer stop()
	_, err = lock.TryLockContext(waiting, samplingLockPoll)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("lock sampling file: another process has held %s for %v; end it and try again", lock.Path(), samplingLockWait)
	case err != nil:
		return nil, fmt.Errorf("lock sampling file: %w", explainWriting(path, err))
	}
	return func() { _ = lock.Close() }, nil
}

func samplingLock(path string) *flock.Flock {
	// Anyone who may write the folder may change the rules, so everyone may open the lock.
	return flock.New(behindLinks(path)+".lock", flock.SetPermissions(0o644))
}

// explainReading says what to do about a sampling file that cannot be read.
func explainReading(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; let the worker's user read it and the folders above it, such as by chmod a+r %s", err, path)
	case isFolder(path):
		return fmt.Errorf("%w; move the folder %s away, or let SAMPLING_FILE name a file", err, path)
	case errors.Is(err, boundedfile.ErrNotRegular): // which `tracing reset` refuses to replace
		return fmt.Errorf("%w; put a file of rules there, or let SAMPLING_FILE name one", err)
	case errors.Is(err, boundedfile.ErrTooLarge):
		return fmt.Errorf("%w; put a file of rules there, or `commentator tracing reset` writes one", err)
	}
	return err
}

// explainWriting says what to do when a sampling file, or what is beside it, cannot be written.
func explainWriting(path string, err error) error {
	if err == nil {
		return nil
	}
	folder := filepath.Dir(behindLinks(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; make the folder %s, or set SAMPLING_FILE, which otherwise is beside DB_PATH", err, folder)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; run this as a user that may write to the folder %s, such as the worker's, or let SAMPLING_FILE name a file elsewhere", err, folder)
	case isFolder(path):
		return fmt.Errorf("%w; move the folder %s away, or let SAMPLING_FILE name a file", err, path)
	}
	return err
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// isNull reports whether a path leads to /dev/null, which says on purpose that there are no rules.
func isNull(path string) bool { return behindLinks(path) == os.DevNull }

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
