package apply

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
)

const (
	// waitsLong is for how long no file could be written until State tells of it.
	waitsLong = 2 * time.Minute
	// waitsNoMore is after how long without an attempt files are taken to be asked for no more: their
	// messages may have come again in another shape.
	waitsNoMore = 10 * time.Minute
)

// waitingFiles are those that could not be written yet though MLflow is there. Their store may be away
// alone, so they are not given up as long as no other file is written.
type waitingFiles struct {
	mu       sync.Mutex
	attempts map[string]int // by fileID
	since    time.Time      // when one failed first since a file was written; zero: none waits
	last     time.Time      // when one failed last
	what     string         // was that, for people
	err      error          // and why
	long     bool           // as Config.Changed was called last
}

// fileID names a file of a run.
func fileID(r *run, path string) string { return r.Key + " " + path }

// tried reports whether a file waits since an earlier attempt.
func (w *waitingFiles) tried(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.attempts[id] > 0
}

// waitingError is that of a file that waits, and how often it was tried.
type waitingError struct {
	error
	attempts int
}

func (e waitingError) Unwrap() error { return e.error }

// FileAttempts is how often the files were tried for which what an error is about waits; 0 when it waits
// for anything else, too, or nothing has to be tried again.
func FileAttempts(err error) (most int) {
	for _, item := range Errors(err) {
		var waiting waitingError
		switch {
		case item.Permanent || errors.Is(item.Err, errRetry): // nothing, or what waits for the files itself
		case errors.As(item.Err, &waiting):
			most = max(most, waiting.attempts)
		default:
			return 0
		}
	}
	return most
}

// noteFile notes how an attempt to write a file ended. The error is marked when the file waits.
func (a *Applier) noteFile(ctx context.Context, r *run, path string, err error) error {
	w := &a.waiting
	id := fileID(r, path)
	var unsent *awayError
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		delete(w.attempts, id)
		w.since = time.Time{}
		return nil
	case permanent(err):
		delete(w.attempts, id)
		if len(w.attempts) == 0 {
			w.since = time.Time{}
		}
		return err
	case errors.As(err, &unsent) || ctx.Err() != nil:
		return err
	}
	if w.attempts == nil || len(w.attempts) == maxFailures {
		w.attempts = map[string]int{}
	}
	w.attempts[id]++
	now := a.cfg.Now()
	if w.since.IsZero() || now.Sub(w.last) > waitsNoMore {
		w.since = now
	}
	w.last, w.what, w.err = now, fmt.Sprintf("%s of run %s", path, r.Name), err
	return waitingError{err, w.attempts[id]}
}

// told is what is to be said when no file could be written for long, else "".
func (w *waitingFiles) told(now time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() || now.Sub(w.since) < waitsLong || now.Sub(w.last) > waitsNoMore {
		return ""
	}
	return fmt.Sprintf("no artifact could be written since %s, the last was %s: %v", w.since.UTC().Format(time.RFC3339), w.what, w.err)
}

// tellWaiting calls Config.Changed when told begins, or ends, to say something.
func (a *Applier) tellWaiting() {
	w := &a.waiting
	long := w.told(a.cfg.Now()) != ""
	w.mu.Lock()
	changed := w.long != long
	w.long = long
	w.mu.Unlock()
	if changed {
		a.cfg.Changed()
	}
}

// inTheWay makes the error of a file final when the run has a file where it needs a folder, or a folder
// where it is to be: a store that keeps files in folders cannot take it, and MLflow answers 500 each time. One
// without folders takes both, so it is to be asked of files only that failed before.
func (a *Applier) inTheWay(ctx context.Context, r *run, f reduce.Artifact, err error) error {
	var e *mlflow.Error
	if !errors.As(err, &e) || e.Status != http.StatusInternalServerError {
		return err
	}
	dir, parts := "", strings.Split(f.Path, "/")
	for i := range parts {
		name := strings.Join(parts[:i+1], "/")
		var listed []mlflow.File
		if a.call(ctx, func() (err error) { listed, err = a.client.ListArtifacts(ctx, r.rec.ID, dir); return err }) != nil {
			return err
		}
		is := func(dir bool) bool {
			return slices.ContainsFunc(listed, func(o mlflow.File) bool { return o.Path == name && o.IsDir == dir })
		}
		isFile, isDir := is(false), is(true)
		last := i == len(parts)-1
		switch {
		case !last && isFile && !isDir:
			return finalError{fmt.Errorf("the run has a file %s, below which nothing can be: give one of them another name: %w", name, err)}
		case last && isDir && !isFile:
			return finalError{fmt.Errorf("the run has a folder %s: give one of them another name: %w", name, err)}
		case !isDir:
			return err
		}
		dir = name
	}
	return err
}
