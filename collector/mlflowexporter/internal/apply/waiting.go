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
	// waitsLong is for how long a file fails until State tells of it.
	waitsLong = 2 * time.Minute
	// waitsNoMore is after how long without an attempt a file is taken to be asked for no more: its
	// message may have come again in another shape.
	waitsNoMore = 10 * time.Minute
)

// waitingFiles are those that could not be written yet though MLflow is there. Their store may be away
// alone, so they are not given up as long as no other file is written.
type waitingFiles struct {
	mu    sync.Mutex
	files map[string]*waitingFile // by run key and path
	long  bool                    // as Config.Changed was called last
}

type waitingFile struct {
	name        string // for people
	since, last time.Time
	attempts    int
	err         error
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
	id := r.Key + " " + path
	var unsent *awayError
	waits := err != nil && !permanent(err) && !errors.As(err, &unsent) && ctx.Err() == nil
	w.mu.Lock()
	defer w.mu.Unlock()
	if !waits {
		if err == nil || permanent(err) {
			delete(w.files, id)
		}
		return err
	}
	now := a.cfg.Now()
	one := w.files[id]
	if one == nil {
		if w.files == nil || len(w.files) == maxFailures {
			w.files = map[string]*waitingFile{}
		}
		one = &waitingFile{name: fmt.Sprintf("%s of run %s", path, r.Name), since: now}
		w.files[id] = one
	}
	one.attempts++
	one.last, one.err = now, err
	return waitingError{err, one.attempts}
}

// longest is what is to be said of the file that waits for longest, "" when none waits for long.
func (w *waitingFiles) longest(now time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first *waitingFile
	for id, f := range w.files {
		switch {
		case now.Sub(f.last) > waitsNoMore:
			delete(w.files, id)
		case now.Sub(f.since) >= waitsLong && (first == nil || f.since.Before(first.since) || (f.since.Equal(first.since) && f.name < first.name)):
			first = f
		}
	}
	if first == nil {
		return ""
	}
	return fmt.Sprintf("artifact %s waits since %s: %v", first.name, first.since.UTC().Format(time.RFC3339), first.err)
}

// tellWaiting calls Config.Changed when files began, or ended, to wait for long.
func (a *Applier) tellWaiting() {
	w := &a.waiting
	long := w.longest(a.cfg.Now()) != ""
	w.mu.Lock()
	changed := w.long != long
	w.long = long
	w.mu.Unlock()
	if changed {
		a.cfg.Changed()
	}
}

// inTheWay makes the error of a file final when the run has a file where it needs a folder, or a folder
// where it is to be: a store that keeps files in folders cannot take it, and MLflow answers 500 each time.
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
