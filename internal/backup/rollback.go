package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// RollbackConfig says which deployment is to be as it was before MLflow.
type RollbackConfig struct {
	Source Source
	// StateDir is where scripts/start_mlflow.sh keeps logs and process ids.
	StateDir string
	// Backup is the folder of a backup that holds what is removed. Required unless DryRun, which
	// only looks whether it would be removed too.
	Backup string
	// DryRun finds out what would be done and does nothing.
	DryRun bool
	// Now is the time source. Required.
	Now func() time.Time
}

// RolledBack is what was done, or would be.
type RolledBack struct {
	Removed []string // files and folders that were there
	Lines   []string // names of the settings that were taken out of .env
	Copy    string   // of .env as it was; empty: no line was taken out
}

// settingPrefix marks the lines of .env that are about MLflow.
const settingPrefix = "MLFLOW_"

// Rollback removes MLflow's database and artifacts, the Collector's folder, the logs of both and
// the MLFLOW_ lines of .env, of which it keeps a copy. It removes nothing that the backup
// does not hold as it is now, so MLflow has to be stopped before the backup is made.
func Rollback(ctx context.Context, cfg RollbackConfig) (RolledBack, error) {
	r, err := rollback(ctx, cfg)
	if err != nil {
		return r, fmt.Errorf("roll back: %w", err)
	}
	return r, nil
}

func rollback(ctx context.Context, cfg RollbackConfig) (r RolledBack, err error) {
	s := cfg.Source
	var held []string // what only a backup may replace
	if !s.without(PartMLflow) {
		store, err := s.storeFile()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return r, err
		}
		held = append(held, store)
	}
	if !s.without(PartArtifacts) {
		folder, err := s.artifactFolder()
		if err != nil {
			return r, err
		}
		held = append(held, folder)
	}
	remove := held
	for _, store := range held {
		remove = append(remove, store+"-wal", store+"-shm", store+"-journal")
	}
	remove = append(remove, s.abs(cfg.StateDir), s.abs(s.CollectorDir), s.abs("mlflow.log"))
	if err := cfg.spares(remove); err != nil {
		return r, err
	}
	if !cfg.DryRun {
		if err := heldBy(ctx, cfg.Backup, held); err != nil {
			return r, err
		}
	}
	if err := idle(s.abs(s.CollectorDir)); err != nil && !cfg.DryRun {
		return r, err
	}
	for _, path := range remove {
		if !isThere(path) {
			continue
		}
		r.Removed = append(r.Removed, path)
		if cfg.DryRun {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return r, err
		}
	}
	return r, r.settings(s.abs(".env"), cfg)
}

// spares makes sure that nothing which has to stay lies in what is removed.
func (cfg RollbackConfig) spares(remove []string) error {
	s := cfg.Source
	stay := []struct{ what, path string }{
		{"this deployment", "."}, {"the job database", s.JobDatabase}, {"the database of evaluations", s.Evaluations}, {"the backup", cfg.Backup}, {"prompts and rules", s.DataDir},
	}
	for _, path := range remove {
		// Of a link itself only the link is removed.
		where := filepath.Join(followed(filepath.Dir(path)), filepath.Base(path))
		for _, k := range stay {
			if k.path == "" || strings.Contains(k.path, "://") { // a job database on a server
				continue
			}
			if kept := s.abs(k.path); inside(kept, path) || inside(followed(kept), where) {
				return fmt.Errorf("%s holds %s (%s), and would be removed; look at MLFLOW_BACKEND_STORE, MLFLOW_ARTIFACT_ROOT, MLFLOW_STATE_DIR and OTELCOL_DATA_DIR, and move what has to stay elsewhere",
					path, k.what, kept)
			}
		}
	}
	return nil
}

// followed is a path without symbolic links, or as it is if it is not there.
func followed(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

// idle makes sure that no Collector has its folder open: it holds a lock on each of its files.
func idle(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, path := range files {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		l := flock.New(path, flock.SetFlag(os.O_RDONLY))
		free, err := l.TryRLock()
		if err == nil && !free {
			return fmt.Errorf("a Collector has %s open; stop it first", path)
		}
		if err := errors.Join(err, l.Unlock()); err != nil {
			return fmt.Errorf("look for a Collector: %w", err)
		}
	}
	return nil
}

// heldBy makes sure that a backup is whole and holds MLflow's database and artifacts as they are.
func heldBy(ctx context.Context, dir string, paths []string) error {
	checked, err := Verify(ctx, dir)
	if err != nil {
		return err
	}
	if len(checked.Problems) > 0 {
		return fmt.Errorf("the backup is damaged, nothing was removed: %s", strings.Join(checked.Problems, "; "))
	}
	m, err := ReadManifest(dir)
	if err != nil {
		return err
	}
	for _, path := range paths {
		switch {
		case !isThere(path): // an earlier rollback got that far
		case m.MLflow != nil && m.MLflow.Source == path:
			now, err := inspect(ctx, path)
			if err != nil {
				return err
			}
			if !maps.Equal(now.Tables, m.MLflow.Tables) {
				return fmt.Errorf("%s was written to since the backup %s; stop MLflow and make a new one", path, dir)
			}
		case len(m.Artifacts) > 0 && m.Artifacts[0].Sources[0] == path:
			if err := sameFiles(&m, path); err != nil {
				return fmt.Errorf("%w since the backup %s; stop MLflow and make a new one", err, dir)
			}
		default:
			return fmt.Errorf("the backup %s does not hold %s, nothing was removed", dir, path)
		}
	}
	return nil
}

// sameFiles compares the artifacts with the backup's by size and time.
func sameFiles(m *Manifest, folder string) error {
	root := m.Artifacts[0]
	known := map[string]File{}
	for _, f := range m.Files {
		if rel, ok := strings.CutPrefix(f.Path, root.Path+"/"); ok {
			known[rel] = f
		}
	}
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == folder {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if f, ok := known[filepath.ToSlash(rel)]; !ok || f.Size != info.Size() || !f.Modified.Equal(info.ModTime()) {
			return fmt.Errorf("%s was written", path)
		}
		return nil
	})
}

// settings takes the lines about MLflow out of .env.
func (r *RolledBack) settings(path string, cfg RollbackConfig) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read settings file: %w", err)
	}
	var rest strings.Builder
	for line := range strings.Lines(string(text)) {
		if name, _ := settingOf(line); strings.HasPrefix(name, settingPrefix) {
			r.Lines = append(r.Lines, name)
			continue
		}
		rest.WriteString(line)
	}
	if len(r.Lines) == 0 {
		return nil
	}
	r.Copy = path + ".bak." + cfg.Now().UTC().Format("20060102T150405Z")
	if cfg.DryRun {
		return nil
	}
	f, err := os.OpenFile(r.Copy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep a copy of the settings file: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("keep a copy of the settings file: %w", err)
	}
	// In place, so that owner and mode stay.
	if err := os.WriteFile(path, []byte(rest.String()), 0o600); err != nil {
		return fmt.Errorf("write settings file: %w", err)
	}
	return nil
}
