package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // makes an MLflow database

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/store"
)

// site is a folder with a deployment, and how commands run in it.
type site struct {
	t   *testing.T
	dir string
	env []string
}

func newSite(t *testing.T) site {
	t.Helper()
	s := site{t: t, dir: t.TempDir()}
	jobs, err := store.Open(t.Context(), filepath.Join(s.dir, "jobs.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	if err := jobs.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "mlflow.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`CREATE TABLE experiments (experiment_id INTEGER, artifact_location TEXT); CREATE TABLE runs (run_uuid TEXT, experiment_id INTEGER); INSERT INTO runs VALUES ('r', 1)`); err != nil {
		t.Fatal(err)
	}
	s.write("mlartifacts/1/r/artifacts/a.txt", "a")
	s.write(".env", "DB_PATH="+s.dir+"/jobs.sqlite\nMLFLOW_ENABLE_TRACKING=true\nMLFLOW_TRACKING_URI=http://127.0.0.1:1\n")
	return s
}

func (s site) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s site) run(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	var out, err bytes.Buffer
	code = run(s.t.Context(), args, s.env, s.dir, &out, &err)
	return code, out.String(), err.String()
}

// must runs a command that has to succeed and reads its JSON, if into is not nil.
func (s site) must(into any, args ...string) string {
	s.t.Helper()
	code, stdout, stderr := s.run(args...)
	if code != 0 {
		s.t.Fatalf("%q: exit %d\n%s%s", args, code, stdout, stderr)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(stdout), into); err != nil {
			s.t.Fatalf("%q: %v\n%s", args, err, stdout)
		}
	}
	return stdout
}

func TestBackupVerifyAndRestoreFollowTheSettings(t *testing.T) {
	s := newSite(t)
	s.env = []string{"LOG_LEVEL=DEBUG"}
	stdout := s.must(nil, "backup", "--to", "kept")
	for _, want := range []string{"backup ", "0 jobs, 1 run, 0 traces, 1 artifact; ", ".env holds secrets", "LOG_LEVEL: settings of the environment"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing:\n%s", want, stdout)
		}
	}
	var listed, checked backedUp
	s.must(&listed, "backup", "list", "--to", "kept", "--json")
	if listed.Counts.Runs != 1 || len(listed.StoreID) != 36 || filepath.Dir(listed.Dir) != filepath.Join(s.dir, "kept") {
		t.Fatalf("listed %+v", listed)
	}
	s.must(&checked, "backup", "verify", listed.Dir, "--json")
	if checked.Counts != listed.Counts || checked.Problems != nil {
		t.Errorf("verified %+v, listed %+v", checked.Counts, listed.Counts)
	}
	var r restored
	s.must(&r, "restore", listed.Dir, "--into", "copy", "--new-store-id", "--json")
	if r.Into != filepath.Join(s.dir, "copy") || r.Counts != listed.Counts || r.StoreID == listed.StoreID || len(r.Settings) != 1 {
		t.Errorf("restored %+v", r)
	}
	if text, err := os.ReadFile(filepath.Join(s.dir, "copy", ".env")); err != nil || !strings.Contains(string(text), "\nDB_PATH=./jobs.sqlite\n") {
		t.Errorf("%s %v", text, err)
	}
	// The copy can be backed up where it is.
	s.dir = r.Into
	s.must(nil, "backup", "create", "--json")
	if stdout := s.must(nil, "restore", listed.Dir, "--into", "again"); !strings.Contains(stdout, "that of the original") || !strings.Contains(stdout, "start_mlflow.sh") {
		t.Errorf("%s", stdout)
	}
}

func TestBackupKeepsAsManyAsAskedFor(t *testing.T) {
	s := newSite(t)
	s.must(nil, "backup", "--keep", "1")
	var first, second backedUp
	s.must(&first, "backup", "list", "--json")
	// Names are by the second.
	if err := os.Rename(first.Dir, filepath.Join(s.dir, "backups", "backup-20200101T000000Z")); err != nil {
		t.Fatal(err)
	}
	s.must(&second, "backup", "create", "--keep", "1", "--json")
	if len(second.Removed) != 1 || filepath.Base(second.Removed[0]) != "backup-20200101T000000Z" {
		t.Errorf("removed %q", second.Removed)
	}
}

func TestBackupCommandsExplainWhatIsWrong(t *testing.T) {
	s := newSite(t)
	var made backedUp
	s.must(&made, "backup", "--json")
	if err := os.WriteFile(filepath.Join(made.Dir, "files", "mlartifacts", "1", "r", "artifacts", "a.txt"), []byte("b"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		code       int
		args       []string
	}{
		{"damaged", "a.txt has another content", exitFailed, []string{"backup", "verify", made.Dir}},
		{"damaged, restored", "nothing was restored", exitFailed, []string{"restore", made.Dir, "--into", "x"}},
		{"folder of backups", "the newest is " + made.Dir, exitFailed, []string{"backup", "verify", "backups"}},
		{"folder of backups, restored", "the newest is " + made.Dir, exitFailed, []string{"restore", "backups", "--into", "x"}},
		{"no backup", "no backup in", exitFailed, []string{"backup", "verify", "mlartifacts"}},
		{"no folder", "there is no folder", exitFailed, []string{"backup", "verify", "nowhere"}},
		{"PostgreSQL", "pg_dump", exitFailed, []string{"backup", "--mlflow-store", "postgresql://u:hush@h/d"}},
		{"bucket", "--without artifacts", exitFailed, []string{"backup", "--artifacts", "s3://b/x"}},
		{"unknown part", "must be one of", exitUsage, []string{"backup", "--without", "everything"}},
		{"keep", "--keep", exitUsage, []string{"backup", "--keep=-1"}},
		{"no place", "--into", exitUsage, []string{"restore", made.Dir}},
		{"roll back without a backup", "--backup DIR", exitUsage, []string{"rollback"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, stderr := s.run(c.args...)
			if code != c.code || !strings.Contains(stderr, c.want) || strings.Contains(stderr, "hush") {
				t.Errorf("exit %d, want %d; stderr lacks %q:\n%s", code, c.code, c.want, stderr)
			}
		})
	}
	if code, stdout, _ := s.run("backup", "verify", made.Dir, "--json"); code != exitFailed || !strings.Contains(stdout, `"problems":["mlartifacts`) {
		t.Errorf("exit %d\n%s", code, stdout)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "x")); err == nil {
		t.Error("something was restored")
	}
}

// MLflow makes the folder of artifacts with the first file: until then nothing is missing.
func TestABackupBeforeTheFirstArtifact(t *testing.T) {
	s := newSite(t)
	server := startMLflow(t)
	client := clientOf(t, server)
	experiment, err := client.CreateExperiment(t.Context(), "e")
	if err != nil {
		t.Fatal(err)
	}
	run, err := client.CreateRun(t.Context(), mlflow.CreateRun{ExperimentID: experiment})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "mlflow.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`INSERT INTO experiments VALUES (1, 'mlflow-artifacts:/1'); UPDATE runs SET run_uuid = ?`, run.Info.ID); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "mlartifacts")); err != nil {
		t.Fatal(err)
	}

	// Nobody answers at MLFLOW_TRACKING_URI: it is made, with a warning in it.
	_, stdout, stderr := s.run("backup", "--dry-run")
	if !strings.Contains(stdout, "would make a backup in ./backups") || !strings.Contains(stderr, "cannot be told") {
		t.Errorf("%s%s", stdout, stderr)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "backups")); err == nil {
		t.Error("the dry run made a folder")
	}
	var made backedUp
	s.must(&made, "backup", "--json")
	if made.Counts.Runs != 1 || len(made.Warnings) != 1 {
		t.Errorf("%+v", made)
	}
	// MLflow says that there is none.
	var asked, checked backedUp
	s.must(&asked, "--tracking-uri", server.URL, "backup", "--json")
	s.must(&checked, "backup", "verify", asked.Dir, "--json")
	if len(asked.Warnings)+len(checked.Warnings) > 0 {
		t.Errorf("%+v, %+v", asked, checked)
	}
	s.must(nil, "restore", asked.Dir, "--into", "copy")
	// MLflow has one, so it is another folder.
	if err := client.UploadArtifact(t.Context(), run.Info.ID, "a.txt", []byte("a")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"backup"}, {"backup", "--dry-run"}} {
		code, _, stderr := s.run(append([]string{"--tracking-uri", server.URL}, args...)...)
		if code != exitFailed || !strings.Contains(stderr, "mlartifacts, and MLflow keeps artifacts") {
			t.Errorf("%q: exit %d\n%s", args, code, stderr)
		}
	}
}

func TestRollbackWaitsForMLflowToBeStopped(t *testing.T) {
	s := newSite(t)
	var made backedUp
	s.must(&made, "backup", "--json")
	server := startMLflow(t)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{server.URL, "http://0.0.0.0:" + u.Port()} {
		code, _, stderr := s.run("--tracking-uri", address, "rollback", "--backup", made.Dir)
		if code != exitFailed || !strings.Contains(stderr, "still answers on "+address) {
			t.Fatalf("exit %d\n%s", code, stderr)
		}
	}
	stdout := s.must(nil, "rollback", "--dry-run")
	if !strings.Contains(stdout, "would remove "+filepath.Join(s.dir, "mlflow.db")) {
		t.Errorf("%s", stdout)
	}
	s.env = []string{"MLFLOW_ENABLE_TRACKING=true"}
	code, stdout, stderr := s.run("rollback", "--backup", made.Dir)
	if code != 0 || !strings.Contains(stdout, "removed "+filepath.Join(s.dir, "mlflow.db")) || !strings.Contains(stderr, "true still, in environment") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if text, err := os.ReadFile(filepath.Join(s.dir, ".env")); err != nil || strings.Contains(string(text), "MLFLOW_") {
		t.Errorf(".env: %s %v", text, err)
	}
}
