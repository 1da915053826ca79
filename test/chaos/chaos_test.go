//go:build linux && e2e

package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/technoshare/commentator/internal/reconcile"
)

// TestChaos kills each program at counted events while 25 jobs flow, the Collector also while
// it recovers, fills its disk, and judges. Then it damages copies of what MLflow holds: the
// judge must notice each.
func TestChaos(t *testing.T) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r, err := siegeOf(context.Background(), options{jobs: 25, seed: 7, top: top, bin: builtPrograms(t, top), patience: deliverPatience}, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if !r.passed() {
		t.Errorf("%+v", r.Log)
	}
	if r.Jobs != 25 || r.Counted < 4 || r.DoubleKills < 1 || r.Fills < 1 || r.Compared.Runs < r.Jobs || r.Compared.Artifacts == 0 || r.Compared.Spans == 0 || r.Compared.Moments < 10*r.Jobs ||
		r.Known.Fates != r.Jobs || r.Known.Results < r.Jobs || r.Known.Calls < r.Jobs {
		t.Errorf("%d jobs, %d kills, %d double, %d fills, compared %+v and %+v", r.Jobs, r.Counted, r.DoubleKills, r.Fills, r.Compared, r.Known)
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) { f.mustBeFound(t, dir) })
	}
}

// built is the folder of the worker and the Collector, once builtPrograms was called.
var built struct {
	sync.Once
	bin string
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.bin != "" {
		_ = os.RemoveAll(built.bin)
	}
	os.Exit(code)
}

// builtPrograms builds the worker and the Collector once and returns their folder.
func builtPrograms(t *testing.T, top string) string {
	t.Helper()
	built.Do(func() {
		if built.bin, built.err = os.MkdirTemp("", "commentator-chaos-bin-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", built.bin+string(filepath.Separator), "./cmd/commentator", "./cmd/otelcol-mlflow")
		build.Dir = top
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build programs: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.bin
}

// fault is a damage to what MLflow holds.
type fault struct {
	plant func(t *testing.T, db *sql.DB, artifacts string)
	found func(reconcile.Report) []reconcile.Finding
	item  string // of the finding, by its beginning
}

func lost(r reconcile.Report) []reconcile.Finding    { return r.Lost }
func doubled(r reconcile.Report) []reconcile.Finding { return r.Doubled }
func wrong(r reconcile.Report) []reconcile.Finding   { return r.Wrong }
func removed(r reconcile.Report) []reconcile.Finding { return r.Deleted }

// aJob and aStage choose a run; twin makes another one like it.
const (
	aJob   = `(SELECT min(run_uuid) FROM tags WHERE key = 'component' AND value = 'pipeline')`
	aStage = `(SELECT min(run_uuid) FROM tags WHERE key = 'stage' AND value = 'stage_a')`
)

func twin(of string) []string {
	return []string{
		`CREATE TEMP TABLE twin AS SELECT * FROM runs WHERE run_uuid = ` + of,
		`UPDATE twin SET run_uuid = 'twin'`,
		`INSERT INTO runs SELECT * FROM twin`,
		`INSERT INTO tags (key, value, run_uuid) SELECT key, value, 'twin' FROM tags WHERE run_uuid = ` + of,
	}
}

func statements(list ...string) func(*testing.T, *sql.DB, string) {
	return func(t *testing.T, db *sql.DB, _ string) {
		t.Helper()
		for _, s := range list {
			done, err := db.ExecContext(t.Context(), s)
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			if n, err := done.RowsAffected(); err != nil || n == 0 && !strings.HasPrefix(s, "CREATE") {
				t.Fatalf("%s: %d rows, %v", s, n, err)
			}
		}
	}
}

var faults = map[string]fault{
	"a run is deleted":         {statements(`UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ` + aJob), removed, "run job_"},
	"a run is removed":         {statements(`DELETE FROM runs WHERE run_uuid = ` + aStage), lost, "run stage_a"},
	"a run is doubled":         {statements(twin(aJob)...), doubled, "run job_"},
	"a stage run is doubled":   {statements(twin(aStage)...), doubled, "run stage_a"},
	"a run still runs":         {statements(`UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ` + aJob), wrong, "status of run job_"},
	"a metric is changed":      {statements(`UPDATE metrics SET value = value + 1 WHERE key = 'latency_seconds' AND run_uuid = ` + aStage), wrong, "metric latency_seconds of run stage_a"},
	"a metric has more points": {statements(`INSERT INTO metrics SELECT key, value, timestamp + 1, run_uuid, step, is_nan FROM metrics WHERE run_uuid = ` + aStage), doubled, "metric "},
	"a param is lost":          {statements(`DELETE FROM params WHERE key = 'channel_id' AND run_uuid = ` + aJob), lost, "param channel_id"},
	"a tag is changed":         {statements(`UPDATE tags SET value = 'other' WHERE key = 'outcome' AND run_uuid = ` + aJob), wrong, "tag outcome"},
	"a tag of nobody's":        {statements(`INSERT INTO tags (key, value, run_uuid) VALUES ('reviewed', 'yes', ` + aJob + `)`), wrong, "tag reviewed of run job_"},
	"a span is dropped":        {statements(`DELETE FROM spans WHERE rowid = (SELECT min(rowid) FROM spans WHERE name = 'stage_b')`), lost, "span stage_b"},
	"a trace is dropped":       {statements(`DELETE FROM trace_info WHERE rowid = (SELECT min(rowid) FROM trace_info)`), lost, "trace"},
	"a trace counts double":    {statements(`UPDATE trace_info SET input_tokens = 2 * input_tokens WHERE input_tokens > 0`), wrong, "tokens of trace"},
	"an artifact is corrupt": {func(t *testing.T, _ *sql.DB, artifacts string) {
		if err := os.WriteFile(anArtifact(t, artifacts), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}, wrong, "artifact evidence.json"},
	"an artifact is gone": {func(t *testing.T, _ *sql.DB, artifacts string) {
		if err := os.Remove(anArtifact(t, artifacts)); err != nil {
			t.Fatal(err)
		}
	}, lost, "artifact evidence.json"},
}

func anArtifact(t *testing.T, artifacts string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(artifacts, "*", "*", "artifacts", "evidence.json"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no artifact: %v", err)
	}
	return names[0]
}

func (f fault) mustBeFound(t *testing.T, dir string) {
	held := t.TempDir()
	if err := os.CopyFS(held, os.DirFS(filepath.Join(dir, string(mlflow)))); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(held, "mlflow.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1) // temporary tables belong to a connection
	f.plant(t, db, filepath.Join(held, "mlartifacts"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	state, err := readState(held)
	if err != nil {
		t.Fatal(err)
	}
	report, err := reconcile.Judge(reconcile.Jobs(t.Context(), filepath.Join(dir, string(worker), "db.sqlite")), state, reconcile.Terms{Experiment: experiment, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(f.found(report), func(f2 reconcile.Finding) bool {
		return f2.Job > 0 && f2.Key != "" && strings.HasPrefix(f2.Item, f.item)
	}) {
		t.Errorf("not found; lost %v, doubled %v, wrong %v", report.Lost, report.Doubled, report.Wrong)
	}
}
