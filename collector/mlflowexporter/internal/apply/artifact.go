package apply

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wholefile"
	"github.com/technoshare/commentator/internal/wire"
)

// delivery is an artifact and the list that names it when it needs nothing more.
type delivery struct {
	file reduce.Artifact
	done *[]string
}

// own are deliveries of the run's own artifacts.
func (r *run) own(files []reduce.Artifact) []delivery {
	out := make([]delivery, len(files))
	for i, f := range files {
		out[i] = delivery{f, &r.rec.Files}
	}
	return out
}

// files brings artifacts to a run, some at one time. What cannot be delivered for good is
// named in a tag of the run and kept as dead letters.
func (a *Applier) files(ctx context.Context, r *run, files []delivery) error {
	return a.delivered(ctx, r, files, a.deliver(ctx, r, files)())
}

// deliver begins to send files and changes nothing of the run. The function waits for the
// last of them and gives an error for each. What is below another file is sent when that is there, so that
// it is the one that stays where a store has folders.
func (a *Applier) deliver(ctx context.Context, r *run, files []delivery) (wait func() []error) {
	errs := make([]error, len(files))
	there := make([]bool, len(files))
	for i, d := range files {
		there[i] = slices.Contains(*d.done, d.file.Path)
	}
	below := nest(files)
	var send func(i int, waits error)
	send = func(i int, waits error) {
		if errs[i] = waits; waits == nil && !there[i] {
			errs[i] = a.sendFile(ctx, r, files[i].file)
		}
		waits = nil
		if err := errs[i]; err != nil && !permanent(err) {
			waits = fmt.Errorf("it waits for %s: %w", files[i].file.Path, err)
		}
		for _, j := range below[i] {
			send(j, waits)
		}
	}
	var sending sync.WaitGroup
	for _, i := range below[-1] {
		sending.Go(func() { send(i, nil) })
	}
	return func() []error {
		sending.Wait()
		if len(files) > 0 {
			a.tellWaiting()
		}
		return errs
	}
}

// sendFile writes one file and notes how that ended.
func (a *Applier) sendFile(ctx context.Context, r *run, f reduce.Artifact) error {
	id := fileID(r, f.Path)
	err := a.file(ctx, r, f)
	if a.waiting.tried(id) {
		err = a.inTheWay(ctx, r, f, err)
	}
	return a.noteFile(ctx, r, f.Path, a.failed.result(opArtifact, id, err))
}

// nest gives the indexes of files by that of the file right above them, -1 where there is none.
func nest(files []delivery) map[int][]int {
	at := make(map[string]int, len(files))
	for i, d := range files {
		at[d.file.Path] = i
	}
	below := map[int][]int{}
	for i, d := range files {
		above := -1
		for end, c := range d.file.Path {
			if j, is := at[d.file.Path[:end]]; is && c == '/' {
				above = j // the last one is the nearest
			}
		}
		below[above] = append(below[above], i)
	}
	return below
}

// delivered notes what became of files that were sent.
func (a *Applier) delivered(ctx context.Context, r *run, files []delivery, errs []error) error {
	var lost []string
	var retry error
	for i, d := range files {
		f, err := d.file, errs[i]
		if slices.Contains(*d.done, f.Path) {
			continue
		}
		if err != nil {
			err = fmt.Errorf("write artifact %s of run %s: %w", f.Path, r.Name, err)
			if !permanent(err) {
				retry = err // the others may do better
				continue
			}
			r.job.fail(err)
			a.cfg.Count(EventUndelivered, 1)
			a.bury(r.job, "artifact", r.Name+"/"+f.Path, err)
			lost = append(lost, f.Path)
		}
		*d.done = append(*d.done, f.Path)
	}
	if len(lost) > 0 {
		if err := a.nameLost(ctx, r, lost); err != nil {
			for _, d := range files {
				*d.done = slices.DeleteFunc(*d.done, func(p string) bool { return slices.Contains(lost, p) })
			}
			return err
		}
	}
	if retry == nil && len(lost) == 0 && len(files) > 0 && r.job.asked != "" {
		return a.noneLost(ctx, r)
	}
	return retry
}

// noneLost removes the tag that lists what could not be delivered before a repair.
func (a *Applier) noneLost(ctx context.Context, r *run) error {
	err := a.call(ctx, func() error { return a.client.DeleteTag(ctx, r.rec.ID, wire.TagUndelivered) })
	if err != nil && permanent(err) {
		return nil // there is no such tag, or the run is gone, which the next call finds
	}
	return err
}

// nameLost adds names to the tag that lists what could not be delivered.
func (a *Applier) nameLost(ctx context.Context, r *run, names []string) error {
	err := a.call(ctx, func() error {
		now, err := a.client.GetRun(ctx, r.rec.ID)
		if err != nil {
			return err
		}
		if old := now.Tag(wire.TagUndelivered); old != "" {
			names = append(names, strings.Split(old, ", ")...)
		}
		slices.Sort(names)
		return a.client.SetTag(ctx, r.rec.ID, wire.TagUndelivered, values.Clean(strings.Join(slices.Compact(names), ", "), a.maxTag()))
	})
	if err = a.lost(ctx, r, err); err != nil && permanent(err) {
		r.job.fail(fmt.Errorf("name undelivered artifacts: %w", err))
		return nil
	}
	return err
}

// file writes one artifact by the scheme of the run's artifact address: to the server
// when it serves that place, to the directory when it is on this machine, and otherwise
// through the server's own upload.
func (a *Applier) file(ctx context.Context, r *run, f reduce.Artifact) error {
	if f.Path == "" || path.IsAbs(f.Path) || !filepath.IsLocal(f.Path) || path.Clean(f.Path) != f.Path {
		return finalError{errors.New("not a relative path")}
	}
	if dir, ok := a.client.ArtifactURL(r.rec.ArtifactURI); ok {
		return a.call(ctx, func() error { return a.client.PutArtifact(ctx, dir, f.Path, f.Content) })
	}
	if dir, ok := localDir(r.rec.ArtifactURI); ok && a.local.usable(r.rec.Experiment) {
		if written, err := a.writeLocal(ctx, r, dir, f); written || err != nil {
			return err
		}
	}
	if len(f.Content) > mlflow.MaxUpload {
		return finalError{fmt.Errorf("%d bytes are more than MLflow takes for a place it does not serve (%s)", len(f.Content), r.rec.ArtifactURI)}
	}
	return a.call(ctx, func() error { return a.client.UploadArtifact(ctx, r.rec.ID, f.Path, f.Content) })
}

// localDir gives the directory that an artifact address means on the server's machine.
func localDir(uri string) (string, bool) {
	if path.IsAbs(uri) {
		return filepath.FromSlash(uri), true
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" || (u.Host != "" && u.Host != "localhost") || !path.IsAbs(u.Path) {
		return "", false
	}
	return filepath.FromSlash(u.Path), true
}

// localDirs remembers for each experiment whether its directory is the server's own.
type localDirs struct {
	mu    sync.Mutex
	known map[string]bool // by experiment
}

func (l *localDirs) usable(experiment string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ours, asked := l.known[experiment]
	return ours || !asked
}

func (l *localDirs) isKnown(experiment string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, asked := l.known[experiment]
	return asked
}

func (l *localDirs) set(experiment string, ours bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[string]bool{}
	}
	l.known[experiment] = ours
}

// writeLocal writes a file into a run's directory if the experiment's directory, or the
// one above it, is here and can be written to. After the first file of an experiment the
// server is asked whether it sees it: the same path may exist on two machines.
func (a *Applier) writeLocal(ctx context.Context, r *run, dir string, f reduce.Artifact) (written bool, err error) {
	experiment := filepath.Dir(filepath.Dir(dir)) // …/<experiment>/<run>/artifacts
	if !isDir(experiment) && !isDir(filepath.Dir(experiment)) {
		a.local.set(r.rec.Experiment, false)
		return false, nil
	}
	if !a.local.usable(r.rec.Experiment) {
		return false, nil // the directory was missing: the server made it, for another file
	}
	name := filepath.Join(dir, filepath.FromSlash(f.Path))
	if err := writeFile(name, f.Content); err != nil {
		switch {
		case isFull(err):
			return false, err
		case isOwn(err, dir):
			return false, finalError{err}
		}
		a.local.set(r.rec.Experiment, false) // read-only, or not a place for directories: the server may write there
		return false, nil
	}
	if a.local.isKnown(r.rec.Experiment) {
		if !a.local.usable(r.rec.Experiment) {
			return false, os.Remove(name) // another file has shown it meanwhile
		}
		return true, nil
	}
	var seen []mlflow.File
	err = a.call(ctx, func() (err error) {
		parent := path.Dir(f.Path)
		if parent == "." {
			parent = ""
		}
		seen, err = a.client.ListArtifacts(ctx, r.rec.ID, parent)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for artifact: %w", err)
	}
	ours := slices.ContainsFunc(seen, func(s mlflow.File) bool { return s.Path == f.Path })
	a.local.set(r.rec.Experiment, ours)
	if !ours {
		return false, os.Remove(name)
	}
	return true, nil
}

// isFull reports whether a file that could not be written may be later.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO)
}

// isOwn reports whether a file's own name kept it from being written below dir: it is too long, or
// a file is where it needs a directory, or the other way round.
func isOwn(err error, dir string) bool {
	name := errors.Is(err, syscall.ENAMETOOLONG) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.EEXIST)
	return name && os.MkdirAll(dir, 0o755) == nil
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// writeFile replaces a file, with the rights that MLflow gives its own. Like MLflow's server it does not
// wait for the disk: a job's files would take longer than all of its requests.
func writeFile(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := wholefile.WriteUnsynced(name, content, 0o644); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
