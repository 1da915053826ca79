package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/mlflow/backendstore"
)

// CreateConfig says what to back up, and where to.
type CreateConfig struct {
	Source Source
	// To is the folder of backups; it is made. Each backup is a folder in it, named by its time.
	To string
	// Keep is how many backups stay in To when this one is there, itself included; 0: all.
	Keep int
	// HasFiles asks MLflow whether it keeps files of a run, which is asked when there is no artifact
	// root. nil: there is nobody to ask.
	HasFiles func(ctx context.Context, run string) (bool, error)
	// Program names the writer in the manifest.
	Program string
	// Now is the time source. Required.
	Now func() time.Time
}

// Created is a finished backup.
type Created struct {
	Dir      string
	Manifest Manifest
	Removed  []string // older backups
}

// maker is the making of one backup.
type maker struct {
	cfg    CreateConfig
	dir    string // where it is made
	m      Manifest
	before earlier
	taken  map[string]bool // paths below files/
}

// Create makes a backup, checks it, and then removes those that are more than Keep. Nothing
// that has the name of a backup is ever incomplete.
func Create(ctx context.Context, cfg CreateConfig) (Created, error) {
	made, err := create(ctx, cfg)
	if err != nil {
		return made, fmt.Errorf("back up: %w", err)
	}
	return made, nil
}

func create(ctx context.Context, cfg CreateConfig) (made Created, err error) {
	if cfg.To, err = filepath.Abs(cfg.To); err != nil {
		return made, err
	}
	if err := os.MkdirAll(cfg.To, 0o700); err != nil {
		return made, err
	}
	unlock, err := lock(cfg.To)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := removePartial(cfg.To); err != nil {
		return made, err
	}
	started := cfg.Now().UTC().Truncate(time.Microsecond)
	mk := &maker{cfg: cfg, taken: map[string]bool{}, m: Manifest{
		Format: Format, Program: cfg.Program, StartedAt: started, Environment: cfg.Source.Environment,
	}}
	final, err := free(cfg.To, started)
	if err != nil {
		return made, err
	}
	mk.dir = filepath.Join(cfg.To, partialPrefix+filepath.Base(final))
	if mk.before, err = newest(cfg.To); err != nil {
		return made, err
	}
	if err := os.MkdirAll(filepath.Join(mk.dir, filesName), 0o700); err != nil {
		return made, err
	}
	err = mk.fill(ctx)
	if damaged := (damagedError{}); errors.As(err, &damaged) && mk.m.Counts.Linked > 0 {
		before := filepath.Dir(mk.before.dir)
		if err = mk.again(); err == nil {
			mk.warn("files of the backup before are damaged, so all were copied anew; `mlflowctl backup verify %s` names them", before)
			err = mk.fill(ctx)
		}
	}
	if err != nil {
		return made, errors.Join(err, os.RemoveAll(mk.dir))
	}
	syncDisks()
	if err := os.Rename(mk.dir, final); err != nil {
		return made, err
	}
	syncDisks()
	made = Created{Dir: final, Manifest: mk.m}
	made.Removed, err = rotate(cfg.To, cfg.Keep)
	return made, err
}

// again removes what was copied, so that it can be copied without links.
func (mk *maker) again() error {
	m := mk.m
	mk.before, mk.taken = earlier{}, map[string]bool{}
	mk.m = Manifest{Format: m.Format, Program: m.Program, StartedAt: m.StartedAt, Environment: m.Environment}
	if err := os.RemoveAll(mk.dir); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(mk.dir, filesName), 0o700)
}

// damagedError is what was written and is not what was to be.
type damagedError struct{ problems []string }

func (e damagedError) Error() string {
	return "what was just written is not right: " + strings.Join(e.problems, "; ")
}

// fill copies everything and writes the manifest, then reads it all again.
func (mk *maker) fill(ctx context.Context) error {
	for _, step := range []func(context.Context) error{mk.mlflow, mk.jobs, mk.evaluations, mk.artifacts, mk.configuration} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	slices.SortFunc(mk.m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range mk.m.Files {
		mk.m.Counts.Files++
		mk.m.Counts.Bytes += f.Size
	}
	mk.m.FinishedAt = mk.cfg.Now().UTC().Truncate(time.Microsecond)
	if err := mk.m.write(mk.dir); err != nil {
		return err
	}
	checked, err := Verify(ctx, mk.dir)
	if err != nil {
		return err
	}
	if len(checked.Problems) > 0 {
		return damagedError{checked.Problems}
	}
	return nil
}

// place gives a file or folder of the deployment its path below files/: as it lies in the
// deployment's folder, else its own name.
func (mk *maker) place(source string) string {
	path, err := filepath.Rel(mk.cfg.Source.abs("."), source)
	if err != nil || !filepath.IsLocal(path) || path == "." {
		path = filepath.Base(source)
	}
	path = filepath.ToSlash(path)
	for unique, n := path, 2; ; n++ {
		if !mk.taken[unique] {
			mk.taken[unique] = true
			return unique
		}
		unique = fmt.Sprintf("%s.%d", path, n)
	}
}

// setting notes where a setting leads in the backup.
func (mk *maker) setting(name, path, standard string) {
	mk.m.Settings = append(mk.m.Settings, Place{Setting: name, Path: path, Default: standard})
}

func (mk *maker) warn(format string, args ...any) {
	mk.m.Warnings = append(mk.m.Warnings, fmt.Sprintf(format, args...))
}

// database copies a database and describes the copy.
func (mk *maker) database(ctx context.Context, source string) (*Database, error) {
	path := mk.place(source)
	to := filepath.Join(mk.dir, filesName, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return nil, err
	}
	taken := mk.cfg.Now().UTC().Truncate(time.Microsecond)
	if err := copyDatabase(ctx, source, to); err != nil {
		return nil, fmt.Errorf("copy database %s: %w", source, err)
	}
	d, err := inspect(ctx, to)
	if err != nil {
		return nil, err
	}
	if d.Integrity != "ok" {
		return nil, fmt.Errorf("database %s is damaged, and so would be its copy: %s", source, d.Integrity)
	}
	f, err := hashFile(to)
	if err != nil {
		return nil, err
	}
	f.Path = path
	mk.m.Files = append(mk.m.Files, f)
	d.Path, d.Source, d.TakenAt = path, source, taken
	return &d, nil
}

func (mk *maker) mlflow(ctx context.Context) error {
	if mk.cfg.Source.without(PartMLflow) {
		return nil
	}
	file, err := mk.cfg.Source.storeFile()
	if err != nil {
		return err
	}
	if mk.m.MLflow, err = mk.database(ctx, file); err != nil {
		return err
	}
	if err := markMLflow.on(file, mk.m.MLflow.Tables); err != nil {
		return err
	}
	mk.setting("MLFLOW_BACKEND_STORE", mk.m.MLflow.Path, "mlflow.db")
	mk.m.Counts.Runs, mk.m.Counts.Traces = mk.m.MLflow.Tables["runs"], mk.m.MLflow.Tables["trace_info"]
	return nil
}

func (mk *maker) jobs(ctx context.Context) error {
	if mk.cfg.Source.without(PartJobs) {
		return nil
	}
	file, err := mk.cfg.Source.jobFile()
	if err != nil {
		return err
	}
	if mk.m.Jobs, err = mk.database(ctx, file); err != nil {
		return err
	}
	if err := markJobs.on(file, mk.m.Jobs.Tables); err != nil {
		return err
	}
	mk.setting("DB_PATH", mk.m.Jobs.Path, "db.sqlite")
	mk.m.Counts.Jobs = mk.m.Jobs.Tables["jobs"]
	return nil
}

// evaluations copies the database of evaluations, if there were any.
func (mk *maker) evaluations(ctx context.Context) error {
	file := mk.cfg.Source.evaluationsFile()
	if file == "" {
		return nil
	}
	var err error
	if mk.m.Evaluations, err = mk.database(ctx, file); err != nil {
		return fmt.Errorf("%w; EVAL_DB_PATH says where evaluations are kept, --without evaluations leaves them out", err)
	}
	if err := markEvaluations.on(file, mk.m.Evaluations.Tables); err != nil {
		return err
	}
	mk.setting("EVAL_DB_PATH", mk.m.Evaluations.Path, "eval.sqlite")
	return nil
}

// artifacts copies the artifact root, and the folders of experiments that lie elsewhere.
func (mk *maker) artifacts(ctx context.Context) (err error) {
	if mk.cfg.Source.without(PartArtifacts) {
		return nil
	}
	root, err := mk.cfg.Source.artifactFolder()
	if err != nil {
		return err
	}
	if err := mk.root(ctx, root); err != nil {
		return err
	}
	mk.setting("MLFLOW_ARTIFACT_ROOT", mk.m.Artifacts[0].Path, "mlartifacts")
	if mk.m.MLflow == nil {
		return nil
	}
	db, err := openQuiet(filepath.Join(mk.dir, filesName, filepath.FromSlash(mk.m.MLflow.Path)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	missing, err := missingRoot(ctx, db, root, mk.cfg.HasFiles)
	if err != nil {
		return err
	}
	if missing != "" {
		mk.warn("%s", missing)
	}
	locations, err := experimentLocations(ctx, db)
	if err != nil {
		return err
	}
	for _, l := range locations {
		path, local := localPath(l.location)
		switch {
		case served(l.location) || local && mk.covered(path):
		case !local:
			mk.warn("the artifacts of %s are in %s, which this command does not copy", counted.Of(l.runs, "run"), backendstore.Redacted(l.location))
		case isThere(mk.cfg.Source.abs(path)):
			if err := mk.root(ctx, mk.cfg.Source.abs(path)); err != nil {
				return err
			}
		case l.runs > 0:
			mk.warn("the artifacts of %s should be in %s, which is not there", counted.Of(l.runs, "run"), path)
		}
	}
	return nil
}

func (mk *maker) covered(path string) bool {
	return slices.ContainsFunc(mk.m.Artifacts, func(r Root) bool {
		return slices.ContainsFunc(r.Sources, func(s string) bool { return inside(path, s) })
	})
}

// root copies a folder of artifacts.
func (mk *maker) root(ctx context.Context, folder string) error {
	if err := apart(mk.dir, folder); err != nil {
		return err
	}
	r := Root{Path: mk.place(folder), Sources: []string{folder}}
	if real, err := filepath.EvalSymlinks(folder); err == nil && real != folder {
		r.Sources = append(r.Sources, real)
	}
	t := tree{target: filepath.Join(mk.dir, filesName), before: mk.before}
	if isThere(folder) {
		if err := t.copy(ctx, folder+string(filepath.Separator), r.Path); err != nil {
			return fmt.Errorf("copy artifacts: %w", err)
		}
	}
	for _, f := range t.files {
		r.Files++
		r.Bytes += f.Size
	}
	if len(t.odd) > 0 {
		mk.warn("%d things in %s are neither files nor folders and were left out, the first is %s", len(t.odd), folder, t.odd[0])
	}
	mk.m.Files = append(mk.m.Files, t.files...)
	mk.m.Artifacts = append(mk.m.Artifacts, r)
	mk.m.Counts.Artifacts += r.Files
	mk.m.Counts.Linked += t.linked
	return nil
}

// jobsPath is where the job database is in the backup, or would be by default.
func (mk *maker) jobsPath() string {
	if mk.m.Jobs == nil {
		return "db.sqlite"
	}
	return mk.m.Jobs.Path
}
