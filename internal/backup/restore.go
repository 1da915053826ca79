package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/store"
)

// RestoreConfig says which backup becomes a deployment, and where.
type RestoreConfig struct {
	// From is the folder of a backup.
	From string
	// Into is a folder that is empty or not there yet.
	Into string
	// NewStoreID gives the job database an identity of its own: a must for a copy that works
	// beside the original, since both would give their next jobs the same identities.
	NewStoreID bool
}

// Restored is a restored deployment.
type Restored struct {
	Into     string // absolute
	Manifest Manifest
	Checked  Checked // what is there now, against the manifest
	StoreID  string  // of the job database; empty: there is none
	// Relocated is how many of MLflow's locations were paths of the original.
	Relocated int64
	// Foreign are folders that MLflow's locations name and that the backup has not.
	Foreign []string
	// Settings are the lines of .env that lead to the restored files now.
	Settings []string
	// OpenJobs are not final: a worker on this copy works them off.
	OpenJobs int64
}

// markName is a file that is there while a restore has not ended.
const markName = ".restore-has-not-ended"

// Restore checks a backup, copies it into an empty folder, makes what names places of the
// original name those of the copy, and compares the result with the manifest. Problems in
// Checked mean that the copy is not to be used.
func Restore(ctx context.Context, cfg RestoreConfig) (Restored, error) {
	r, err := restore(ctx, cfg)
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	return r, nil
}

func restore(ctx context.Context, cfg RestoreConfig) (r Restored, err error) {
	if r.Manifest, err = ReadManifest(cfg.From); err != nil {
		return r, err
	}
	if cfg.NewStoreID && r.Manifest.Jobs == nil {
		return r, errors.New("the backup has no job database that could get a new store id")
	}
	if r.Into, err = emptyFolder(cfg.Into); err != nil {
		return r, err
	}
	before, err := Verify(ctx, cfg.From)
	if err != nil {
		return r, err
	}
	if len(before.Problems) > 0 {
		return r, fmt.Errorf("the backup is damaged, nothing was restored: %s", strings.Join(before.Problems, "; "))
	}
	mark := filepath.Join(r.Into, markName)
	if err := os.MkdirAll(r.Into, 0o700); err != nil {
		return r, err
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return r, err
	}
	if err := r.copy(ctx, filepath.Join(cfg.From, filesName)); err != nil {
		return r, err
	}
	// Byte by byte, before anything is changed on purpose.
	if r.Checked, err = check(ctx, &r.Manifest, r.Into, map[string]bool{markName: true}); err != nil || len(r.Checked.Problems) > 0 {
		return r, err
	}
	changed, err := r.adapt(ctx, cfg.NewStoreID)
	if err != nil {
		return r, err
	}
	compared := r.Checked.Counts
	changed[markName] = true
	want := r.Manifest
	if cfg.NewStoreID {
		if want.Jobs, err = r.noted(ctx); err != nil {
			return r, err
		}
	}
	if r.Checked, err = check(ctx, &want, r.Into, changed); err != nil || len(r.Checked.Problems) > 0 {
		return r, err
	}
	r.Checked.Counts.Files, r.Checked.Counts.Bytes = compared.Files, compared.Bytes
	syncDisks()
	return r, os.Remove(mark)
}

// noted is the job database as the backup has it, with the row in which its former store id is
// noted; a copy of a copy had that row before.
func (r *Restored) noted(ctx context.Context) (*Database, error) {
	d := *r.Manifest.Jobs
	now, err := inspect(ctx, filepath.Join(r.Into, filepath.FromSlash(d.Path)))
	if err != nil {
		return nil, err
	}
	if now.Tables["meta"] == d.Tables["meta"]+1 {
		d.Tables = maps.Clone(d.Tables)
		d.Tables["meta"]++
	}
	return &d, nil
}

// emptyFolder returns the absolute path of a folder into which may be restored.
func emptyFolder(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path, nil
	case err != nil:
		return "", err
	case slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == markName }):
		return "", fmt.Errorf("%s holds a restore that did not end; delete the folder and restore again", path)
	case len(entries) > 0:
		return "", fmt.Errorf("%s is not empty, it holds %s; restore into a folder that is empty or not there yet", path, entries[0].Name())
	}
	return path, nil
}

func (r *Restored) copy(ctx context.Context, files string) error {
	for _, f := range r.Manifest.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		from, to := filepath.Join(files, filepath.FromSlash(f.Path)), filepath.Join(r.Into, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if _, err := copyFile(from, to); err != nil {
			return err
		}
		if f.Modified.IsZero() {
			continue
		}
		if err := os.Chtimes(to, f.Modified, f.Modified); err != nil {
			return err
		}
	}
	return nil
}

// adapt changes what names places and identities of the original, and returns which files it changed.
func (r *Restored) adapt(ctx context.Context, newStoreID bool) (changed map[string]bool, err error) {
	m := &r.Manifest
	if changed, r.Settings, err = lead(r.Into, envFiles(m), m.Settings); err != nil {
		return nil, err
	}
	if m.MLflow != nil {
		var moves []move
		for _, root := range m.Artifacts {
			for _, source := range root.Sources {
				moves = append(moves, move{source, filepath.Join(r.Into, filepath.FromSlash(root.Path))})
			}
		}
		if r.Relocated, r.Foreign, err = relocate(ctx, filepath.Join(r.Into, filepath.FromSlash(m.MLflow.Path)), moves); err != nil {
			return nil, fmt.Errorf("rewrite locations of artifacts: %w", err)
		}
		changed[m.MLflow.Path] = true
	}
	if m.Jobs == nil {
		return changed, nil
	}
	r.StoreID = m.Jobs.StoreID
	path := filepath.Join(r.Into, filepath.FromSlash(m.Jobs.Path))
	if newStoreID {
		if r.StoreID, err = store.Rekey(ctx, path); err != nil {
			return nil, err
		}
		changed[m.Jobs.Path] = true
	}
	if r.OpenJobs, err = openJobs(ctx, path); err != nil {
		return nil, fmt.Errorf("count open jobs: %w", err)
	}
	return changed, nil
}

// envFiles are the restored settings files, .env first: what it says wins.
func envFiles(m *Manifest) []string {
	var files []string
	for _, f := range m.Files {
		if f.Path == ".env" || strings.HasPrefix(f.Path, ".env.") {
			files = append(files, f.Path)
		}
	}
	return files
}

func openJobs(ctx context.Context, path string) (n int64, err error) {
	db, err := openQuiet(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var column string
	err = db.QueryRowContext(ctx, `SELECT name FROM pragma_table_info('jobs') WHERE name = 'state'`).Scan(&column)
	query := `SELECT count(*) FROM jobs WHERE state <> 'final'`
	if errors.Is(err, sql.ErrNoRows) { // the old deployment's
		err, query = nil, `SELECT count(*) FROM jobs WHERE status IN ('pending', 'processing')`
	}
	if err != nil {
		return 0, err
	}
	return n, db.QueryRowContext(ctx, query).Scan(&n)
}
