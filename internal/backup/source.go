package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/technoshare/commentator/internal/mlflow/backendstore"
)

// Parts of a deployment that a backup can leave out.
const (
	PartJobs        = "jobs"
	PartMLflow      = "mlflow"
	PartArtifacts   = "artifacts"
	PartEvaluations = "evaluations"
)

// Source says where a deployment lies. Relative paths are relative to Dir.
type Source struct {
	// Dir is the folder that the programs are started in, whose .env they read. Required.
	Dir string
	// JobDatabase is the SQLite file of the jobs, or the address of a PostgreSQL database, which
	// is refused. Required unless it is left out.
	JobDatabase string
	// Evaluations is the SQLite file of evaluations. It need not be there.
	Evaluations string
	// Store is the address of MLflow's database, as `mlflow server` takes it: sqlite:///FILE.
	// Others are refused. Required unless it is left out.
	Store string
	// ArtifactRoot is the folder of MLflow's artifacts, or its file: address. Required unless
	// it is left out.
	ArtifactRoot string
	// DataDir may hold prompts, themes and rules that take the place of the built-in ones, and the
	// dataset of evaluations with its evidence.
	DataDir string
	// Profile is the name of the profile, whose file is copied beside .env; empty: none.
	Profile string
	// SamplingFile and RedactionFile are copied when they are there, and so is what `validate`
	// compares with, beside the job database.
	SamplingFile, RedactionFile, BaselineFile string
	// CollectorDir is where the Collector keeps what MLflow refused for good, in dead-letter.
	CollectorDir string
	// Include are further files to copy.
	Include []string
	// Without names the parts to leave out.
	Without []string
	// Environment names the settings that came from the environment.
	Environment []string
}

func (s Source) abs(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.Dir, path)
	}
	if absolute, err := filepath.Abs(path); err == nil { // else the working directory is gone
		return absolute
	}
	return path
}

func (s Source) without(part string) bool {
	for _, p := range s.Without {
		if p == part {
			return true
		}
	}
	return false
}

// Errors for what is not made yet.
var (
	errPostgres = errors.New("PostgreSQL databases are not backed up by this command yet; use pg_dump")
	errRemote   = errors.New("only artifacts in a folder of this machine are backed up by this command yet; copy a bucket with its own tools")
)

// jobFile returns the file of the job database.
func (s Source) jobFile() (string, error) {
	if strings.Contains(s.JobDatabase, "://") {
		return "", fmt.Errorf("DATABASE_URL: %w, and leave it out here: --without jobs", errPostgres)
	}
	path := s.abs(s.JobDatabase)
	if !isThere(path) {
		return "", fmt.Errorf("there is no job database %s; DB_PATH says where it is, --without jobs leaves it out", path)
	}
	return path, nil
}

// storeFile returns the file of MLflow's database.
func (s Source) storeFile() (string, error) {
	store := backendstore.Parse(s.Store)
	switch {
	case store.Dialect == "postgresql":
		return "", fmt.Errorf("MLFLOW_BACKEND_STORE: %w, and leave it out here: --without mlflow", errPostgres)
	case store.File == "":
		return "", fmt.Errorf("MLFLOW_BACKEND_STORE is %s; only sqlite:///FILE can be backed up, and --without mlflow leaves it out", backendstore.Redacted(s.Store))
	}
	path := s.abs(store.File)
	if !isThere(path) {
		return path, fmt.Errorf("there is no MLflow database %s; MLFLOW_BACKEND_STORE or --mlflow-store says where it is, --without mlflow,artifacts leaves MLflow out%w", path, notThere{})
	}
	return path, nil
}

// evaluationsFile returns the file of evaluations; empty: there were none, or they are left out.
func (s Source) evaluationsFile() string {
	file := s.abs(s.Evaluations)
	if s.without(PartEvaluations) || s.Evaluations == "" || !isThere(file) {
		return ""
	}
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		return "" // an evaluation was killed before it made a table
	}
	return file
}

// HasStore reports whether MLflow's database is a file that is here, and not left out.
func (s Source) HasStore() bool {
	if s.without(PartMLflow) {
		return false
	}
	_, err := s.storeFile()
	return err == nil
}

// artifactFolder returns the folder of MLflow's artifacts. It need not exist: MLflow makes it
// with the first artifact.
func (s Source) artifactFolder() (string, error) {
	path, local := localPath(s.ArtifactRoot)
	if !local {
		return "", fmt.Errorf("MLFLOW_ARTIFACT_ROOT is %s: %w, and leave them out here: --without artifacts", backendstore.Redacted(s.ArtifactRoot), errRemote)
	}
	return s.abs(path), nil
}

// mark is the table by which the database of a part is known.
type mark struct {
	table, database string
	hint            string // which settings say where it is
}

var (
	markMLflow      = mark{"experiments", "database of MLflow", "MLFLOW_BACKEND_STORE or --mlflow-store says where it is"}
	markJobs        = mark{"jobs", "job database", "DB_PATH says where it is"}
	markEvaluations = mark{"evaluations", "database of evaluations", "EVAL_DB_PATH says where it is, --without evaluations leaves it out"}
)

// on is the error for a file that is another database.
func (m mark) on(file string, tables map[string]int64) error {
	if _, ok := tables[m.table]; ok {
		return nil
	}
	return fmt.Errorf("%s is no %s: it has no table %s; %s", file, m.database, m.table, m.hint)
}

// notThere makes an error one of fs.ErrNotExist, without saying so again.
type notThere struct{}

func (notThere) Error() string        { return "" }
func (notThere) Is(target error) bool { return target == fs.ErrNotExist }

// localPath returns the path that a location of MLflow means, if it is one on this machine's disk.
func localPath(location string) (path string, local bool) {
	if !strings.Contains(location, ":") {
		return location, location != ""
	}
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "file" || (u.Host != "" && u.Host != "localhost") || u.Path == "" {
		return "", false
	}
	return u.Path, true
}
