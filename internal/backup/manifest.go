package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Format is the version of the manifest that this release writes and reads.
const Format = 1

const (
	manifestName = "manifest.json"
	filesName    = "files" // the folder of a backup that is laid out as a deployment
)

// Manifest says what a backup holds. Its names are a contract: other programs may read it.
type Manifest struct {
	Format     int       `json:"format"`
	Program    string    `json:"program"` // that wrote it, with its version
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`

	Jobs   *Database `json:"jobs,omitempty"`   // the job database
	MLflow *Database `json:"mlflow,omitempty"` // MLflow's database
	// Evaluations is the database of evaluations: what they paid for and what came of it.
	Evaluations *Database `json:"evaluations,omitempty"`
	// Artifacts are the folders that MLflow's locations lead to: the artifact root first, then
	// those of experiments that lie elsewhere.
	Artifacts []Root `json:"artifacts,omitempty"`
	Counts    Counts `json:"counts"`

	// Settings are the settings that say where something lies, and where it lies in here.
	Settings []Place `json:"settings,omitempty"`
	// Environment names the settings that came from the environment: no file of the backup has them.
	Environment []string `json:"environment,omitempty"`
	// Secrets are files that hold secrets.
	Secrets []string `json:"secrets,omitempty"`
	// Warnings are sentences about what is not in the backup though something refers to it.
	Warnings []string `json:"warnings,omitempty"`

	Files []File `json:"files"` // all of them, sorted by path
}

// Database describes a copied SQLite database.
type Database struct {
	Path      string           `json:"path"`   // below files/
	Source    string           `json:"source"` // absolute path of the original
	TakenAt   time.Time        `json:"taken_at"`
	Schema    string           `json:"schema"`             // schema version of the job database, alembic's of MLflow's
	StoreID   string           `json:"store_id,omitempty"` // of a job database
	Integrity string           `json:"integrity"`          // what PRAGMA integrity_check says: ok
	Tables    map[string]int64 `json:"tables"`             // rows
}

// Root is a folder of artifacts.
type Root struct {
	Path    string   `json:"path"`    // below files/
	Sources []string `json:"sources"` // absolute paths of the original: as it is named, and with links followed
	Files   int64    `json:"files"`
	Bytes   int64    `json:"bytes"`
}

// Counts are the figures that people ask for.
type Counts struct {
	Jobs      int64 `json:"jobs"`
	Runs      int64 `json:"runs"`   // of MLflow, deleted ones included
	Traces    int64 `json:"traces"` // of MLflow
	Artifacts int64 `json:"artifacts"`
	Files     int64 `json:"files"`
	Bytes     int64 `json:"bytes"`
	// Linked is how many files are hard links to those of the backup before, since they did
	// not change.
	Linked int64 `json:"linked"`
}

// Place is a setting that says where something lies.
type Place struct {
	Setting string `json:"setting"`
	Path    string `json:"path"`    // below files/
	Default string `json:"default"` // what holds where the setting is absent
}

// File is a file of a backup.
type File struct {
	Path     string    `json:"path"` // below files/, with /
	Size     int64     `json:"size"`
	SHA256   string    `json:"sha256"`
	Modified time.Time `json:"modified,omitzero"` // of the original; not of databases
}

// ErrNoBackup is the error for a folder that holds no backup.
var ErrNoBackup = errors.New("no backup")

// ReadManifest reads the manifest of the backup in a folder.
func ReadManifest(dir string) (Manifest, error) {
	var m Manifest
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%w in %s: it has no %s; `mlflowctl backup list --to DIR` shows where backups are", ErrNoBackup, dir, manifestName)
	}
	if err != nil {
		return m, fmt.Errorf("read manifest: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("read manifest %s: it is damaged: %w", filepath.Join(dir, manifestName), err)
	}
	if m.Format != Format {
		return m, fmt.Errorf("read manifest %s: its format is %d and this program knows %d; use the release that wrote it (%s)",
			filepath.Join(dir, manifestName), m.Format, Format, m.Program)
	}
	return m, nil
}

func (m *Manifest) write(dir string) error {
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, manifestName), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// databases are those that the backup has, the job database first.
func (m *Manifest) databases() []*Database {
	var all []*Database
	for _, d := range []*Database{m.Jobs, m.MLflow, m.Evaluations} {
		if d != nil {
			all = append(all, d)
		}
	}
	return all
}
