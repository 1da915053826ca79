package backup

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/technoshare/commentator/internal/store"
)

func TestMain(m *testing.M) {
	syncDisks = func() {} // it waits for all that the machine writes
	goleak.VerifyTestMain(m)
}

// mlflowSchema has what this package reads of MLflow's tables. The tests with tag e2e have a
// database of MLflow's own making.
const mlflowSchema = `
	CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
	INSERT INTO alembic_version VALUES ('0123456789ab');
	CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name VARCHAR(256), artifact_location VARCHAR(256));
	CREATE TABLE runs (run_uuid VARCHAR(32) PRIMARY KEY, experiment_id INTEGER, artifact_uri VARCHAR(200));
	CREATE TABLE params (run_uuid VARCHAR(32), key VARCHAR(250), value VARCHAR(8000), PRIMARY KEY (key, run_uuid));
	CREATE TABLE trace_info (request_id VARCHAR(50) PRIMARY KEY, experiment_id INTEGER);
	CREATE TABLE trace_tags (key VARCHAR(250), value VARCHAR(8000), request_id VARCHAR(50), PRIMARY KEY (key, request_id));`

// deployment is a folder with what a deployment has.
type deployment struct {
	dir string
	t   *testing.T
}

// newDeployment has one job database, an MLflow with an experiment that is served and one
// whose artifacts are in a path, two artifacts, prompts and settings.
func newDeployment(t *testing.T) deployment {
	t.Helper()
	d := deployment{dir: t.TempDir(), t: t}
	s, err := store.Open(t.Context(), d.path("db.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.DB().Exec(`INSERT INTO messages (channel_id, message_ts, received_at) VALUES ('C1', '1.0', 1); INSERT INTO jobs (message_id, created_at) VALUES (1, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d.sql("mlflow.db", mlflowSchema)
	d.sql("mlflow.db", fmt.Sprintf(`
		INSERT INTO experiments VALUES (1, 'served', 'mlflow-artifacts:/1'), (2, 'old', '%[1]s/mlartifacts/2');
		INSERT INTO runs VALUES ('r1', 1, 'mlflow-artifacts:/1/r1/artifacts'), ('r2', 2, '%[1]s/mlartifacts/2/r2/artifacts');
		INSERT INTO params VALUES ('r1', 'p', 'v');
		INSERT INTO trace_info VALUES ('tr-1', 2);
		INSERT INTO trace_tags VALUES ('mlflow.artifactLocation', 'file://%[1]s/mlartifacts/2/traces/tr-1', 'tr-1'), ('other', '%[1]s/mlartifacts', 'tr-1')`, d.dir))
	d.write("mlartifacts/1/r1/artifacts/evidence.json", `{"one": 1}`)
	d.write("mlartifacts/2/r2/artifacts/facts.json", `{"two": 2}`)
	d.write("data/prompts/stage_a.yaml", "content: extract")
	d.write("data/project_context.yaml", "themes: []")
	d.write("data/data.go", "package data")
	d.write("data/eval_dataset.json", "{}")
	d.write("data/eval/evidence/one.json", "{}")
	d.write("data/eval/cassette.jsonl", "{}")
	d.write("data/eval/README.md", "of the checkout")
	d.write("data/eval/record/main.go", "package main")
	d.write("data/testdata/rules.json", "{}")
	d.sql("eval.sqlite", `CREATE TABLE meta (key TEXT, value TEXT); INSERT INTO meta VALUES ('store_id', 'e'); CREATE TABLE evaluations (id TEXT); INSERT INTO evaluations VALUES ('paid')`)
	d.write(".env", "MLFLOW_ENABLE_TRACKING=true\nSLACK_BOT_TOKEN=xoxb-1\n")
	d.write("db.sqlite.sampling.yaml", "rules: []")
	d.write("db.sqlite.sampling.yaml.last", "rules: []")
	d.write("db.sqlite.baseline.json", "{}")
	d.write(".otelcol-mlflow/dead-letter/a.json", "{}")
	d.write(".otelcol-mlflow/exporter_mlflow__traces", "queue")
	return d
}

func (d deployment) path(name string) string { return filepath.Join(d.dir, filepath.FromSlash(name)) }

func (d deployment) write(name, text string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(d.path(name)), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.path(name), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d deployment) sql(name, statements string) {
	d.t.Helper()
	execute(d.t, d.path(name), statements)
}

func execute(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statements); err != nil {
		t.Fatal(err)
	}
}

// one reads a text.
func one(t *testing.T, path, query string) string {
	t.Helper()
	db, err := openQuiet(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := text(context.Background(), db, query)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (d deployment) source() Source {
	return Source{
		Dir: d.dir, JobDatabase: "./db.sqlite", Evaluations: "./eval.sqlite", Store: "sqlite:///mlflow.db", ArtifactRoot: "./mlartifacts", DataDir: "./data",
		SamplingFile: "./db.sqlite.sampling.yaml", BaselineFile: "./db.sqlite.baseline.json", CollectorDir: "./.otelcol-mlflow",
	}
}

// clock is a time source that goes on by a second with each look.
func clock() func() time.Time {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return func() time.Time { now = now.Add(time.Second); return now }
}

func (d deployment) config() CreateConfig {
	return CreateConfig{Source: d.source(), To: d.path("backups"), Program: "test", Now: clock()}
}

func (d deployment) backup(cfg CreateConfig) Created {
	d.t.Helper()
	made, err := Create(d.t.Context(), cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	return made
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; it should say %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
