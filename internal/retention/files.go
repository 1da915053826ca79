package retention

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// place is where the files of a run or a trace are: a directory below one of the roots.
type place struct {
	root string // absolute; "" = there are none
	dir  string // relative, with slashes: "<experiment>/<run id>"
}

// files knows the directories below which MLflow keeps artifacts here.
type files struct {
	served string // what the server serves, absolute
	host   string // of the server, for addresses that name it
	roots  map[string]*os.Root
}

func openFiles(served, endpoint string) (*files, error) {
	if scheme, _, ok := strings.Cut(served, "://"); ok && scheme != "file" {
		return nil, fmt.Errorf("the artifact root is %s: retention on it is %w, only on a local directory", scheme, ErrUnsupported)
	}
	abs, err := filepath.Abs(strings.TrimPrefix(served, "file://"))
	if err != nil {
		return nil, fmt.Errorf("find artifact root: %w", err)
	}
	f := &files{served: abs, roots: map[string]*os.Root{}}
	if u, err := url.Parse(endpoint); err == nil {
		f.host = u.Host
	}
	return f, nil
}

func (f *files) Close() error {
	var err error
	for _, r := range f.roots {
		if r != nil {
			err = errors.Join(err, r.Close())
		}
	}
	return err
}

// locate finds the files of an artifact address. id is the last but one element of each that
// MLflow makes (…/<id>/artifacts): whatever has another form is not touched. It fails for what
// is not on this host.
func (f *files) locate(uri, id string) (place, error) {
	if uri == "" {
		return place{}, nil
	}
	u, err := url.Parse(uri)
	if err != nil {
		return place{}, fmt.Errorf("artifact address %q: %w", uri, errors.Unwrap(err))
	}
	below, ok := strings.CutSuffix(path.Clean("/"+u.Path), "/"+id+"/artifacts")
	if !ok {
		return place{}, fmt.Errorf("artifact address %q does not end in /%s/artifacts", uri, id)
	}
	const api = "/api/2.0/mlflow-artifacts/artifacts"
	switch {
	case u.Scheme == "mlflow-artifacts" && (u.Host == "" || u.Host == f.host):
		return place{f.served, path.Join(strings.TrimPrefix(below, "/"), id)}, nil
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host == f.host && strings.Contains(below, api):
		_, rest, _ := strings.Cut(below, api)
		return place{f.served, path.Join(strings.TrimPrefix(rest, "/"), id)}, nil
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost"), u.Scheme == "" && path.IsAbs(u.Path):
		// The experiment's own directory is its parent, so that nothing above it is in reach.
		return place{filepath.FromSlash(below), id}, nil
	default:
		return place{}, fmt.Errorf("artifact address %q is not on this host", uri)
	}
}

// root opens a directory, once; nil when it is not there.
func (f *files) root(dir string) (*os.Root, error) {
	if r, ok := f.roots[dir]; ok {
		return r, nil
	}
	r, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		r, err = nil, nil
	}
	if err == nil {
		f.roots[dir] = r
	}
	return r, err
}

// size is what a place holds.
type size struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

func (s *size) add(o size) { s.Files, s.Bytes = s.Files+o.Files, s.Bytes+o.Bytes }

// measure counts what is in a place; what is not there is nothing. newest is the latest
// change of any of it.
func (f *files) measure(p place) (s size, newest time.Time, err error) {
	if p.root == "" {
		return s, newest, nil
	}
	root, err := f.root(p.root)
	if err != nil || root == nil {
		return s, newest, err
	}
	err = fs.WalkDir(root.FS(), p.dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // or removed meanwhile
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		if !d.IsDir() {
			s.add(size{1, info.Size()})
		}
		return nil
	})
	return s, newest, err
}

// remove removes a place with all in it. What is not there is removed already. Links are
// removed, not followed.
func (f *files) remove(p place) error {
	if p.root == "" {
		return nil
	}
	root, err := f.root(p.root)
	if err != nil || root == nil {
		return err
	}
	return root.RemoveAll(p.dir)
}

// list gives the directories in one, sorted; none if it is not there.
func (f *files) list(p place) ([]string, error) {
	root, err := f.root(p.root)
	if err != nil || root == nil {
		return nil, err
	}
	entries, err := fs.ReadDir(root.FS(), p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}
