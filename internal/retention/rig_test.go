package retention

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
)

//go:embed testdata/schema.sql
var schema string

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// rig is a database with MLflow's tables, a directory of artifacts, and a server that does to
// them what MLflow's API does. It fails at the failAt-th call.
type rig struct {
	*testing.T
	db        *sql.DB
	store     string
	artifacts string
	mu        sync.Mutex // for calls and before
	calls     int
	failAt    int
	before    func(call string) // is told of each call
	fails     func(call string) bool
	progress  func(done, all int)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := openRig(t, t.TempDir())
	r.exec(schema)
	r.exec(`INSERT INTO alembic_version VALUES ('dc11669786a5')`)
	r.exec(`INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) VALUES
		(0, 'Default', 'mlflow-artifacts:/0', 'active'), (1, 'team', 'mlflow-artifacts:/1', 'active'), (2, 'other', 'mlflow-artifacts:/2', 'active')`)
	return r
}

func (r *rig) exec(query string, args ...any) {
	r.Helper()
	if _, err := r.db.Exec(query, args...); err != nil {
		r.Fatalf("%v\n%s", err, query)
	}
}

func openRig(t *testing.T, dir string) *rig {
	t.Helper()
	r := &rig{T: t, store: filepath.Join(dir, "mlflow.db"), artifacts: filepath.Join(dir, "artifacts")}
	var err error
	if r.db, err = sql.Open("sqlite", "file:"+r.store+"?_pragma=foreign_keys(1)&_pragma=busy_timeout(20000)&_pragma=synchronous(0)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.db.Close() })
	return r
}

// copied is a rig with the same content.
func (r *rig) copied() *rig {
	r.Helper()
	dir := r.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(r.store))); err != nil {
		r.Fatal(err)
	}
	return openRig(r.T, dir)
}

// id makes a run id of a short name.
func id(name string) string { return fmt.Sprintf("%032x", []byte(name)) }

func days(n int) time.Time { return now.Add(-time.Duration(n) * 24 * time.Hour) }

// run adds a finished run with a tag, a param, a metric and a file.
func (r *rig) run(name string, experiment int, parent string, at time.Time) string {
	r.Helper()
	run := id(name)
	r.exec(`INSERT INTO runs (run_uuid, name, source_type, status, start_time, end_time, lifecycle_stage, artifact_uri, experiment_id) VALUES (?, ?, 'LOCAL', 'FINISHED', ?, ?, 'active', ?, ?)`,
		run, name, at.UnixMilli(), at.UnixMilli()+9, fmt.Sprintf("mlflow-artifacts:/%d/%s/artifacts", experiment, run), experiment)
	r.exec(`INSERT INTO params (key, value, run_uuid) VALUES ('p', 'x', ?)`, run)
	r.exec(`INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES ('m', 1, 1, 1, 0, ?)`, run)
	r.exec(`INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES ('m', 1, 1, 1, 0, ?)`, run)
	r.exec(`INSERT INTO tags (key, value, run_uuid) VALUES ('mlflow.runName', ?, ?)`, name, run)
	if parent != "" {
		r.exec(`INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)`, mlflow.TagParentRun, id(parent), run)
	}
	r.file(fmt.Sprintf("%d/%s/artifacts/file", experiment, run), at)
	return run
}

func (r *rig) file(path string, at time.Time) {
	r.Helper()
	name := filepath.Join(r.artifacts, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("0123456789"), 0o600); err != nil {
		r.Fatal(err)
	}
	for dir := name; dir != r.artifacts; dir = filepath.Dir(dir) {
		if err := os.Chtimes(dir, at, at); err != nil {
			r.Fatal(err)
		}
	}
}

// trace adds a trace of experiment 1 with a span, linked to runs as MLflow links them.
func (r *rig) trace(name string, at time.Time, runs ...string) string {
	r.Helper()
	trace := "tr-" + id(name)
	r.exec(`INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status) VALUES (?, 1, ?, 'OK')`, trace, at.UnixMilli())
	r.exec(`INSERT INTO spans (trace_id, experiment_id, span_id, status, start_time_unix_nano, content) VALUES (?, 1, 's', 'OK', 1, '{}')`, trace)
	r.exec(`INSERT INTO trace_tags (request_id, key, value) VALUES (?, ?, ?)`, trace, tagFilesOfTrace, "mlflow-artifacts:/1/traces/"+trace+"/artifacts")
	for i, run := range runs {
		if i == 0 {
			r.exec(`INSERT INTO trace_request_metadata (request_id, key, value) VALUES (?, ?, ?)`, trace, mlflow.MetaSourceRun, run)
		}
		r.exec(`INSERT INTO entity_associations VALUES (?, 'trace', ?, 'run', ?, 1)`, "a-"+name+fmt.Sprint(i), trace, run)
	}
	return trace
}

// job adds a job with a stage and a trace.
func (r *rig) job(name string, at time.Time) (run, trace string) {
	r.Helper()
	run = r.run(name, 1, "", at)
	r.run(name+"/s", 1, name, at.Add(time.Second))
	return run, r.trace(name, at, run)
}

// retain runs a time with the rule of the tests: the last two and 90 days.
func (r *rig) retain(apply bool, experiments ...string) (*Report, error) {
	if experiments == nil {
		experiments = []string{"team"}
	}
	return Run(r.Context(), Options{
		Rule: Rule{Last: 2, Age: 90 * 24 * time.Hour, Now: now}, Server: r, Endpoint: "http://mlflow",
		Store: "sqlite:///" + r.store, Artifacts: r.artifacts, Experiments: experiments, LockFor: time.Minute, Progress: r.progress,
	}, apply)
}

// names lists the runs that are there, by name; those in the trash in parentheses.
func (r *rig) names() []string {
	r.Helper()
	all, err := strings2(r.Context(), r.db, `SELECT CASE lifecycle_stage WHEN 'deleted' THEN '(' || name || ')' ELSE name END, '' FROM runs ORDER BY name`)
	if err != nil {
		r.Fatal(err)
	}
	var names []string
	for _, n := range all {
		names = append(names, n[0])
	}
	return names
}

// runs counts the runs that are there, those in the trash too.
func (r *rig) runs() (n int) {
	r.Helper()
	if err := r.db.QueryRow(`SELECT count(*) FROM runs`).Scan(&n); err != nil {
		r.Fatal(err)
	}
	return n
}

// notADirectory puts a file in the place of a directory of artifacts: nothing below it can be
// read or removed, not even by root.
func (r *rig) notADirectory(dir string) {
	r.Helper()
	path := filepath.Join(r.artifacts, dir)
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600)); err != nil {
		r.Error(err)
	}
}

// state is everything: rows of all tables and files.
func (r *rig) state() string {
	r.Helper()
	var b strings.Builder
	tables, err := strings2(r.Context(), r.db, `SELECT name, '' FROM sqlite_master WHERE type = 'table' ORDER BY name`)
	if err != nil {
		r.Fatal(err)
	}
	for _, t := range tables {
		columns, err := strings2(r.Context(), r.db, `SELECT 'quote("' || name || '")', '' FROM pragma_table_info(?)`, t[0])
		if err != nil {
			r.Fatal(err)
		}
		var quoted []string
		for _, c := range columns {
			quoted = append(quoted, c[0])
		}
		rows, err := strings2(r.Context(), r.db, fmt.Sprintf(`SELECT %s, '' FROM %q`, strings.Join(quoted, " || '|' || "), t[0]))
		if err != nil {
			r.Fatal(err)
		}
		var lines []string
		for _, row := range rows {
			lines = append(lines, t[0]+"|"+strings.ReplaceAll(row[0], "'", ""))
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, "\n") + "\n")
	}
	_ = filepath.WalkDir(r.artifacts, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b.WriteString(strings.TrimPrefix(name, r.artifacts) + "\n")
		}
		return nil
	})
	return b.String()
}

var errCut = errors.New("the connection was cut")

func (r *rig) call(name string) error {
	r.mu.Lock() // runs are deleted beside each other
	defer r.mu.Unlock()
	if r.calls++; r.calls == r.failAt || r.fails != nil && r.fails(name) {
		return errCut
	}
	if r.before != nil {
		r.before(name)
	}
	return nil
}

func (r *rig) SearchAllExperiments(ctx context.Context) ([]mlflow.Experiment, error) {
	found, err := strings2(ctx, r.db, `SELECT experiment_id || '|' || name, lifecycle_stage FROM experiments`)
	var all []mlflow.Experiment
	for _, e := range found {
		of, name, _ := strings.Cut(e[0], "|")
		one := mlflow.Experiment{ID: of, Name: name, Stage: e[1]}
		tags, err := strings2(ctx, r.db, `SELECT key, value FROM experiment_tags WHERE experiment_id = ?`, of)
		if err != nil {
			return nil, err
		}
		for _, t := range tags {
			one.Tags = append(one.Tags, mlflow.KeyValue{Key: t[0], Value: t[1]})
		}
		all = append(all, one)
	}
	return all, errors.Join(err, r.call("search"))
}

func (r *rig) ListArtifacts(ctx context.Context, runID, _ string) ([]mlflow.File, error) {
	var uri string
	if err := r.db.QueryRowContext(ctx, `SELECT artifact_uri FROM runs WHERE run_uuid = ?`, runID).Scan(&uri); err != nil {
		return nil, err
	}
	entries, _ := os.ReadDir(filepath.Join(r.artifacts, strings.TrimPrefix(uri, "mlflow-artifacts:/")))
	var files []mlflow.File
	for _, e := range entries {
		files = append(files, mlflow.File{Path: e.Name(), IsDir: e.IsDir()})
	}
	return files, r.call("list")
}

func (r *rig) SetExperimentTag(ctx context.Context, of, key, value string) error {
	if err := r.call("tag"); err != nil {
		return err
	}
	_, err := r.db.ExecContext(ctx, `INSERT OR REPLACE INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)`, key, value, of)
	return err
}

func (r *rig) stage(ctx context.Context, runID, stage string) error {
	_, err := r.db.ExecContext(ctx, `UPDATE runs SET lifecycle_stage = ?, deleted_time = 1 WHERE run_uuid = ?`, stage, runID)
	return err
}

func (r *rig) DeleteRun(ctx context.Context, runID string) error {
	if err := r.call("delete"); err != nil {
		return err
	}
	return r.stage(ctx, runID, "deleted")
}

func (r *rig) RestoreRun(ctx context.Context, runID string) error {
	return r.stage(ctx, runID, "active")
}

func (r *rig) DeleteTraces(ctx context.Context, experiment string, ids ...string) (int, error) {
	if err := r.call("traces"); err != nil {
		return 0, err
	}
	for _, one := range ids {
		if _, err := r.db.ExecContext(ctx, `DELETE FROM trace_info WHERE experiment_id = ? AND request_id = ?`, experiment, one); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}
